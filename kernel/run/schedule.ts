// Runs several notebooks at a time.
import { availableParallelism } from "node:os";
import type { NotebookResult } from "./result.ts";
import { type Done, type RunOptions, runNotebook } from "./runner.ts";

export interface ScheduleOptions extends RunOptions {
  workers: number;
  /** Seconds that a notebook took the last time, for the order. */
  lastSeconds?(path: string): number | undefined;
  /** Gives the outcome of a notebook that need not be run, or runs it in its own way. */
  run?(path: string, options: RunOptions): Promise<Done>;
  onDone?(done: Done): void;
}

/** Runs notebooks, `workers` at a time, those first that took longest the last time. Results come in the order of `paths`. */
export async function runNotebooks(
  paths: readonly string[],
  { workers, lastSeconds, run = runNotebook, onDone, ...options }: ScheduleOptions,
): Promise<NotebookResult[]> {
  // One that is new may be long.
  const secondsOf = (path: string) => lastSeconds?.(path) ?? Infinity;
  const queue = [...paths].sort((a, b) => (secondsOf(b) === secondsOf(a) ? 0 : secondsOf(b) - secondsOf(a)));
  const results = new Map<string, NotebookResult>();
  const lanes = Math.min(Math.max(1, workers), paths.length);
  const env = { ...shareOfThreads(lanes), ...options.env };
  const work = async () => {
    for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
      const done = await run(path, { ...options, env });
      results.set(path, done.result);
      onDone?.(done);
    }
  };
  await Promise.all(Array.from({ length: lanes }, work));
  return paths.map((path) => results.get(path)!);
}

/** Kernels that run side by side share the cores: with a full set of threads each they wait for one another. */
function shareOfThreads(lanes: number): Record<string, string> {
  if (lanes < 2 || process.env.TF_NUM_INTRAOP_THREADS) return {};
  return { TF_NUM_INTRAOP_THREADS: String(Math.max(1, Math.floor(availableParallelism() / lanes))) };
}
