// `npm run notebooks -- [files]`: runs notebooks headlessly, says what failed and where, and writes reports.
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Notebook, tagsOf, writeNotebook, writeWhole } from "./notebook.ts";
import { injectedTag } from "./parameters.ts";
import { showProgress } from "./progress.ts";
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

/** So often at most a notebook that runs is saved: what it had shown survives whatever happens to this process. */
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

function parametersFrom(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=");
      if (at < 1) throw new UsageError(`--set ${text}: name=value is wanted`);
      return [text.slice(0, at).trim(), text.slice(at + 1)];
    }),
  );
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
  const executed = join(args.reports, "executed");
  mkdirSync(executed, { recursive: true });
  const lastReport = join(args.reports, "notebooks.json");
  const abort = abortOnSignals();
  const progress = showProgress(paths.length);
  const began = performance.now();
  const saved = new Map<string, number>();
  const save = ({ name }: { name: string }, notebook: Notebook) =>
    writeNotebook(join(executed, `${name}.ipynb`), notebook);

  const results = await runNotebooks(paths, {
    workers: positive("workers", args.workers),
    kernel: args.kernel,
    quick: args.quick,
    set,
    budgets: {
      cell: positive("timeout", args.timeout),
      notebook: positive("notebook-timeout", args["notebook-timeout"]),
      silence: positive("silence", args.silence),
    },
    abort,
    lastReport,
    onStart: progress.start,
    onCell: progress.cell,
    onProgress(run, notebook) {
      if (performance.now() - (saved.get(run.name) ?? 0) < savePauseMs) return;
      save(run, notebook);
      saved.set(run.name, performance.now());
    },
    onDone({ result, notebook }) {
      if (notebook !== undefined) save(result, notebook);
      if (notebook !== undefined && args.write && result.isPassed) {
        const cells = notebook.cells.filter((cell) => !tagsOf(cell).includes(injectedTag));
        writeNotebook(result.path, { ...notebook, cells });
      }
      progress.done(result);
    },
  });
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
  console.error(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}
