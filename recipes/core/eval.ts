// Measures of quality, with the spread that belongs to them.
import * as tf from "@tensorflow/tfjs-core";
import { windows } from "./data.ts";
import { crossEntropyEach } from "./ops.ts";
import { rng } from "./rng.ts";

/**
 * Loss per token in nat of a language model on fixed windows of `ids`, and that of each window (for paired comparisons).
 * `logits` maps ids [B, T] to [B, T, V]. `sequences` windows, spread evenly over the ids; make it a multiple of `batch`,
 * or a jitted `logits` compiles a second program for the smaller last batch.
 */
export function lmLoss(
  logits: (ids: tf.Tensor2D) => tf.Tensor,
  ids: Int32Array,
  { batch = 16, ctx, sequences }: { batch?: number; ctx: number; sequences?: number },
): { mean: number; each: number[]; tokens: number } {
  const each: number[] = [];
  for (const { ids: x, targets } of windows(ids, { batch, ctx, sequences })) {
    each.push(...tf.tidy(() => tf.mean(crossEntropyEach(logits(x), targets), 1).dataSync()));
    tf.dispose([x, targets]);
  }
  if (!each.length) throw new Error(`lmLoss: ${ids.length} ids are too few for ctx ${ctx}; wanted ${ctx + 1} or more.`);
  return { mean: average(each), each, tokens: each.length * ctx };
}

/** Share of positions where the largest logit is that of the target; only where `mask` is not 0, if given. */
export function accuracy(logits: tf.Tensor, targets: tf.Tensor, mask?: tf.Tensor): number {
  return tf.tidy(() => {
    const hits = tf.cast(tf.equal(tf.argMax(logits, -1), tf.cast(targets, "int32")), "float32");
    const weights = mask ? tf.cast(mask, "float32") : tf.onesLike(hits);
    const [right, all] = [tf.sum(tf.mul(hits, weights)), tf.sum(weights)].map((sum) => sum.dataSync()[0]);
    return right / all;
  });
}

/** Loss in bits per byte of text: the only loss that compares models of different tokenizers. */
export function bitsPerByte(nats: number, tokens: number, bytes: number): number {
  return (nats * tokens) / (Math.LN2 * bytes);
}

/**
 * Mean of a - b over pairs, with its 95 % interval by bootstrap (Efron 1979, percentiles): pairs are drawn again with
 * replacement. a and b are losses of two models on the same texts; the difference is real when 0 is outside [low, high].
 */
export function pairedBootstrap(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { rounds = 2000, seed = 0, level = 0.95 } = {},
): { mean: number; low: number; high: number } {
  const n = a.length;
  if (n !== b.length || n < 2)
    throw new Error(`pairedBootstrap: ${n} and ${b.length} values; wanted two or more pairs.`);
  const differences = Float64Array.from({ length: n }, (_, i) => a[i] - b[i]);
  const random = rng(seed);
  const means = Float64Array.from({ length: rounds }, () => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += differences[random.int(n)];
    return sum / n;
  }).sort();
  const tail = (1 - level) / 2;
  const at = (share: number) => means[Math.min(rounds - 1, Math.max(0, Math.round(share * (rounds - 1))))];
  return { mean: average(differences), low: at(tail), high: at(1 - tail) };
}

function average(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}
