// Runs notebooks, each in a kernel of its own, and judges every code cell.
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { type Kernel, KernelDied, startKernel } from "./client.ts";
import type { Kernelspec } from "./kernelspec.ts";
import { type CodeCell, isCode, type Notebook, readNotebook, tagsOf } from "./notebook.ts";
import { declaresParameter, setParameters } from "./parameters.ts";

/** "dead": the kernel, or the process of its cells, ended. "not reached": an earlier cell failed. */
export type Verdict = "ok" | "error" | "timeout" | "dead" | "skipped" | "not reached";

export interface CellResult {
  /** Among all cells, from 1. */
  position: number;
  id?: string;
  verdict: Verdict;
  seconds: number;
  /** Why the verdict is what it is, unless it is "ok". */
  reason?: string;
  traceback?: string[];
  /** The line of the cell where it failed, from 1, and its text. */
  line?: number;
  source?: string;
}

export interface NotebookResult {
  name: string;
  path: string;
  isPassed: boolean;
  seconds: number;
  /** From the start of the kernel's process to its first answer. */
  startSeconds: number;
  cells: CellResult[];
  /** Why no cell could be run, or no further one, where that is not the doing of a cell. */
  problem?: string;
}

export interface Budgets {
  /** Seconds. */
  cell: number;
  notebook: number;
  start: number;
  /** Without any message from a running cell; Infinity: no limit. */
  silence: number;
  /** Between the interrupt of a cell that is over its budget and the end of its kernel. */
  grace: number;
}

export const defaultBudgets: Budgets = { cell: 300, notebook: 1200, start: 60, silence: Infinity, grace: 5 };

export interface RunOptions {
  /** Instead of the kernel that the notebook names. */
  kernel?: string | readonly string[] | Kernelspec;
  /** WHETSTONE_QUICK=1 for the kernel, and `quick = true` where the notebook declares it without reading that variable. */
  quick?: boolean;
  /** Parameters as texts, see `setParameters`. */
  set?: Readonly<Record<string, string>>;
  budgets?: Partial<Budgets>;
  /** Ends the run: the running cell counts as failed, the rest as not reached. */
  abort?: AbortSignal;
  onStart?(run: { name: string; cells: number }): void;
  /** Before each cell; `position` counts code cells that are run, from 1. */
  onCell?(run: { name: string; position: number; label: string }): void;
  /** Whenever a cell has shown something or has ended, with the notebook as it stands. */
  onProgress?(run: { name: string }, notebook: Notebook): void;
}

/** Seconds that a cell has to end when the whole run is to end: somebody waits. */
const abortGrace = 2;
/** What our kernel answers when the process of the cells has ended and taken all variables with it. */
const lostState = ["ProcessExit", "OutOfMemory"];

export const labelOf = ({ id, position }: { id?: string; position: number }) =>
  id === undefined ? `cell ${position}` : `cell ${position} (${id})`;

/**
 * Runs one notebook in its own folder and stops at the first cell that fails. Resolves to the verdicts and the notebook with its new outputs;
 * rejects never: what goes wrong outside the cells is `problem`.
 */
export async function runNotebook(
  path: string,
  options: RunOptions = {},
): Promise<{ result: NotebookResult; notebook?: Notebook }> {
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
    result.isPassed = result.cells.every(({ verdict }) => verdict === "ok" || verdict === "skipped");
  } catch (error) {
    result.problem = (error as Error).message;
  }
  result.seconds = secondsSince(began);
  return { result, notebook };
}

/** The notebook that is run: parameters set, outputs of cells that will run again gone. */
function prepare(source: Notebook, { quick = false, set = {} }: RunOptions): Notebook {
  const isQuick = quick && set.quick === undefined && declaresParameter(source, "quick", "WHETSTONE_QUICK");
  const notebook = setParameters(source, isQuick ? { quick: "true", ...set } : set);
  for (const cell of notebook.cells) {
    if (!isCode(cell) || tagsOf(cell).includes("skip-execution")) continue;
    cell.outputs = [];
    cell.execution_count = null;
  }
  return notebook;
}

