// `npm run notebooks -- [files]`: runs notebooks headlessly, says what failed and where, and writes reports.
import { mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import {
  type Arguments,
  checkParameters,
  findNotebooks,
  readArguments,
  root,
  shown,
  UsageError,
  usage,
} from "./arguments.ts";
import { openCache } from "./cache.ts";
import { openCoverage } from "./coverage.ts";
import { type Notebook, tagsOf, writeNotebook } from "./notebook.ts";
import { runOne } from "./one.ts";
import { injectedTag } from "./parameters.ts";
import { type Journal, openPast, readJournal } from "./past.ts";
import { showProgress } from "./progress.ts";
import { markRan } from "./ran.ts";
import { countCells, failuresOf, type Report } from "./report.ts";
import type { Done, RunOptions, Watch } from "./runner.ts";
import { keepSaved } from "./saving.ts";
import { runNotebooks } from "./schedule.ts";
import { Trouble } from "./trouble.ts";
import { writeReports } from "./write-reports.ts";

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

/** The run that is asked for: a new one, or the one that was stopped. */
function planned(args: Arguments): Journal {
  if (args.resume) return readJournal(args.reports);
  const { quick, set, kernel, write } = args;
  const all = findNotebooks(args.files);
  const paths = args.fromFailed ? openPast(args.reports).failed(all) : all;
  return { quick, set, kernel, write, paths, done: [], passed: {}, isFinished: false };
}

async function main(): Promise<number> {
  const args = readArguments(process.argv.slice(2));
  if (args.help) {
    console.log(usage);
    return 0;
  }
  const journal = planned(args);
  const { paths, quick, set, kernel } = journal;
  if (paths.length === 0) {
    console.log("every notebook passed when it was run last: nothing is left to run");
    return 0;
  }
  checkParameters(paths, set);
  const mode = quick ? "quick" : "full";
  const executed = join(args.reports, "executed");
  mkdirSync(executed, { recursive: true });
  const placeOf = (name: string) => join(executed, `${name}.ipynb`);
  const past = openPast(args.reports);
  const cache = openCache(join(args.reports, "cache"));
  const coverage = args.coverage === undefined ? undefined : openCoverage(args.coverage);
  const abort = abortOnSignals();
  const nameOf = (path: string) => basename(path, ".ipynb");
  const lastSeconds = (path: string) => past.secondsOf(path, mode);
  const expected = new Map(paths.map((path) => [nameOf(path), lastSeconds(path)]));
  const progress = showProgress({ expected, workers: args.workers });
  const began = performance.now();
  const { done: before, passed: cut } = journal;
  const saving = keepSaved(args.reports, { ...journal, done: [...before], passed: {} }, placeOf);
  const running = new Map<string, string>();

  const run = async (path: string, options: RunOptions): Promise<Done> => {
    const ended = before.find((result) => result.path === path);
    if (ended !== undefined) return { result: ended };
    running.set(nameOf(path), path);
    if (cut[path])
      progress.note(`  ${nameOf(path)}  its first ${cut[path]} cells run again, to bring back their variables`);
    const treatment = {
      // What is counted has to run.
      cache: args.fresh || coverage !== undefined ? undefined : cache,
      onChange: (_path: string, why: string) => progress.note(`  ${nameOf(path)}  runs: ${why}`),
      compare: args.compare,
      tolerance: args.tolerance,
      repeat: args.repeat,
    };
    const done = await runOne(path, { ...options, watch: both(cache.watch, coverage?.watch) }, treatment);
    if (args.fresh) cache.keep(path, options, done);
    if (cut[path]) done.result.resumedAfter = cut[path];
    return done;
  };
  const options = {
    kernel,
    quick,
    set,
    budgets: args.budgets,
    abort,
    onStart: progress.start,
    onCell(cell: { name: string; position: number; label: string }) {
      saving.atCell(running.get(cell.name)!, cell.position);
      progress.cell(cell);
    },
    onProgress: ({ name }: { name: string }, notebook: Notebook) => saving.shown(name, notebook),
  };

  const results = await runNotebooks(paths, {
    ...options,
    workers: args.workers,
    lastSeconds,
    run,
    onDone({ result, notebook }) {
      saving.ended(result, notebook, abort.aborted);
      if (notebook !== undefined && journal.write && result.isPassed) writeBack(result.path, notebook);
      if (!abort.aborted) past.remember(result, mode);
      progress.done(result);
    },
  });
  saving.end(abort.aborted);
  progress.stop();

  const seconds = (performance.now() - began) / 1000;
  const report: Report = { ...countCells(results), mode, seconds, notebooks: results, coverage: coverage?.files() };
  writeReports(args.reports, report, root, placeOf);
  tell(report, args.reports);
  return abort.exitCode ?? (report.failed > 0 ? 1 : 0);
}

/** Puts the outputs into the notebook itself. */
function writeBack(path: string, notebook: Notebook): void {
  const cells = notebook.cells.filter((cell) => !tagsOf(cell).includes(injectedTag));
  writeNotebook(path, markRan({ ...notebook, cells }));
}

function both(...watches: (Watch | undefined)[]): Watch {
  const each = watches.filter((watch) => watch !== undefined);
  return {
    async begin(kernel, path) {
      for (const watch of each) await watch.begin(kernel, path);
    },
    async end(kernel, path) {
      for (const watch of each) await watch.end(kernel, path);
    },
  };
}

function tell({ notebooks, passed, failed, skipped, mode, seconds }: Report, reports: string): void {
  for (const result of notebooks) {
    for (const [title, ...lines] of failuresOf(result, process.cwd()))
      console.log(`\n✘ ${title}\n${lines.map((line) => line.replaceAll(/^/gm, "    ")).join("\n")}`);
  }
  const unchanged = notebooks.filter(({ isCached }) => isCached).length;
  const kept =
    unchanged === 0 ? "" : `, ${unchanged} of them unchanged since they passed: --fresh runs them all the same`;
  console.log(
    `\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""} (cells of ${notebooks.length} notebooks, ${mode} mode, ${seconds.toFixed(1)} s${kept}); reports in ${shown(reports)}`,
  );
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof Trouble) console.error(`${error.message}\nNext: ${error.next}`);
  else if (error instanceof UsageError)
    console.error(`${error.message}\n\`npm run notebooks -- --help\` says what can be given.`);
  else throw error;
  process.exitCode = 2;
}
