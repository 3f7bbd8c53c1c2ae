// What a language model is asked: the same text, three sets of questions. Plain functions of ids, before any tensor.
//   clm    each id predicts the next one (GPT): every place is asked, and sees the left only
//   mlm    a share of the places is hidden, the rest is seen from both sides (BERT, Devlin 2018); only they are asked
//   span   whole runs are taken out of a source, a decoder writes them (T5, Raffel 2020)
// Cost: none to speak of. Of T ids read, clm learns from T, mlm and span from about 0.15 T.
// A target of -1 asks for nothing; askedLoss is the loss over the rest.
import * as tf from "@tensorflow/tfjs-core";
import { crossEntropy } from "../core/ops.ts";
import type { Rng } from "../core/rng.ts";

export interface Asked {
  ids: Int32Array;
  /** the id that is asked for at each place; -1 where none is */
  targets: Int32Array;
}

/** One id fewer than given: each place is asked for the id after it. */
export function clm(ids: Int32Array): Asked {
  if (ids.length < 2) throw new Error(`clm: ${ids.length} ids; wanted two or more.`);
  return { ids: ids.slice(0, -1), targets: ids.slice(1) };
}

export interface MaskOptions {
  /** the id that stands where one is hidden */
  mask: number;
  /** ids below it are drawn as wrong ones, and only those are hidden: keep special ids above */
  vocab: number;
  /** of the places */
  share?: number;
}

/**
 * Hides `share` of the places, one at least: of ten, eight become `mask`, one a random id, one stays as it is (so that the
 * model must doubt every id, and sees texts without masks). Exactly round(share * places), drawn by `rng`.
 */
export function mlm(ids: Int32Array, rng: Rng, { mask, vocab, share = 0.15 }: MaskOptions): Asked {
  if (!(share > 0 && share <= 1)) throw new Error(`mlm: the share is ${share}; wanted more than 0, at most 1.`);
  const places = Array.from(ids.keys()).filter((at) => ids[at] < vocab);
  if (!places.length) throw new Error(`mlm: none of ${ids.length} ids is below vocab ${vocab}; nothing can be hidden.`);
  const out: Asked = { ids: ids.slice(), targets: new Int32Array(ids.length).fill(-1) };
  for (const at of rng.shuffle(places).slice(0, Math.max(1, Math.round(share * places.length)))) {
    out.targets[at] = ids[at];
    const chance = rng.next();
    if (chance < 0.8) out.ids[at] = mask;
    else if (chance < 0.9) out.ids[at] = rng.int(vocab);
  }
  return out;
}

export interface SpanOptions {
  /** the first id that stands for a run taken out; the next run has the next id */
  sentinel: number;
  /** how many such ids there are */
  sentinels: number;
  /** the id that ends the target */
  end: number;
  /** of the ids are taken out */
  share?: number;
  /** mean length of a run */
  length?: number;
}

/** Takes runs out: the source has a sentinel for each, the target says sentinel and run in turn, then `end`. */
export function span(
  ids: Int32Array,
  rng: Rng,
  { sentinel, sentinels, end, share = 0.15, length = 3 }: SpanOptions,
): { source: Int32Array; target: Int32Array } {
  const taken = Math.max(1, Math.round(share * ids.length));
  const runs = Math.max(1, Math.round(taken / length));
  const kept = ids.length - taken;
  if (!(share > 0 && share < 1) || kept < runs)
    throw new Error(`span: ${taken} of ${ids.length} ids in ${runs} runs cannot be taken out; ask for fewer.`);
  if (runs > sentinels) throw new Error(`span: ${runs} runs need as many sentinels; there are ${sentinels}.`);
  const [gone, stay] = [cut(taken, runs, rng), cut(kept, runs, rng)];
  const [source, target]: number[][] = [[], []];
  let at = 0;
  for (let run = 0; run < runs; run++) {
    source.push(...ids.subarray(at, at + stay[run]), sentinel + run);
    at += stay[run];
    target.push(sentinel + run, ...ids.subarray(at, at + gone[run]));
    at += gone[run];
  }
  return { source: Int32Array.from(source), target: Int32Array.from([...target, end]) };
}

// A whole number in `parts` parts of one or more, every way as likely: where to cut is drawn without repetition.
function cut(whole: number, parts: number, rng: Rng): number[] {
  const borders = rng.shuffle(Array.from({ length: whole - 1 }, (_, i) => i + 1)).slice(0, parts - 1);
  const ends = [...borders.sort((a, b) => a - b), whole];
  return ends.map((end, i) => end - (i ? ends[i - 1] : 0));
}

/** Mean cross-entropy in nat over the places where `targets` [...] is not negative. logits [..., V]. */
export function askedLoss(logits: tf.Tensor, targets: tf.Tensor): tf.Scalar {
  return crossEntropy(logits, tf.maximum(targets, tf.scalar(0, "int32")), asked(targets));
}

/** 1 where something is asked for, 0 elsewhere; float32. */
export function asked(targets: tf.Tensor): tf.Tensor {
  return tf.cast(tf.greaterEqual(targets, tf.scalar(0, "int32")), "float32");
}
