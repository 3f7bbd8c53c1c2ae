// What is done with one notebook of a run: taken as it is where nothing has changed, else run, as often as asked, and compared.
import type { Cache } from "./cache.ts";
import { compareNotebooks } from "./compare.ts";
import { adviseOnCells } from "./explain.ts";
import { type Notebook, readNotebook } from "./notebook.ts";
import { isFailure } from "./result.ts";
import { type Done, type RunOptions, runNotebook } from "./runner.ts";
import type { Tolerance } from "./tolerance.ts";

export interface Treatment {
  /** Where notebooks that need not be run are found. */
  cache?: Cache;
  /** Why a notebook is run although it is in the cache. */
  onChange?(path: string, reason: string): void;
  /** Compares with the outputs that are in the file. */
  compare?: boolean;
  tolerance: Tolerance;
  /** Runs it so often; each run must show what the first one showed. */
  repeat: number;
}

export async function runOne(path: string, options: RunOptions, treatment: Treatment): Promise<Done> {
  const { cache, compare, tolerance, repeat } = treatment;
  const found = repeat > 1 || compare ? undefined : tryCache(cache, path, options);
  if (typeof found === "object") return found;
  if (found !== undefined) treatment.onChange?.(path, found);
  const done = await runNotebook(path, options);
  if (compare) hold(done, readNotebook(path), "the one in the file", tolerance);
  const { result } = done;
  for (let i = 2; i <= repeat && result.isPassed && done.notebook !== undefined; i++) {
    const again = await runNotebook(path, options);
    result.seconds += again.result.seconds;
    if (again.result.isPassed) hold(again, done.notebook, `that of the first of ${i} runs`, tolerance);
    if (again.result.isPassed) continue;
    return { ...again, result: { ...again.result, seconds: result.seconds } };
  }
  cache?.keep(path, options, done);
  return done;
}

/** A notebook that cannot even be read is run, which says why it cannot. */
function tryCache(cache: Cache | undefined, path: string, options: RunOptions): Done | string | undefined {
  try {
    return cache?.find(path, options);
  } catch {
    return undefined;
  }
}

/** Cells that show something else than before fail. */
function hold({ result, notebook }: Done, before: Notebook, what: string, tolerance: Tolerance): void {
  if (notebook === undefined) return;
  for (const [cell, difference] of compareNotebooks(before, notebook, { tolerance, what })) {
    const judged = result.cells.find(({ position }) => notebook.cells[position - 1] === cell);
    if (judged?.verdict !== "ok") continue;
    judged.verdict = "error";
    judged.reason = difference;
  }
  if (result.cells.some(isFailure)) result.isPassed = false;
  adviseOnCells(notebook, result);
}
