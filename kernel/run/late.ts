// What comes after a cell has ended: the error of a promise nobody waited for, the death of the kernel, a loop in a timer.
import { type Run, within } from "./cell.ts";
import type { Kernel } from "./client.ts";
import { expects, judge, lostState } from "./judge.ts";
import type { CellResult } from "./result.ts";

/** Changes the verdicts of cells to which that has happened. */
export async function findLateErrors(kernel: Kernel, runs: readonly Run[], grace: number): Promise<void> {
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
  try {
    // An expression, which reads the same in every language: kernels need not look at empty code.
    const first = await within(grace, kernel.execute("", { silent: true, userExpressions: { alive: "0" } }));
    if (first === "late")
      return { verdict: "timeout", reason: `the kernel was still busy ${grace} s after the cell had ended` };
    // The process of the cells ended, and this request is the first to hear of it.
    const { ename, evalue } = first.reply;
    return ename !== undefined && lostState.includes(ename)
      ? { verdict: "dead", reason: `after the cell had ended: ${ename}: ${evalue}` }
      : undefined;
  } catch (error) {
    return { verdict: "dead", reason: `after the cell had ended: ${(error as Error).message}` };
  }
}
