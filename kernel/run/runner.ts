// Runs one notebook in a kernel of its own and judges every code cell.
import { basename, dirname, resolve } from "node:path";
import { type Budgets, defaultBudgets } from "./budgets.ts";
import { type Run, runCell } from "./cell.ts";
import { type Kernel, startKernel } from "./client.ts";
import { adviseOnCells, adviseOnProblem } from "./explain.ts";
import { prepare as prepareForHang } from "./inside/where.ts";
import type { Kernelspec } from "./kernelspec.ts";
import { findLateErrors } from "./late.ts";
import { type CodeCell, isCode, type Notebook, readNotebook, tagsOf } from "./notebook.ts";
import { declaresParameter, setParameters } from "./parameters.ts";
import { type CellResult, isFailure, labelOf, type NotebookResult } from "./result.ts";

export { type Budgets, defaultBudgets } from "./budgets.ts";
export { type CellResult, labelOf, type NotebookResult, plain, type Verdict } from "./result.ts";
export { runNotebooks } from "./schedule.ts";

export interface RunOptions {
  /** Instead of the kernel that the notebook names. */
  kernel?: string | readonly string[] | Kernelspec;
  /** WHETSTONE_QUICK=1 for the kernel, and `quick = true` where the notebook declares it without reading that variable. */
  quick?: boolean;
  /** Parameters as texts, see `setParameters`. */
  set?: Readonly<Record<string, string>>;
  budgets?: Partial<Budgets>;
  /** Variables added to the environment of the kernel. */
  env?: Record<string, string>;
  /** Ends the run: the running cell counts as failed, the rest as not reached. */
  abort?: AbortSignal;
  onStart?(run: { name: string; cells: number }): void;
  /** Before each cell; `position` counts code cells that are run, from 1. */
  onCell?(run: { name: string; position: number; label: string }): void;
  /** Whenever a cell has shown something or has ended, with the notebook as it stands. */
  onProgress?(run: { name: string }, notebook: Notebook): void;
  /** What is asked of each kernel beside its cells. */
  watch?: Watch;
}

/** Looks into a kernel before its first cell and after its last one. What it throws is no failure of the notebook. */
export interface Watch {
  begin(kernel: Kernel, path: string): Promise<void>;
  end(kernel: Kernel, path: string): Promise<void>;
}

export interface Done {
  result: NotebookResult;
  notebook?: Notebook;
}

/**
 * Runs one notebook in its own folder and stops at the first cell that fails. Resolves to the verdicts and the notebook with its new outputs;
 * rejects never: what goes wrong outside the cells is `problem`.
 */
export async function runNotebook(path: string, options: RunOptions = {}): Promise<Done> {
  const began = performance.now();
  const name = basename(path, ".ipynb");
  const result: NotebookResult = { name, path, isPassed: false, seconds: 0, startSeconds: 0, cells: [] };
  const budgets = { ...defaultBudgets, ...options.budgets };
  let notebook: Notebook | undefined;
  try {
    const source = readNotebook(path);
    notebook = prepare(source, options);
    const runs = notebook.cells.flatMap((cell, i) =>
      isCode(cell) && cell.source.trim() !== "" ? [{ cell, result: notReached(cell, i + 1) }] : [],
    );
    result.cells = runs.map((run) => run.result);
    options.onStart?.({ name, cells: runs.length });
    await runCells(notebook, runs, { ...options, path, budgets, began, result });
    result.isPassed = !result.cells.some((cell) => isFailure(cell) || cell.verdict === "not reached");
  } catch (error) {
    result.problem = (error as Error).message;
    result.next = adviseOnProblem(error as Error, path);
  }
  if (notebook !== undefined) adviseOnCells(notebook, result);
  result.seconds = secondsSince(began);
  return { result, notebook };
}

/** The notebook that is run: parameters set, outputs of cells that will run again gone. */
export function prepare(source: Notebook, { quick = false, set = {} }: RunOptions): Notebook {
  const isQuick = quick && set.quick === undefined && declaresParameter(source, "quick", "WHETSTONE_QUICK");
  const notebook = setParameters(source, isQuick ? { quick: "true", ...set } : set);
  for (const cell of notebook.cells) {
    if (!isCode(cell) || tagsOf(cell).includes("skip-execution")) continue;
    cell.outputs = [];
    cell.execution_count = null;
  }
  return notebook;
}

interface Running extends RunOptions {
  path: string;
  budgets: Budgets;
  began: number;
  result: NotebookResult;
}

async function runCells(notebook: Notebook, runs: readonly Run[], options: Running): Promise<void> {
  const { path, budgets, began, result, abort, watch } = options;
  const started = performance.now();
  const kernel = await startKernel(options.kernel ?? notebook.metadata.kernelspec?.name ?? "whetstone", {
    cwd: resolve(dirname(path)),
    env: { ...options.env, WHETSTONE_QUICK: isQuickRun(options) ? "1" : "" },
    startTimeout: budgets.start * 1000,
    abort,
  });
  result.startSeconds = secondsSince(started);
  const onProgress = () => options.onProgress?.(result, notebook);
  try {
    await prepareForHang(kernel);
    await watch?.begin(kernel, path).catch(() => {});
    for (const [i, run] of runs.entries()) {
      if (tagsOf(run.cell).includes("skip-execution")) {
        run.result.verdict = "skipped";
        run.result.reason = 'it has the tag "skip-execution"';
        continue;
      }
      abort?.throwIfAborted();
      options.onCell?.({ name: result.name, position: i + 1, label: labelOf(run.result) });
      const left = budgets.notebook - secondsSince(began);
      await runCell(kernel, run, { ...budgets, notebook: left }, { onProgress, abort });
      onProgress();
      if (run.result.verdict !== "ok") break;
    }
    if (!abort?.aborted) {
      await findLateErrors(kernel, runs, budgets.grace);
      await watch?.end(kernel, path).catch(() => {});
    }
  } finally {
    await kernel.shutdown(abort?.aborted ? 1000 : 5000);
  }
}

/** Told either way: the variable that this process was given must not decide for a run that says otherwise. */
const isQuickRun = ({ quick = false, set = {} }: RunOptions) =>
  set.quick === undefined ? quick : set.quick === "true";

function notReached({ id }: CodeCell, position: number): CellResult {
  return { position, id, verdict: "not reached", seconds: 0 };
}

const secondsSince = (began: number) => (performance.now() - began) / 1000;