interface Run {
  cell: CodeCell;
  result: CellResult;
}

interface Running extends RunOptions {
  path: string;
  budgets: Budgets;
  began: number;
  result: NotebookResult;
}

async function runCells(notebook: Notebook, runs: readonly Run[], options: Running): Promise<void> {
  const { path, budgets, began, result, abort, quick = false, set = {} } = options;
  const isQuick = set.quick === undefined ? quick : set.quick === "true";
  const started = performance.now();
  const kernel = await startKernel(options.kernel ?? notebook.metadata.kernelspec?.name ?? "whetstone", {
    cwd: resolve(dirname(path)),
    // Told either way: the variable that this process was given must not decide for a run that says otherwise.
    env: { WHETSTONE_QUICK: isQuick ? "1" : "" },
    startTimeout: budgets.start * 1000,
    abort,
  });
  result.startSeconds = secondsSince(started);
  const onProgress = () => options.onProgress?.(result, notebook);
  try {
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
    if (!abort?.aborted) await findLateErrors(kernel, runs, budgets.grace);
  } finally {
    await kernel.shutdown(abort?.aborted ? 1000 : 5000);
  }
}

/** Runs a cell and writes its verdict. `budgets.notebook` is what is left of it. */
async function runCell(
  kernel: Kernel,
  { cell, result }: Run,
  budgets: Budgets,
  { onProgress, abort }: { onProgress(): void; abort?: AbortSignal },
): Promise<void> {
  const began = performance.now();
  const watch = watchBudgets(budgets, abort);
  const execution = execute(kernel, cell, () => {
    watch.refresh();
    onProgress();
  });
  try {
    const first = await Promise.race([execution, watch.over]);
    const over = "over" in first ? first : undefined;
    const end =
      over === undefined ? await execution : await stop(kernel, execution, over.isAborted ? abortGrace : budgets.grace);
    const failure = end.died === undefined ? failureOf(cell, end.reply) : undefined;
    if (over !== undefined) {
      result.verdict = over.isAborted ? "error" : "timeout";
      result.reason = end.isStuck ? `${over.over}, did not stop when interrupted, and was ended` : over.over;
      // What the interrupt left says where the cell was.
      Object.assign(result, whereOf(cell, failure?.traceback ?? []));
    } else if (end.died !== undefined) {
      result.verdict = "dead";
      result.reason = end.died.message;
    } else if (kernel.restarts > 0) {
      result.verdict = "dead";
      result.reason = "the kernel has started over, and its variables are gone";
    } else judge(cell, result, failure);
  } finally {
    watch.stop();
    result.seconds = secondsSince(began);
  }
}

interface End {
  reply: Record<string, any>;
  died?: KernelDied;
  isStuck?: boolean;
}

async function execute(kernel: Kernel, cell: CodeCell, onOutput: () => void): Promise<End> {
  try {
    const { reply } = await kernel.execute(cell.source, { outputs: cell.outputs, onOutput });
    cell.execution_count = reply.execution_count ?? null;
    return { reply };
  } catch (error) {
    if (!(error instanceof KernelDied)) throw error;
    return { reply: {}, died: error };
  }
}

/** Interrupts a cell, and ends the kernel when that does not help. */
async function stop(kernel: Kernel, execution: Promise<End>, grace: number): Promise<End> {
  // The request may itself never be answered: the kernel's death then settles it.
  kernel.interrupt().catch(() => {});
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((settle) => {
    timer = setTimeout(settle, grace * 1000, "late");
  });
  const end = await Promise.race([execution, late]);
  clearTimeout(timer);
  if (end !== "late") return end;
  await kernel.kill();
  return { ...(await execution), isStuck: true };
}

interface Over {
  over: string;
  isAborted: boolean;
}

