// The command `whetstone` (whetstone.mjs starts it): makes the kernel known to Jupyter, and forgotten again.
import { existsSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { makeSnapshot } from "../build/snapshot.ts";
import { kernelspecFolders } from "../run/kernelspec.ts";
import { type Installed, installKernelspec, listInstalled, readInstalled, removeInstalled } from "./kernelspec.ts";
import { kernelsFolder, NoPlace, type Place, pythonPrefix } from "./places.ts";

const usage = `usage: whetstone install   [--user | --sys-prefix | --prefix FOLDER] [--name NAME] [--display-name TEXT]
       whetstone uninstall [--user | --sys-prefix | --prefix FOLDER] [NAME]
       whetstone list      [--prefix FOLDER]
       whetstone run       [notebooks] [options]   runs notebooks headlessly; whetstone run --help

--user        Jupyter's data folder of this user (this is what install does when nothing is said)
--sys-prefix  the active Python environment, else that of the Python on the PATH
--prefix      FOLDER/share/jupyter/kernels
--name        what programs call the kernel: whetstone; tslab and jslab make aliases that read cells as these kernels did
--display-name  what people see in a menu`;

const dist = resolve(import.meta.dirname, "../dist");

/** What a user did wrong (exit code 2), or what the machine does not let happen (1). */
class Failed extends Error {
  readonly code: 1 | 2;
  constructor(message: string, code: 1 | 2 = 1) {
    super(message);
    this.code = code;
  }
}

const commands: Record<string, (args: string[]) => void> = { install, uninstall, list };

function install(args: string[]) {
  const {
    place,
    name = "whetstone",
    displayName,
    rest,
  } = read(args, ["user", "sys-prefix", "prefix", "name", "display-name"]);
  if (rest.length > 0)
    throw new Failed(`install takes options only, not "${rest[0]}"; --name gives the kernel a name`, 2);
  checkName(name);
  if (displayName?.trim() === "") throw new Failed("--display-name is empty", 2);
  if (!existsSync(join(dist, "front.js"))) throw new Failed(`the kernel is not built: run npm run setup in its clone`);
  const kernels = folderOf(place);
  const folder = join(kernels, name.toLowerCase());
  const before = readInstalled(folder);
  if (before !== undefined && !before.isOurs) {
    throw new Failed(
      `${folder} is another kernel's, which starts ${before.argv[0]}; give this one another name with --name, or remove that with jupyter kernelspec uninstall ${name}`,
    );
  }
  warmUp();
  attempt("write", folder, () => installKernelspec({ folder, displayName, dist }));
  console.log(`installed ${name.toLowerCase()}: ${folder}`);
  const known = place.prefix === undefined || lookedAt().some((each) => isSameFolder(each, kernels));
  if (!known) console.log(`Jupyter finds it when JUPYTER_PATH names ${resolve(kernels, "..")}`);
  if (/[\\/]_npx[\\/]/.test(dist)) {
    console.error(
      "warning: the kernel stands in npx's cache, which may be cleared: npm install it in a folder that stays, and install again",
    );
  }
}

function uninstall(args: string[]) {
  const { place, isPlaced, name: named, rest } = read(args, ["user", "sys-prefix", "prefix", "name"]);
  if (rest.length > 1 || (rest.length === 1 && named !== undefined)) throw new Failed("uninstall takes one name", 2);
  const name = (rest[0] ?? named ?? "whetstone").toLowerCase();
  checkName(name);
  // What set-up has made in the clone goes with the clone, unless its folder is named.
  const folders = isPlaced ? [folderOf(place)] : lookedAt().filter((folder) => !isOfClone(folder));
  const all = listInstalled(folders);
  const found = all.filter((each) => each.name.toLowerCase() === name);
  const ours = found.filter(({ isOurs }) => isOurs);
  if (ours.length === 0) {
    if (found.length > 0) {
      throw new Failed(`${found[0]!.folder} is another kernel's; jupyter kernelspec uninstall ${name} removes it`);
    }
    const others = all.filter(({ isOurs }) => isOurs);
    const there = others.length === 0 ? "none is" : `there are:\n${others.map(describe).join("\n")}`;
    throw new Failed(`no Whetstone kernel "${name}" is installed in ${folders.join(", ")}; ${there}`);
  }
  if (ours.length > 1) {
    throw new Failed(
      `"${name}" is installed in ${ours.length} folders; say which with --user, --sys-prefix or --prefix:\n${ours.map(describe).join("\n")}`,
      2,
    );
  }
  const [spec] = ours as [Installed];
  attempt("remove", spec.folder, () => removeInstalled(spec));
  console.log(`uninstalled ${name}: ${spec.folder}`);
}

function list(args: string[]) {
  const { place, isPlaced, rest } = read(args, ["user", "sys-prefix", "prefix"]);
  if (rest.length > 0) throw new Failed(`list takes options only, not "${rest[0]}"`, 2);
  const ours = listInstalled(isPlaced ? [folderOf(place)] : lookedAt()).filter(({ isOurs }) => isOurs);
  console.log(
    ours.length === 0 ? "no Whetstone kernel is installed; whetstone install does it" : ours.map(describe).join("\n"),
  );
}

function describe({ name, folder, missing }: Installed): string {
  return `${name}  ${folder}${missing === undefined ? "" : `  (broken: ${missing} does not exist; install it again)`}`;
}

type OptionName = "user" | "sys-prefix" | "prefix" | "name" | "display-name";

function read(args: string[], allowed: OptionName[]) {
  const all = {
    user: { type: "boolean" },
    "sys-prefix": { type: "boolean" },
    prefix: { type: "string" },
    name: { type: "string" },
    "display-name": { type: "string" },
  } as const;
  const options = Object.fromEntries(allowed.map((name) => [name, all[name]]));
  let parsed: { values: Record<string, string | boolean | undefined>; positionals: string[] };
  try {
    parsed = parseArgs({ args, options, allowPositionals: true }) as typeof parsed;
  } catch (error) {
    // Node goes on to explain how to give a positional argument that looks like an option.
    const [message] = (error as Error).message.split(/[.\n]/);
    throw new Failed(`${message}; there are ${allowed.map((name) => `--${name}`).join(", ")}`, 2);
  }
  const { user, "sys-prefix": sysPrefix, prefix, name, "display-name": displayName } = parsed.values;
  const given = [user && "--user", sysPrefix && "--sys-prefix", prefix !== undefined && "--prefix"].filter(Boolean);
  if (given.length > 1) throw new Failed(`${given.join(" and ")} are two places; choose one`, 2);
  if (prefix === "") throw new Failed("--prefix wants a folder", 2);
  return {
    place: { user, sysPrefix, prefix } as Place,
    isPlaced: given.length > 0,
    name: name as string | undefined,
    displayName: displayName as string | undefined,
    rest: parsed.positionals,
  };
}

/** Jupyter takes no other names. */
function checkName(name: string) {
  if (/^[a-z0-9._-]+$/i.test(name) && !/^\.+$/.test(name)) return;
  throw new Failed(
    `"${name}" is no name of a kernel: it has letters a to z, digits, dots, dashes and underscores only; --display-name may be anything`,
    2,
  );
}

function folderOf(place: Place): string {
  try {
    return kernelsFolder(place);
  } catch (error) {
    if (error instanceof NoPlace) throw new Failed(error.message);
    throw error;
  }
}

const isOfClone = (folder: string) => isSameFolder(folder, join(dist, "../../.venv/share/jupyter/kernels"));

/** Where Jupyter and the runner of notebooks look, each folder once. */
function lookedAt(): string[] {
  const python = pythonPrefix();
  const folders = [...kernelspecFolders(), ...(python === undefined ? [] : [join(python, "share/jupyter/kernels")])];
  return [...new Map(folders.map((folder) => [realOf(folder), folder])).values()];
}

const isSameFolder = (a: string, b: string) => realOf(a) === realOf(b);

function realOf(folder: string): string {
  return existsSync(folder) ? realpathSync(folder) : resolve(folder);
}

function attempt(what: string, folder: string, act: () => void) {
  try {
    act();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const denied = ["EACCES", "EPERM", "EROFS"].includes(code);
    const next = denied ? "; take a folder of your own: --user, or --prefix FOLDER" : "";
    throw new Failed(`cannot ${what} ${folder}: ${message}${next}`);
  }
}

/** Out of a package the kernel comes without the snapshot of its compiler, which fits one Node and one folder. */
function warmUp() {
  if (existsSync(join(dist, "build.json"))) return;
  const stamp = join(dist, "snapshot.json");
  const wanted = JSON.stringify({ node: process.version, dist });
  try {
    if (existsSync(join(dist, "check.blob")) && readFileSync(stamp, "utf8") === wanted) return;
  } catch {
    // There is none yet.
  }
  console.error("preparing the type checker ...");
  let trouble = makeSnapshot(dist);
  try {
    if (trouble === undefined) writeFileSync(stamp, wanted);
  } catch (error) {
    trouble = (error as Error).message;
  }
  if (trouble !== undefined) {
    console.error(
      `warning: the type checker could not be prepared, the first cell of a session will wait a second longer:\n${trouble}`,
    );
  }
}

try {
  const [name = "", ...rest] = process.argv.slice(2);
  if (name === "run") {
    process.argv.splice(2, 1);
    await import("../run/cli.ts");
  } else if (name === "--help" || name === "-h" || rest.includes("--help")) console.log(usage);
  else if (Object.hasOwn(commands, name)) commands[name]!(rest);
  else throw new Failed(`${name === "" ? "which command?" : `there is no command "${name}"`}\n${usage}`, 2);
} catch (error) {
  if (!(error instanceof Failed)) throw error;
  console.error(`whetstone: ${error.message}`);
  process.exitCode = error.code;
}
