// @ts-check
// Finds a Python, and the step that makes .venv from it.
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CallFailed, call } from "./call.mjs";
import { place, root } from "./place.mjs";
import { hashOf, readStamp, writeStamp } from "./stamp.mjs";
import { Trouble } from "./trouble.mjs";

const oldest = [3, 10];
const requirements = join(root, "setup/requirements.txt");
const constraints = join(root, "setup/constraints.txt");
const stamp = join(place.venv, ".whetstone");

/** @typedef {{ path: string, version: number[], venv: boolean, ensurepip: boolean, pip: number[] | null }} Python */

const probe = `
import importlib.util, json, sys
def has(name):
    try:
        return importlib.util.find_spec(name) is not None
    except Exception:
        return False
pip = None
try:
    import pip as found
    pip = [int(n) for n in found.__version__.split(".")[:2] if n.isdigit()]
except Exception:
    pass
print(json.dumps({"path": sys.executable, "version": list(sys.version_info[:3]), "venv": has("venv"), "ensurepip": has("ensurepip"), "pip": pip}))
`;

/**
 * Which Pythons are on the PATH, best known names first.
 * @returns {Promise<Python[]>}
 */
export async function findPythons() {
  const commands = process.platform === "win32" ? [["py", "-3"], ["python"], ["python3"]] : [["python3"], ["python"]];
  const found = [];
  for (const [command, ...args] of commands) {
    try {
      const output = await call(command, [...args, "-c", probe], { timeoutMs: 20_000 });
      found.push(JSON.parse(output.trim().split("\n").at(-1) ?? ""));
    } catch (error) {
      // Not there, or not a Python 3 (Windows has a `python` that only opens a shop).
      if (!(error instanceof CallFailed || error instanceof SyntaxError)) throw error;
    }
  }
  return found;
}

/**
 * @param {number[]} a
 * @param {number[]} b
 */
const atLeast = (a, b) => a[0] > b[0] || (a[0] === b[0] && (a[1] ?? 0) >= b[1]);

/**
 * A Python that can make the venv.
 * @throws {Trouble} that says what to install
 */
export async function choosePython() {
  const pythons = await findPythons();
  if (pythons.length === 0) throw new Trouble("python-missing");
  const recent = pythons.filter(({ version }) => atLeast(version, oldest));
  if (recent.length === 0) {
    throw new Trouble("python-old", { version: pythons[0].version.join("."), path: pythons[0].path });
  }
  const able = recent.find((python) => python.venv && (python.ensurepip || canFillOthers(python)));
  if (able) return able;
  const [{ version, path, venv }] = recent;
  throw new Trouble(venv ? "pip-missing" : "venv-missing", { version: version.slice(0, 2).join("."), path });
}

/**
 * pip >= 22.3 can install into another environment (`--python`), which serves where ensurepip was split off.
 * @param {Python} python
 */
const canFillOthers = ({ pip }) => pip !== null && atLeast(pip, [22, 3]);

const wanted = () => hashOf([requirements, constraints]);

export function venvDone() {
  return readStamp(stamp) === wanted() && existsSync(place.python) && existsSync(join(place.venv, "share/jupyter/lab"));
}

/** @param {(line: string) => void} onLine */
export async function venvMake(onLine) {
  const python = await choosePython();
  // A venv that was cut off can look installed to pip, so it is made anew (30 s from pip's cache).
  rmSync(place.venv, { recursive: true, force: true });
  await call(python.path, ["-m", "venv", ...(python.ensurepip ? [] : ["--without-pip"]), place.venv], { onLine });
  if (!python.ensurepip) {
    await call(python.path, ["-m", "pip", "--python", place.python, "install", "pip"], { onLine });
  }
  // Byte code is written on first use instead: installing is twice as fast, and most of it is never imported.
  await pip(["install", "--only-binary=:all:", "--no-compile", "-r", requirements, "-c", constraints], onLine);
  // The tests run Python's kernel by its command line; in JupyterLab's launcher it would only be in the way.
  rmSync(join(place.venv, "share/jupyter/kernels/python3"), { recursive: true, force: true });
  // JupyterLab runs a CommonJS script of its own with Node, which would take the project's "type": "module" for its own.
  writeFileSync(join(place.venv, "package.json"), "{}\n");
  writeStamp(stamp, wanted());
}

/**
 * pip of the venv.
 * @param {string[]} args
 * @param {(line: string) => void} [onLine]
 */
export function pip(args, onLine) {
  return call(place.python, ["-m", "pip", "--disable-pip-version-check", "--no-input", ...args], { onLine });
}