/** Node's timers cannot wait longer: 24 days. */
const longestTimer = 2 ** 31 - 1;

/** Settles when the first of the budgets is used up, or the run is to end. */
function watchBudgets({ cell, notebook, silence }: Budgets, abort?: AbortSignal) {
  const { promise: over, resolve: tell } = Promise.withResolvers<Over>();
  const timers: NodeJS.Timeout[] = [];
  const within = (seconds: number, text: string) => {
    if (!Number.isFinite(seconds)) return undefined;
    const timer = setTimeout(() => tell({ over: text, isAborted: false }), Math.min(seconds * 1000, longestTimer));
    timers.push(timer);
    return timer;
  };
  within(cell, `it ran longer than the ${cell} s a cell may take`);
  within(notebook, "the notebook ran longer than it may take");
  const quiet = within(silence, `it gave no sign of life for ${silence} s`);
  const onAbort = () => tell({ over: reasonOf(abort!), isAborted: true });
  if (abort?.aborted) onAbort();
  abort?.addEventListener("abort", onAbort, { once: true });
  return {
    over,
    /** The cell has given a sign of life. */
    refresh: () => void quiet?.refresh(),
    stop() {
      for (const timer of timers) clearTimeout(timer);
      abort?.removeEventListener("abort", onAbort);
    },
  };
}

interface Failure {
  ename: string;
  evalue: string;
  traceback: string[];
}

/** The error of a cell: that of the reply, or one that it shows although its reply is "ok". */
function failureOf(cell: CodeCell, reply: Record<string, any>): Failure | undefined {
  const shown = cell.outputs.find((output) => output.output_type === "error");
  if (reply.status === "ok" || reply.status === undefined) return shown;
  const { ename = reply.status ?? "Error", evalue = "", traceback = [] } = reply;
  return { ename, evalue, traceback: traceback.length === 0 ? (shown?.traceback ?? []) : traceback };
}

/** The verdict of a cell that has ended by itself, with `failure` or without. */
function judge(cell: CodeCell, result: CellResult, failure: Failure | undefined) {
  const reason = expects(cell)
    ? mismatch(cell, failure)
    : failure === undefined
      ? undefined
      : `${failure.ename}: ${failure.evalue}`;
  if (reason === undefined) {
    result.verdict = "ok";
    return;
  }
  result.verdict = failure !== undefined && lostState.includes(failure.ename) ? "dead" : "error";
  result.reason = reason;
  if (failure !== undefined) Object.assign(result, whereOf(cell, failure.traceback));
}

const expectedTexts = (cell: CodeCell) =>
  tagsOf(cell).flatMap((tag) => (tag.startsWith("expect:") ? [tag.slice("expect:".length)] : []));
const expects = (cell: CodeCell) => tagsOf(cell).includes("raises-exception") || expectedTexts(cell).length > 0;

/** What the error of a cell that must fail lacks: each `expect:` tag is its name or a part of its text. */
function mismatch(cell: CodeCell, failure: Failure | undefined): string | undefined {
  const wanted = expectedTexts(cell);
  const what = wanted.length === 0 ? "an error" : `an error with ${wanted.join(" and ")}`;
  if (failure === undefined) return `it should fail (${what} is expected), and ran through`;
  const { ename, evalue } = failure;
  const lacking = wanted.filter((text) => ename !== text && !evalue.includes(text));
  return lacking.length === 0 ? undefined : `${what} is expected; it failed with ${ename}: ${evalue}`;
}

/** The traceback, and the line of this cell that it names: `In[3]:4:9` of our kernel, `----> 4` of IPython. */
function whereOf(cell: CodeCell, traceback: readonly string[]): Pick<CellResult, "traceback" | "line" | "source"> {
  const text = traceback.join("\n");
  const found = new RegExp(`\\bIn\\[${cell.execution_count}\\]:(\\d+)`).exec(text) ?? /^-+> (\d+) /m.exec(plain(text));
  const line = found === null ? undefined : Number(found[1]);
  return {
    traceback: [...traceback],
    line,
    source: line === undefined ? undefined : cell.source.split("\n")[line - 1],
  };
}

