// Questions to the worker about the values of variables: for the panel of variables, and for tooltips.
import type { VariablesAnswer, VariablesRequest } from "../worker/protocol.ts";
import type { Kernel } from "./kernel.ts";

/** A cell that computes answers nothing: the panel then says so instead of waiting. */
const patienceMs = 3_000;

/**
 * Asks the worker for variables. One that computes does not answer: after `patience` nobody waits for it any more, and a
 * view of the user's own that does not end is stopped.
 */
export async function askVariables(
  kernel: Kernel,
  question: VariablesRequest["ask"],
  patience = patienceMs,
): Promise<VariablesAnswer> {
  const run = ++kernel.runs;
  const { promise, resolve } = Promise.withResolvers<VariablesAnswer>();
  const timer = setTimeout(() => {
    if (kernel.running === undefined) kernel.worker.interrupt(run);
    resolve({ failed: "the cell that runs leaves no time to look at variables" });
  }, patience);
  kernel.questions.set(run, resolve);
  kernel.worker.inspect({ type: "variables", run, ask: question });
  const answer = await promise;
  clearTimeout(timer);
  kernel.questions.delete(run);
  return answer;
}
