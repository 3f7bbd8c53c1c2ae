// From ids to batches, and from items to splits. What reads files and packs documents is in recipes/data/.
import * as tf from "@tensorflow/tfjs-core";
import { type Rng, rng } from "./rng.ts";

export interface Batch {
  /** [batch, ctx] int32 */
  ids: tf.Tensor2D;
  /** [batch, ctx] int32: the id that follows each of `ids` */
  targets: tf.Tensor2D;
}

export interface BatchOptions {
  /** sequences in a batch */
  batch: number;
  /** ids in a sequence */
  ctx: number;
  rng: Rng;
  /** number of the first batch: to go on where a run stopped */
  start?: number;
}

/**
 * Batches without end, cut out of `ids` at random places. Batch number i depends on the generator and on i alone, so a
 * run that goes on at `start` sees what it would have seen. The caller disposes the tensors.
 */
export function* batches(ids: Int32Array, { batch, ctx, rng, start = 0 }: BatchOptions): Generator<Batch, never> {
  if (ids.length <= ctx)
    throw new Error(`batches: ${ids.length} ids are too few for ctx ${ctx}; wanted ${ctx + 1} or more.`);
  for (let i = start; ; i++) {
    const draw = rng.fork(i);
    yield stack(
      ids,
      Array.from({ length: batch }, () => draw.int(ids.length - ctx)),
      ctx,
    );
  }
}

export interface WindowOptions {
  batch: number;
  ctx: number;
  /** how many windows, spread evenly over the ids; all that fit without overlap if not given */
  sequences?: number;
}

/** Fixed windows of `ctx` ids without overlap, for evaluation, `batch` at a time; the last batch may be smaller. */
export function* windows(ids: Int32Array, { batch, ctx, sequences }: WindowOptions): Generator<Batch, void> {
  const fit = Math.floor((ids.length - 1) / ctx);
  const count = Math.min(sequences ?? fit, fit);
  const starts = Array.from({ length: count }, (_, i) => Math.floor((i * fit) / count) * ctx);
  for (let i = 0; i < count; i += batch) yield stack(ids, starts.slice(i, i + batch), ctx);
}

function stack(ids: Int32Array, starts: number[], ctx: number): Batch {
  const cut = (shift: number) => {
    const out = new Int32Array(starts.length * ctx);
    starts.forEach((at, row) => {
      out.set(ids.subarray(at + shift, at + shift + ctx), row * ctx);
    });
    return tf.tensor2d(out, [starts.length, ctx], "int32");
  };
  return { ids: cut(0), targets: cut(1) };
}

export type Split = "train" | "validation" | "test";

export interface SplitOptions {
  /** shares of the items; the rest is for training */
  validation?: number;
  test?: number;
  seed?: number;
}

/**
 * To which split an item of that name belongs. A function of the name alone: it stays when items are added, and no
 * item is ever in two splits.
 */
export function splitOf(name: string, { validation = 0.1, test = 0.1, seed = 0 }: SplitOptions = {}): Split {
  checkShares({ validation, test });
  const at = rng(seed).fork(name).next();
  return at < test ? "test" : at < test + validation ? "validation" : "train";
}

/**
 * The items in splits, in their order: by `name`, as splitOf does, or without one in exactly these shares, drawn by the
 * seed (then an item more changes where others belong).
 */
export function splits<T>(
  items: readonly T[],
  { validation = 0.1, test = 0.1, seed = 0, name }: SplitOptions & { name?: (item: T) => string } = {},
): Record<Split, T[]> {
  checkShares({ validation, test });
  const out: Record<Split, T[]> = { train: [], validation: [], test: [] };
  const [first, second] = [test, test + validation].map((share) => Math.round(share * items.length));
  const drawn: Split[] = [];
  const order = rng(seed).shuffle(items.map((_, i) => i));
  for (const [at, i] of order.entries()) drawn[i] = at < first ? "test" : at < second ? "validation" : "train";
  items.forEach((item, i) => {
    out[name ? splitOf(name(item), { validation, test, seed }) : drawn[i]].push(item);
  });
  return out;
}

function checkShares({ validation = 0, test = 0 }: SplitOptions): void {
  if (validation >= 0 && test >= 0 && validation + test <= 1) return;
  throw new Error(`splits: validation ${validation} and test ${test} are no shares; wanted 0 to 1, together too.`);
}
