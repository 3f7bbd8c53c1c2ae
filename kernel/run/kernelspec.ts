// Kernelspecs: how to start a kernel, found by name where Jupyter looks for them.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import { userDataFolder } from "../install/places.ts";
import { Trouble } from "./trouble.ts";

/** How a kernel is started and interrupted; the fields of `kernel.json`. */
export interface Kernelspec {
  name: string;
  /** The command; `{connection_file}` and `{resource_dir}` in it are replaced. */
  argv: string[];
  display_name?: string;
  language?: string;
  interrupt_mode?: "signal" | "message";
  env?: Record<string, string>;
  /** The folder of `kernel.json`. */
  folder?: string;
}

const project = join(import.meta.dirname, "../..");

/** Our kernel as it stands beside this file, in the clone and in the package: for machines on which none is installed. */
const ownFront = join(import.meta.dirname, "../dist/front.js");

/** Folders that may hold kernelspecs, the most specific first: the project's environment, JUPYTER_PATH, the user's, the active environment's, the system's. */
export function kernelspecFolders(env: NodeJS.ProcessEnv = process.env): string[] {
  const system =
    process.platform === "win32"
      ? [join(env.PROGRAMDATA ?? "C:\\ProgramData", "jupyter")]
      : ["/usr/local/share/jupyter", "/usr/share/jupyter"];
  const active = [env.VIRTUAL_ENV, env.CONDA_PREFIX].filter(Boolean).map((prefix) => join(prefix!, "share/jupyter"));
  return [
    join(project, ".venv/share/jupyter"),
    ...(env.JUPYTER_PATH ?? "").split(delimiter).filter(Boolean),
    userDataFolder(env),
    ...active,
    ...system,
  ].map((folder) => join(folder, "kernels"));
}

/**
 * The kernelspec of that name. Names are compared without case, as Jupyter does. A path to a `kernel.json`, or to its folder, is read as it is.
 * Throws an error that lists the names there are.
 */
export function findKernelspec(name: string, folders: readonly string[] = kernelspecFolders()): Kernelspec {
  if (/[\\/]/.test(name)) return readKernelspec(name.endsWith(".json") ? name : join(name, "kernel.json"));
  const known = new Set<string>();
  for (const folder of folders) {
    for (const entry of existsSync(folder) ? readdirSync(folder).sort() : []) {
      const file = join(folder, entry, "kernel.json");
      if (!existsSync(file)) continue;
      known.add(entry);
      if (entry.toLowerCase() === name.toLowerCase()) return readKernelspec(file);
    }
  }
  if (name === "whetstone") {
    if (existsSync(ownFront)) return ownKernelspec();
    throw new Trouble(`the kernel is not built: ${ownFront} is missing`, "npm run setup builds it");
  }
  const there = known.size === 0 ? "there is none" : `there are: ${[...known].join(", ")}`;
  throw new Trouble(
    `no kernelspec "${name}"; ${there}. Looked in ${folders.join(", ")}`,
    "install that kernel, or take one that is there with --kernel NAME",
  );
}

/** This project's kernel, run by the Node that runs this process. */
function ownKernelspec(): Kernelspec {
  return {
    name: "whetstone",
    argv: [process.execPath, ownFront, "{connection_file}"],
    language: "typescript",
    interrupt_mode: "message",
  };
}

const again = "install that kernel again";

function readKernelspec(file: string): Kernelspec {
  let spec: Omit<Kernelspec, "name">;
  try {
    spec = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Trouble(`cannot read the kernelspec ${file}: ${(error as Error).message}`, again);
  }
  const { argv } = spec;
  if (!Array.isArray(argv) || argv.length === 0 || !argv.every((part) => typeof part === "string")) {
    throw new Trouble(`the kernelspec ${file} has argv = ${JSON.stringify(argv)}, not a list of texts`, again);
  }
  const folder = dirname(file);
  const command = /^python3?(\.\d+)?$/.test(argv[0]) ? (pythonOf(folder) ?? argv[0]) : argv[0];
  // Only commands with a path can be looked at here: others are found by the system.
  if (/[\\/]/.test(command) && !statSync(command, { throwIfNoEntry: false })?.isFile()) {
    throw new Trouble(`the kernelspec ${file} starts ${command}, which does not exist`, again);
  }
  return { ...spec, argv: [command, ...argv.slice(1)], name: basename(folder), folder };
}

/** A spec in a Python environment says "python" and means that environment's, where Jupyter would run; it need not be the one on the PATH. */
function pythonOf(folder: string): string | undefined {
  const environment = join(folder, "../../../..");
  return ["bin/python", "Scripts/python.exe"].map((path) => join(environment, path)).find((path) => existsSync(path));
}