/** What came after a cell had ended: the error of a promise nobody waited for, the death of the kernel, a loop in a timer. */
async function findLateErrors(kernel: Kernel, runs: readonly Run[], grace: number) {
  // What the kernel had to say before it answers this has come when the answer comes.
  const end = await answer(kernel, grace);
  for (const { cell, result } of runs) {
    if (result.verdict !== "ok" || expects(cell)) continue;
    const late = cell.outputs.find((output) => output.output_type === "error");
    if (late === undefined) continue;
    judge(cell, result, late);
    result.reason = `after the cell had ended: ${result.reason}`;
  }
  const last = runs.findLast(({ result }) => result.verdict !== "skipped")?.result;
  if (end !== undefined && last?.verdict === "ok") Object.assign(last, end);
}

/** Why the kernel does not answer any more, if it does not. */
async function answer(kernel: Kernel, grace: number): Promise<Pick<CellResult, "verdict" | "reason"> | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((settle) => {
    timer = setTimeout(settle, grace * 1000, "late");
  });
  try {
    // An expression, which reads the same in every language: kernels need not look at empty code.
    const first = await Promise.race([kernel.execute("", { silent: true, userExpressions: { alive: "0" } }), late]);
    if (first === "late")
      return { verdict: "timeout", reason: `the kernel was still busy ${grace} s after the cell had ended` };
    // The process of the cells ended, and this request is the first to hear of it.
    const { ename, evalue } = first.reply;
    return ename !== undefined && lostState.includes(ename)
      ? { verdict: "dead", reason: `after the cell had ended: ${ename}: ${evalue}` }
      : undefined;
  } catch (error) {
    return { verdict: "dead", reason: `after the cell had ended: ${(error as Error).message}` };
  } finally {
    clearTimeout(timer);
  }
}

/** Runs notebooks, `workers` at a time, those first that took longest the last time. Results come in the order of `paths`. */
export async function runNotebooks(
  paths: readonly string[],
  options: RunOptions & {
    workers: number;
    /** The last report in JSON, for the order; it need not exist. */
    lastReport?: string;
    onDone?(done: { result: NotebookResult; notebook?: Notebook }): void;
  },
): Promise<NotebookResult[]> {
  const seconds = lastSeconds(options.lastReport);
  // One that is new may be long.
  const secondsOf = (path: string) => seconds.get(basename(path, ".ipynb")) ?? Infinity;
  const queue = [...paths].sort((a, b) => (secondsOf(b) === secondsOf(a) ? 0 : secondsOf(b) - secondsOf(a)));
  const results = new Map<string, NotebookResult>();
  const work = async () => {
    for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
      const done = await runNotebook(path, options);
      results.set(path, done.result);
      options.onDone?.(done);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, options.workers) }, work));
  return paths.map((path) => results.get(path)!);
}

function lastSeconds(report: string | undefined): Map<string, number> {
  if (report === undefined || !existsSync(report)) return new Map();
  try {
    const { notebooks } = JSON.parse(readFileSync(report, "utf8")) as { notebooks: NotebookResult[] };
    return new Map(notebooks.map(({ name, seconds }) => [name, seconds]));
  } catch {
    return new Map(); // only the order depends on it
  }
}

function notReached({ id }: CodeCell, position: number): CellResult {
  return { position, id, verdict: "not reached", seconds: 0 };
}

/** Without the escape codes of terminals. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape codes begin with a control character
export const plain = (text: string) => text.replaceAll(/\x1b\[[0-9;?]*[A-Za-z]/g, "");

const reasonOf = ({ reason }: AbortSignal) => (reason instanceof Error ? reason.message : String(reason));
const secondsSince = (began: number) => (performance.now() - began) / 1000;
