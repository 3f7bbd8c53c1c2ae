// Runs one cell: within its budgets, with what it shows kept whatever happens.
import { type Budgets, watchBudgets } from "./budgets.ts";
import { type Kernel, KernelDied } from "./client.ts";
import { forget, lineOfHang } from "./inside/where.ts";
import { failureOf, judge, whereOf } from "./judge.ts";
import type { CodeCell } from "./notebook.ts";
import type { CellResult } from "./result.ts";

/** A cell that is run, and what is said of it. */
export interface Run {
  cell: CodeCell;
  result: CellResult;
}

/** Seconds that a cell has to end when the whole run is to end: somebody waits. */
const abortGrace = 2;

/** Runs a cell and writes its verdict. `budgets.notebook` is what is left of it. */
export async function runCell(
  kernel: Kernel,
  { cell, result }: Run,
  budgets: Budgets,
  { onProgress, abort }: { onProgress(): void; abort?: AbortSignal },
): Promise<void> {
  const began = performance.now();
  const watch = watchBudgets(budgets, abort);
  const execution = execute(kernel, cell, (characters) => {
    watch.refresh();
    if (!watch.show(characters)) return false;
    onProgress();
    return true;
  });
  try {
    const first = await Promise.race([execution, watch.over]);
    const over = "over" in first ? first : undefined;
    const grace = over?.over === "abort" ? abortGrace : budgets.grace;
    const isHanging = over !== undefined && over.over !== "abort" && over.over !== "output";
    const line = isHanging ? await lineOfHang(kernel, cell.outputs) : undefined;
    const end = over === undefined ? await execution : await stop(kernel, execution, grace);
    const failure = end.died === undefined ? failureOf(cell, end.reply) : undefined;
    if (over !== undefined) {
      result.verdict = over.over === "abort" || over.over === "output" ? "error" : "timeout";
      result.reason = end.isStuck ? `${over.reason}, did not stop when interrupted, and was ended` : over.reason;
      result.next = line === "none" && over.over !== "notebook" ? waits + nextOf[over.over] : nextOf[over.over];
      // What the interrupt left says where the cell was.
      Object.assign(result, whereOf(cell, failure?.traceback ?? []));
      if (typeof line === "number") Object.assign(result, { line, source: cell.source.split("\n")[line - 1] });
      if (isHanging) forget(cell.outputs);
    } else if (end.died !== undefined) {
      result.verdict = "dead";
      result.reason = end.died.message;
    } else if (kernel.restarts > 0) {
      result.verdict = "dead";
      result.reason = "the kernel has started over, and its variables are gone";
    } else judge(cell, result, failure);
  } finally {
    watch.stop();
    result.seconds = (performance.now() - began) / 1000;
  }
}

const waits = "no line of it was running: it waits for a promise, a child process or native code; ";

const nextOf = {
  cell: "if it hangs, find out why there; if it only needs longer, give it more with --timeout SECONDS",
  notebook:
    "the report says how long each cell took; make the longest shorter, or allow more with --notebook-timeout SECONDS",
  silence: "if it computes that long in silence, show progress in it, or allow more with --silence SECONDS",
  output:
    "look for a loop that prints; if all of it is wanted, write it to a file, or allow more with --output-limit MEGABYTES",
  abort: "npm run notebooks -- --resume goes on where the run was stopped",
};

interface End {
  reply: Record<string, any>;
  died?: KernelDied;
  isStuck?: boolean;
}

/** `onOutput` is told of each message with its size, and says whether what it shows is still wanted. */
async function execute(kernel: Kernel, cell: CodeCell, onOutput: (characters: number) => boolean): Promise<End> {
  try {
    const { reply } = await kernel.execute(cell.source, {
      outputs: cell.outputs,
      onOutput: ({ content }) => onOutput(sizeOf(content)),
    });
    cell.execution_count = reply.execution_count ?? null;
    return { reply };
  } catch (error) {
    if (!(error instanceof KernelDied)) throw error;
    return { reply: {}, died: error };
  }
}

/** Characters of what a message shows. */
function sizeOf({ text, data }: Record<string, any>): number {
  if (typeof text === "string") return text.length;
  if (typeof data !== "object" || data === null) return 0;
  return Object.values(data).reduce(
    (sum: number, value) => sum + (typeof value === "string" ? value.length : (JSON.stringify(value)?.length ?? 0)),
    0,
  );
}

/** Interrupts a cell, and ends the kernel when that does not help. */
async function stop(kernel: Kernel, execution: Promise<End>, grace: number): Promise<End> {
  // The request may itself never be answered: the kernel's death then settles it.
  kernel.interrupt().catch(() => {});
  const end = await within(grace, execution);
  if (end !== "late") return end;
  await kernel.kill();
  return { ...(await execution), isStuck: true };
}

/** What the promise gives, or "late" after so many seconds. */
export async function within<T>(seconds: number, promise: Promise<T>): Promise<T | "late"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((settle) => {
    timer = setTimeout(settle, seconds * 1000, "late");
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
