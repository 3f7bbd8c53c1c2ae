// `npm run notebooks -- [files]`: runs notebooks headlessly, says what failed and where, and writes reports.
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Notebook, readNotebook, tagsOf, writeNotebook, writeWhole } from "./notebook.ts";
import { injectedTag, setParameters } from "./parameters.ts";
import { showProgress } from "./progress.ts";
import { markRan } from "./ran.ts";
import { countCells, failuresOf, junit, markdown, type Report } from "./report.ts";
import { defaultBudgets, runNotebooks } from "./runner.ts";

const root = join(import.meta.dirname, "../..");
const usage = `npm run notebooks -- [files] [options]

files: notebooks, their names (00-start-here), or folders; all of notebooks/ when there is none
  --workers N       so many notebooks at a time (2)
  --quick           the short form of each notebook, as the tests run it
  --set name=value  a parameter of the cell with the tag "parameters"; may be repeated
  --write           put the outputs into the notebooks that passed; otherwise they are in <reports>/executed
  --kernel name     instead of the kernel that the notebook names
  --timeout s       seconds a cell may take (${defaultBudgets.cell})
  --notebook-timeout s  seconds a notebook may take (${defaultBudgets.notebook})
  --silence s       seconds a cell may give no sign of life (no limit)
  --reports folder  where notebooks.json, .xml, .md and the executed notebooks go (reports)
`;

/** So often what a running notebook has shown is saved: it survives whatever happens to this process. */
const savePauseMs = 2000;

/** A mistake in the command line: told without a stack. */
class UsageError extends Error {}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        workers: { type: "string", default: "2" },
        quick: { type: "boolean", default: Boolean(process.env.WHETSTONE_QUICK) },
        set: { type: "string", multiple: true, default: [] },
        write: { type: "boolean", default: false },
        kernel: { type: "string" },
        timeout: { type: "string", default: String(defaultBudgets.cell) },
        "notebook-timeout": { type: "string", default: String(defaultBudgets.notebook) },
        silence: { type: "string", default: "Infinity" },
        reports: { type: "string", default: join(root, "reports") },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    return { ...values, files: positionals };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
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
function checkParameters(paths: readonly string[], set: Readonly<Record<string, string>>): void {
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
function findNotebooks(files: readonly string[]): string[] {
  const all = join(root, "notebooks");
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

const shown = (path: string) => relative(process.cwd(), path) || ".";

/** Ends the run at the first Ctrl-C or SIGTERM in good order, at the second at once. Kernels end in both cases. */
function abortOnSignals(): AbortSignal & { exitCode?: number } {
  const controller = new AbortController();
  const signal: AbortSignal & { exitCode?: number } = controller.signal;
  for (const [name, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15],
    ["SIGHUP", 1],
  ] as const) {
    process.on(name, () => {
      if (signal.aborted) process.exit(128 + number);
      signal.exitCode = 128 + number;
      controller.abort(new Error(`the run was stopped by ${name}`));
    });
  }
  return signal;
}

async function main(): Promise<number> {
  const args = readArguments();
  if (args.help) {
    console.log(usage);
    return 0;
  }
  const set = parametersFrom(args.set);
  if (args.write && Object.keys(set).length > 0) {
    throw new UsageError(
      "--write and --set do not go together: a notebook's outputs are those of the parameters in it",
    );
  }
  const paths = findNotebooks(args.files);
  checkParameters(paths, set);
  const workers = whole("workers", args.workers);
  const budgets = {
    cell: positive("timeout", args.timeout),
    notebook: positive("notebook-timeout", args["notebook-timeout"]),
    silence: positive("silence", args.silence),
  };
  const executed = join(args.reports, "executed");
  mkdirSync(executed, { recursive: true });
  const lastReport = join(args.reports, "notebooks.json");
  const abort = abortOnSignals();
  const progress = showProgress(paths.length);
  const began = performance.now();
  const unsaved = new Map<string, Notebook>();
  const save = (name: string, notebook: Notebook) => {
    unsaved.delete(name);
    writeNotebook(join(executed, `${name}.ipynb`), notebook);
  };
  const saving = setInterval(() => {
    for (const [name, notebook] of unsaved) save(name, notebook);
  }, savePauseMs);

  const results = await runNotebooks(paths, {
    workers,
    kernel: args.kernel,
    quick: args.quick,
    set,
    budgets,
    abort,
    lastReport,
    onStart: progress.start,
    onCell: progress.cell,
    onProgress({ name }, notebook) {
      unsaved.set(name, notebook);
    },
    onDone({ result, notebook }) {
      if (notebook !== undefined) save(result.name, notebook);
      if (notebook !== undefined && args.write && result.isPassed) {
        const cells = notebook.cells.filter((cell) => !tagsOf(cell).includes(injectedTag));
        writeNotebook(result.path, markRan({ ...notebook, cells }));
      }
      progress.done(result);
    },
  });
  clearInterval(saving);
  progress.stop();

  const report: Report = {
    ...countCells(results),
    mode: args.quick ? "quick" : "full",
    seconds: (performance.now() - began) / 1000,
    notebooks: results,
  };
  writeWhole(lastReport, `${JSON.stringify(report, null, 1)}\n`);
  writeWhole(join(args.reports, "notebooks.xml"), junit(report, root));
  writeWhole(join(args.reports, "notebooks.md"), markdown(report, root));
  for (const failure of results.flatMap((result) => failuresOf(result, process.cwd()))) {
    const [title, ...lines] = failure;
    console.log(`\n✘ ${title}\n${lines.map((line) => line.replaceAll(/^/gm, "    ")).join("\n")}`);
  }
  const { passed, failed, skipped } = report;
  console.log(
    `\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""} (cells of ${results.length} notebooks, ${report.mode} mode, ${report.seconds.toFixed(1)} s); reports in ${shown(args.reports)}`,
  );
  return abort.exitCode ?? (failed > 0 ? 1 : 0);
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\`npm run notebooks -- --help\` says what can be given.`);
  process.exitCode = 2;
}
