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

/** e to the loss in nat: among how many ids a model wavers. */
export function perplexity(nats: number): number {
  return Math.exp(nats);
}

export interface Scores {
  /** share of what was called so that is so */
  precision: number;
  /** share of what is so that was called so */
  recall: number;
  /** their harmonic mean */
  f1: number;
}

/**
 * Precision, recall and F1 of class labels 0..classes-1: of each class with the number of its items, their plain mean
 * (macro), the mean by number of items (weighted), and over all items at once (micro). 0 where there is nothing to divide by.
 */
export function scores(
  predicted: ArrayLike<number>,
  actual: ArrayLike<number>,
  { classes }: { classes: number },
): { each: (Scores & { items: number })[]; macro: Scores; weighted: Scores; micro: Scores } {
  const n = sameLength("scores", predicted, actual);
  const counts = Array.from({ length: classes }, () => ({ hits: 0, called: 0, items: 0 }));
  for (let i = 0; i < n; i++) {
    const [found, wanted] = [counts[predicted[i]], counts[actual[i]]];
    if (!found || !wanted)
      throw new Error(
        `scores: item ${i} has the classes ${predicted[i]} and ${actual[i]}; wanted 0 to ${classes - 1}.`,
      );
    found.called++;
    wanted.items++;
    if (found === wanted) found.hits++;
  }
  const of = ({ hits, called, items }: (typeof counts)[0]) => ({
    precision: called ? hits / called : 0,
    recall: items ? hits / items : 0,
    f1: called + items ? (2 * hits) / (called + items) : 0,
  });
  const each = counts.map((count) => ({ ...of(count), items: count.items }));
  const mean = (weight: (of: Scores & { items: number }) => number): Scores => {
    const sum = (key: keyof Scores) => each.reduce((total, one) => total + weight(one) * one[key], 0);
    return { precision: sum("precision"), recall: sum("recall"), f1: sum("f1") };
  };
  const hits = counts.reduce((sum, { hits }) => sum + hits, 0);
  return {
    each,
    macro: mean(() => 1 / classes),
    weighted: mean(({ items }) => items / n),
    micro: of({ hits, called: n, items: n }),
  };
}

/**
 * Expected calibration error (Naeini 2015): how far confidence is from the share of right answers, by `bins` equal
 * ranges (low, high] of confidence, weighted by their answers. 0: of what it says with 70 %, 70 % is right.
 */
export function ece(confidence: ArrayLike<number>, right: ArrayLike<number | boolean>, { bins = 15 } = {}): number {
  const n = sameLength("ece", confidence, right);
  const gaps = new Float64Array(bins); // sum of confidence - right in each
  for (let i = 0; i < n; i++) {
    const p = confidence[i];
    if (!(p >= 0 && p <= 1)) throw new Error(`ece: confidence ${i} is ${p}; wanted 0 to 1.`);
    let bin = Math.max(0, Math.ceil(p * bins) - 1);
    if (p <= bin / bins && bin) bin--; // p * bins was rounded up over an edge
    gaps[bin] += p - Number(right[i]);
  }
  return gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / n;
}

/** Share of answers that are equal to the wanted text, or to one of the wanted texts, after `normal` (trimmed, if not given). */
export function exactMatch(
  answers: ArrayLike<string>,
  wanted: ArrayLike<string | string[]>,
  { normal = (text: string) => text.trim() } = {},
): number {
  const n = sameLength("exactMatch", answers, wanted);
  const hit = (answer: string, i: number) => [wanted[i]].flat().some((one) => normal(one) === normal(answer));
  return Array.from(answers).filter(hit).length / n;
}

function sameLength(what: string, a: ArrayLike<unknown>, b: ArrayLike<unknown>): number {
  if (a.length === b.length && a.length) return a.length;
  throw new Error(`${what}: ${a.length} and ${b.length} values; wanted as many of both, one or more.`);
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
