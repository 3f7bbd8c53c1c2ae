// Which run an output belongs to: also one that comes late, from a timer, a promise or a callback that the run left behind.
import { AsyncLocalStorage } from "node:async_hooks";
import type { ErrorContent, View } from "./protocol.ts";

/** Takes output that code gives instead of its cell. */
export interface Sink {
  text(name: "stdout" | "stderr", text: string): void;
  display(view: View, id: string, isUpdate: boolean): void;
  clear(wait: boolean): void;
  error(error: ErrorContent): void;
}

const runOf = new AsyncLocalStorage<number>();
const sinkOf = new AsyncLocalStorage<Sink>();
let newest = 0;

/** Calls `start` so that everything it begins, now or later, belongs to the run. */
export function inRun<T>(run: number, start: () => T): T {
  newest = run;
  return runOf.run(run, start);
}

/** As `inRun`, for a message that comes beside cells: what belongs to no known run stays with the newest cell. */
export function beside<T>(run: number, start: () => T): T {
  return runOf.run(run, start);
}

/** The run that the caller belongs to; the newest one where that is not known, such as in a native callback. */
export function currentRun(): number {
  return runOf.getStore() ?? newest;
}

/** Calls `code`: what it, and all that it begins, prints and displays goes to the sink. */
export function captured<T>(sink: Sink, code: () => T): T {
  return sinkOf.run(sink, code);
}

export function currentSink(): Sink | undefined {
  return sinkOf.getStore();
}
