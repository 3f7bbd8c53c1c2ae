// The command line of the runner: what can be asked for, and what is refused before anything runs.
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Budgets, defaultBudgets } from "./budgets.ts";
import { defaultTolerance } from "./compare.ts";
import { readNotebook } from "./notebook.ts";
import { setParameters } from "./parameters.ts";
import type { Tolerance } from "./tolerance.ts";

const clone = join(import.meta.dirname, "../..");
/** The clone; for those who have the package only, the folder they are in. */
export const root = existsSync(join(clone, "notebooks")) ? clone : process.cwd();

export const usage = `npm run notebooks -- [files] [options]        (also: whetstone run [files] [options])

files: notebooks, their names (00-start-here), or folders; all of notebooks/ when there is none

what is run
  --quick           the short form of each notebook, as the tests run it
  --set name=value  a parameter of the cell with the tag "parameters"; may be repeated
  --kernel name     instead of the kernel that the notebook names
  --fresh           also notebooks that passed and on which nothing has changed since: code, imported files, data that
                    they read, packages, kernel, mode, parameters
  --from-failed     only those that did not pass when they were run last
  --resume          goes on with the run that was stopped, with its files and options
  --workers N       so many notebooks at a time (2)
limits: a cell that goes beyond is interrupted, and its kernel ended where that does not help
  --timeout s       seconds a cell may take (${defaultBudgets.cell})
  --notebook-timeout s  seconds a notebook may take (${defaultBudgets.notebook})
  --silence s       seconds a cell may give no sign of life (no limit)
  --output-limit MB what a cell may show (${defaultBudgets.output})
what must hold
  --compare         each cell shows what the file has: numbers within --rtol, times, paths and addresses apart. Cells with the
                    tag "volatile" are left out; metadata whetstone.compare of a cell or notebook: rtol, atol, ignore, replace
  --repeat N        runs each notebook N times; all runs must show the same
  --rtol x          how far a number may be off, as a part of it (${defaultTolerance.rtol})
what is written
  --write           puts the outputs into the notebooks that passed; otherwise they are in <reports>/executed
  --coverage folder which lines of its TypeScript files the notebooks executed (recipes)
  --reports folder  where index.html, notebooks.json, .xml, .md and the executed notebooks go (reports)

A cell with the tag "raises-exception" must fail; each tag "expect:TEXT" is the name of its error or a part of its text. A cell with
"skip-execution" is not run. The exit code is 0 when all passed, 1 when something failed, 2 when the command was wrong.
`;

/** A mistake in the command line: told without a stack. */
export class UsageError extends Error {}

export interface Arguments {
  help: boolean;
  files: string[];
  quick: boolean;
  set: Record<string, string>;
  kernel?: string;
  fresh: boolean;
  fromFailed: boolean;
  resume: boolean;
  workers: number;
  budgets: Partial<Budgets>;
  compare: boolean;
  repeat: number;
  tolerance: Tolerance;
  write: boolean;
  coverage?: string;
  reports: string;
}

