// Notebooks that passed and on which nothing has changed since are not run again. What a notebook depends on is seen while it runs: every
// file that the process of its cells reads, sources of recipes and engine among them.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import type { Kernel } from "./client.ts";
import { type Fingerprint, fingerprintOf, hashOf, isSame } from "./fingerprint.ts";
import { begin, end, isOurs } from "./inside/ask.ts";
import { findKernelspec, type Kernelspec } from "./kernelspec.ts";
import { isCode, type Notebook, readNotebook, tagsOf, writeNotebook, writeWhole } from "./notebook.ts";
import { injectedTag } from "./parameters.ts";
import type { NotebookResult } from "./result.ts";
import type { Done, RunOptions, Watch } from "./runner.ts";

interface Entry {
  /** Of the notebook's own code and settings, and of what it runs on. */
  key: string;
  result: NotebookResult;
  files: Fingerprint[];
}

export interface Cache {
  /** The outcome of a notebook on which nothing has changed, else why it has to run. */
  find(path: string, options: RunOptions): Done | string;
  /** Keeps the outcome of a run, if it passed and what it read is known. */
  keep(path: string, options: RunOptions, done: Done): void;
  /** Sees what is read, for `keep`. */
  watch: Watch;
}

interface Seen {
  read: string[];
  listed: string[];
  missing: string[];
}

/** Changes with what an entry means. */
const version = 1;

/** A cache in a folder, with an entry for each notebook, mode and set of parameters. */
export function openCache(folder: string): Cache {
  const seen = new Map<string, Seen>();
  const placeOf = (path: string, { quick = false, set = {} }: RunOptions) => {
    const name = hashOf(JSON.stringify([path, quick, set])).slice(0, 8);
    return join(folder, `${basename(path, ".ipynb")}-${name}`);
  };
  return {
    find(path, options) {
      const place = placeOf(path, options);
      if (!existsSync(`${place}.json`)) return "it has not passed in this mode yet";
      try {
        const entry = JSON.parse(readFileSync(`${place}.json`, "utf8")) as Entry;
        if (entry.key !== keyOf(path, options)) return "its code, its packages or the kernel have changed";
        const changed = entry.files.find((file) => !isSame(file));
        if (changed !== undefined) return `${relative(process.cwd(), changed.path)} has changed`;
        const notebook = renewed(readNotebook(path), readNotebook(`${place}.ipynb`));
        if (notebook === undefined) return "its cells have moved";
        return { result: { ...entry.result, path, isCached: true }, notebook };
      } catch {
        return "what was kept of it cannot be read"; // cut off, or of another version
      }
    },
    keep(path, options, { result, notebook }) {
      const files = seen.get(path);
      if (!result.isPassed || notebook === undefined || files === undefined) return;
      const place = placeOf(path, options);
      mkdirSync(folder, { recursive: true });
      try {
        const entry: Entry = { key: keyOf(path, options), result, files: fingerprints(files, path) };
        writeNotebook(`${place}.ipynb`, notebook);
        writeWhole(`${place}.json`, JSON.stringify(entry));
      } catch {
        // A file that it read is gone again: it will be run another time.
      }
    },
    watch: {
      async begin(kernel: Kernel, path: string) {
        seen.delete(path);
        if (isOurs(kernel)) await begin(kernel, "reads");
      },
      async end(kernel, path) {
        if (isOurs(kernel)) seen.set(path, await end<Seen>(kernel, "reads"));
      },
    },
  };
}

/** Everything but files that are read: a changed text cell runs nothing again. */
function keyOf(path: string, { quick = false, set = {}, kernel }: RunOptions): string {
  const { cells, metadata } = readNotebook(path);
  const code = cells.filter(isCode);
  const spec = typeof kernel === "object" && "argv" in kernel ? kernel : specOf(kernel ?? metadata.kernelspec?.name);
  const env = Object.entries(process.env).filter(([name]) =>
    /^(TF_|XLA_|CUDA_|WHETSTONE_(?!QUICK|MARK|TEST|REPORT|HISTORY|SLOW))/.test(name),
  );
  return hashOf(
    JSON.stringify([
      version,
      code.map(({ id, source, metadata }) => [id, source, metadata]),
      quick,
      set,
      process.version,
      spec,
      env.sort(),
      ...[lockOf(dirname(path)), buildOf(spec)].map((file) => (file === undefined ? "" : hashOf(readFileSync(file)))),
    ]),
  );
}

function specOf(kernel: string | readonly string[] | undefined): Kernelspec {
  if (kernel === undefined || typeof kernel === "string") return findKernelspec(kernel ?? "whetstone");
  return { name: basename(kernel[0]!), argv: [...kernel] };
}

/** What the kernel was built from. */
function buildOf({ argv }: Kernelspec): string | undefined {
  const front = argv.find((part) => part.endsWith(`${sep}front.js`));
  const stamp = front === undefined ? undefined : join(dirname(front), "build.json");
  return stamp !== undefined && existsSync(stamp) ? stamp : undefined;
}

/** The lock file of the packages, in the folder or the nearest one above. */
function lockOf(folder: string): string | undefined {
  const names = ["package-lock.json", "pnpm-lock.yaml", "yarn.lock"];
  const found = names.map((name) => join(folder, name)).find((file) => existsSync(file));
  if (found !== undefined || dirname(folder) === folder) return found;
  return lockOf(dirname(folder));
}

/** Packages are known by their lock file; the system's files are not the notebook's business, and its own it is known by its cells. */
function fingerprints({ read, listed, missing }: Seen, own: string): Fingerprint[] {
  const matters = (path: string) =>
    !path.includes(`${sep}node_modules${sep}`) &&
    !/^\/(proc|sys|dev|etc|run)\//.test(path) &&
    path !== own &&
    !path.startsWith(inside);
  return [
    ...read.filter((path) => matters(path) && existsSync(path)).map((path) => fingerprintOf(path)),
    ...listed.filter((path) => matters(path) && existsSync(path)).map((path) => fingerprintOf(path, "folder")),
    ...missing.filter((path) => matters(path) && !existsSync(path)).map((path) => fingerprintOf(path, "missing")),
  ];
}

const inside = join(import.meta.dirname, "inside") + sep;

/** The notebook as it stands, with the outputs of the run; nothing when its text cells have moved, or have no ids to be known by. */
function renewed(now: Notebook, then: Notebook): Notebook | undefined {
  const own = then.cells.filter((cell) => !tagsOf(cell).includes(injectedTag));
  const isTheSame = own.length === now.cells.length && now.cells.every(({ id }, i) => id && id === own[i]!.id);
  if (!isTheSame) return undefined;
  const texts = new Map(now.cells.filter((cell) => !isCode(cell)).map((cell) => [cell.id, cell]));
  return { ...then, metadata: now.metadata, cells: then.cells.map((cell) => texts.get(cell.id) ?? cell) };
}