export function readArguments(args: readonly string[]): Arguments {
  const { values, positionals } = parse(args);
  const number = (name: keyof typeof values & string) => positive(name, values[name] as string);
  const found: Arguments = {
    help: values.help,
    files: positionals,
    quick: values.quick,
    set: parametersFrom(values.set),
    kernel: values.kernel,
    fresh: values.fresh,
    fromFailed: values["from-failed"],
    resume: values.resume,
    workers: whole("workers", values.workers),
    budgets: {
      cell: number("timeout"),
      notebook: number("notebook-timeout"),
      silence: number("silence"),
      output: number("output-limit"),
    },
    compare: values.compare,
    repeat: whole("repeat", values.repeat),
    tolerance: { ...defaultTolerance, rtol: number("rtol") },
    write: values.write,
    coverage: values.coverage === undefined ? undefined : resolve(values.coverage),
    reports: resolve(values.reports),
  };
  refuseContradictions(found);
  return found;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        workers: { type: "string", default: "2" },
        quick: { type: "boolean", default: Boolean(process.env.WHETSTONE_QUICK) },
        set: { type: "string", multiple: true, default: [] as string[] },
        kernel: { type: "string" },
        fresh: { type: "boolean", default: false },
        "from-failed": { type: "boolean", default: false },
        resume: { type: "boolean", default: false },
        timeout: { type: "string", default: String(defaultBudgets.cell) },
        "notebook-timeout": { type: "string", default: String(defaultBudgets.notebook) },
        silence: { type: "string", default: String(defaultBudgets.silence) },
        "output-limit": { type: "string", default: String(defaultBudgets.output) },
        compare: { type: "boolean", default: false },
        repeat: { type: "string", default: "1" },
        rtol: { type: "string", default: String(defaultTolerance.rtol) },
        write: { type: "boolean", default: false },
        coverage: { type: "string" },
        reports: { type: "string", default: join(root, "reports") },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function refuseContradictions({ write, set, compare, quick, resume, files, fromFailed, coverage }: Arguments): void {
  const hasParameters = Object.keys(set).length > 0;
  if (write && hasParameters)
    throw new UsageError(
      "--write and --set do not go together: a notebook's outputs are those of the parameters in it",
    );
  if (compare && (quick || hasParameters))
    throw new UsageError(
      `--compare and ${quick ? "--quick" : "--set"} do not go together: the outputs in a notebook are those of its full form; --repeat 2 compares a run with another`,
    );
  if (resume && (files.length > 0 || hasParameters || fromFailed))
    throw new UsageError("--resume takes the files and options of the run that was stopped; give it none of its own");
  if (coverage !== undefined && !statSync(coverage, { throwIfNoEntry: false })?.isDirectory())
    throw new UsageError(`--coverage ${shown(coverage)}: there is no such folder`);
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new UsageError(`--${name} ${text}: a number above 0 is wanted`);
  return value;
}

function whole(name: string, text: string): number {
  const value = positive(name, text);
  if (!Number.isSafeInteger(value)) throw new UsageError(`--${name} ${text}: a whole number is wanted`);
  return value;
}

function parametersFrom(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=");
      if (at < 1) throw new UsageError(`--set ${text}: name=value is wanted`);
      return [text.slice(0, at).trim(), text.slice(at + 1)];
    }),
  );
}

/** Refuses parameters that one of the notebooks does not take, before any of them runs. */
export function checkParameters(paths: readonly string[], set: Readonly<Record<string, string>>): void {
  if (Object.keys(set).length === 0) return;
  for (const path of paths) {
    try {
      setParameters(readNotebook(path), set);
    } catch (error) {
      throw new UsageError(`${shown(path)}: ${(error as Error).message}`);
    }
  }
}

/** The paths of the notebooks that the arguments mean. */
export function findNotebooks(files: readonly string[]): string[] {
  const all = existsSync(join(root, "notebooks")) ? join(root, "notebooks") : root;
  const found = (files.length === 0 ? [all] : files).flatMap((file) => {
    const places = [resolve(file), resolve(`${file}.ipynb`), join(all, file), join(all, `${file}.ipynb`)];
    const path = places.find((place) => statSync(place, { throwIfNoEntry: false }) !== undefined);
    if (path === undefined) {
      throw new UsageError(`there is no notebook ${file}; looked for ${places.map(shown).join(", ")}`);
    }
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path)
      .filter((name) => name.endsWith(".ipynb") && !name.startsWith("."))
      .sort()
      .map((name) => join(path, name));
  });
  if (found.length === 0) throw new UsageError(`there is no notebook in ${files.join(", ") || shown(all)}`);
  const paths = [...new Set(found)];
  const names = paths.map((path) => basename(path));
  const double = names.find((name, i) => names.indexOf(name) !== i);
  if (double !== undefined) throw new UsageError(`two notebooks are named ${double}; run them one after the other`);
  return paths;
}

export const shown = (path: string) => relative(process.cwd(), path) || ".";
