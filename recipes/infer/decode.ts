// Decoding: from a model of the next id to a text. Each id costs one step, with what was read kept in a cache.
//   greedy       the likeliest id                       temperature  softmax(logits / t): below 1 bolder, 0 is greedy
//   top-k        of the k likeliest only (Fan 2018)     top-p        of the fewest that have the share p (Holtzman 2019)
//   beam         keeps the `width` likeliest texts; compares those that ended by log p / length^penalty (Wu 2016)
// A `step` maps ids [B, T] and a cache to the logits of the last position [B, 1, V] and the next cache, as
// `(ids, cache) => step(params, cfg, ids, cache, { last: true })` of model/gpt.ts does, jitted or not.
import * as tf from "@tensorflow/tfjs-core";
import type { Rng } from "../core/rng.ts";

/** C: tensors in records and arrays; of those that are not scalars the first axis is the batch. */
export type Step<C> = (ids: tf.Tensor2D, cache: C) => { logits: tf.Tensor; cache: C };

export interface Choice {
  /** 0 takes the likeliest id */
  temperature?: number;
  topK?: number;
  topP?: number;
}

export interface GenerateOptions extends Choice {
  /** ids to add at most */
  length: number;
  /** positions that the cache has room for; the prompt and `length` ids must fit */
  room: number;
  /** ids that end the text; they are not given out */
  stop?: number[];
  /** needed where the temperature is not 0 */
  rng?: Rng;
}

/**
 * Continues `prompt`, one id at a time, as a generator: stop asking and it stops. `cache` must be empty, and is freed.
 */
export function* generate<C>(
  step: Step<C>,
  cache: C,
  prompt: ArrayLike<number>,
  { length, room, stop = [], rng, ...choice }: GenerateOptions,
): Generator<number, void> {
  fits(prompt, length, room);
  if (choice.temperature !== 0 && !rng) throw new Error("generate: give it an rng to draw from, or temperature 0.");
  let state = cache;
  let ids: ArrayLike<number> = prompt;
  try {
    for (let i = 0; i < length; i++) {
      const done = advance(step, state, [ids]);
      state = done.cache;
      const id = choose(done.logits, choice, rng);
      done.logits.dispose();
      if (stop.includes(id)) return;
      yield id;
      ids = [id];
    }
  } finally {
    tf.dispose(state as tf.TensorContainer);
  }
}

function choose(logits: tf.Tensor, choice: Choice, rng?: Rng): number {
  if (choice.temperature === 0 || choice.topK === 1)
    return tf.tidy(() => tf.argMax(tf.reshape(logits, [-1])).dataSync()[0]);
  const { ids, probabilities } = distribution(logits.dataSync(), choice);
  let left = rng!.next();
  for (let i = 0; i < ids.length; i++) {
    left -= probabilities[i];
    if (left < 0) return ids[i];
  }
  return ids[ids.length - 1]; // what rounding left over
}

/** The ids that may be drawn, likeliest first, and their probabilities, which sum to 1. */
export function distribution(
  logits: ArrayLike<number>,
  { temperature = 1, topK = logits.length, topP = 1 }: Choice = {},
): { ids: number[]; probabilities: number[] } {
  if (!(temperature > 0) || !(topK >= 1) || !(topP > 0 && topP <= 1))
    throw new Error(
      `distribution: temperature ${temperature}, topK ${topK}, topP ${topP}; wanted above 0, 1 or more, above 0 and at most 1.`,
    );
  const order = Int32Array.from({ length: logits.length }, (_, i) => i).sort((a, b) => logits[b] - logits[a] || a - b);
  const ids = Array.from(order.subarray(0, topK));
  const weights = ids.map((id) => Math.exp((logits[id] - logits[ids[0]]) / temperature));
  const all = sum(weights);
  let kept = 0;
  for (let share = 0; kept < weights.length && share < topP; kept++) share += weights[kept] / all;
  const some = weights.slice(0, kept);
  const rest = sum(some);
  return { ids: ids.slice(0, kept), probabilities: some.map((weight) => weight / rest) };
}

/**
 * The texts of a stream of ids, piece by piece: letters of several ids come when they are whole. Ends before the first of
 * the `stop` texts; what could be its beginning waits.
 */
export function* pieces(
  ids: Iterable<number>,
  decode: (ids: number[]) => string,
  { stop = [] }: { stop?: string[] } = {},
): Generator<string, void> {
  const seen: number[] = [];
  let given = 0;
  let text = "";
  for (const id of ids) {
    seen.push(id);
    text = decode(seen);
    const ends = stop.map((one) => text.indexOf(one)).filter((at) => at >= 0);
    if (ends.length) {
      text = text.slice(0, Math.min(...ends));
      break; // and the generator of the ids is told
    }
    const held = Math.max(unfinished(text), ...stop.map((one) => overlap(text, one)));
    if (text.length - held > given) {
      yield text.slice(given, text.length - held);
      given = text.length - held;
    }
  }
  if (text.length > given) yield text.slice(given);
}

// Half a letter is decoded as U+FFFD.
const unfinished = (text: string) => text.length - text.replace(/\ufffd+$/, "").length;

// How many letters at the end of the text may begin `stop`.
function overlap(text: string, stop: string): number {
  for (let n = Math.min(stop.length - 1, text.length); n > 0; n--) if (text.endsWith(stop.slice(0, n))) return n;
  return 0;
}

export interface BeamOptions {
  length: number;
  room: number;
  width?: number;
  stop?: number[];
  /** 0 compares sums of log p, which favours short texts; 1 their means */
  penalty?: number;
}

/** The likeliest continuation that beam search finds, without the id that ended it, and its score. Frees the cache. */
export function beam<C>(
  step: Step<C>,
  cache: C,
  prompt: ArrayLike<number>,
  { length, room, width = 4, stop = [], penalty = 1 }: BeamOptions,
): { ids: number[]; score: number } {
  fits(prompt, length, room);
  const score = (logProb: number, n: number) => logProb / n ** penalty;
  let best = { ids: [] as number[], score: Number.NEGATIVE_INFINITY };
  const finish = (ids: number[], of: number) => {
    if (of > best.score) best = { ids, score: of };
  };
  let live = [{ ids: [] as number[], logProb: 0 }];
  let state = rows(cache, Array(width).fill(0));
  tf.dispose(cache as tf.TensorContainer);
  let feed: ArrayLike<number>[] = Array(width).fill(prompt);
  for (let n = 1; n <= length; n++) {
    const done = advance(step, state, feed);
    const [values, ids] = tf.tidy(() => {
      const logProbs = tf.logSoftmax(tf.reshape(done.logits, [width, -1]) as tf.Tensor2D); // [width, V]
      const top = tf.topk(logProbs, Math.min(width + stop.length, logProbs.shape[1]));
      return [top.values.arraySync() as number[][], top.indices.arraySync() as number[][]];
    });
    done.logits.dispose();
    const next = live
      .flatMap(({ ids: text, logProb }, row) =>
        ids[row].map((id, i) => ({ row, id, ids: [...text, id], logProb: logProb + values[row][i] })),
      )
      .sort((a, b) => b.logProb - a.logProb);
    for (const one of next.slice(0, width))
      if (stop.includes(one.id)) finish(one.ids.slice(0, -1), score(one.logProb, n));
    live = next.filter(({ id }) => !stop.includes(id)).slice(0, width);
    // Nothing that goes on can win any more: log p only falls.
    const out = !live.length || n === length || score(live[0].logProb, penalty > 0 ? length : n) <= best.score;
    if (out) {
      tf.dispose(done.cache as tf.TensorContainer);
      for (const one of live) finish(one.ids, score(one.logProb, n));
      break;
    }
    const from = Array.from({ length: width }, (_, i) => (live[i] ?? live[0]) as (typeof next)[0]);
    state = rows(
      done.cache,
      from.map(({ row }) => row),
    );
    tf.dispose(done.cache as tf.TensorContainer);
    feed = from.map(({ id }) => [id]);
  }
  return best;
}

function fits(prompt: ArrayLike<number>, length: number, room: number): void {
  if (!prompt.length) throw new Error("decode: the prompt is empty; give it one id or more.");
  if (prompt.length + length > room)
    throw new Error(`decode: ${prompt.length} ids and ${length} more do not fit into ${room} positions.`);
}

// One step, without leaving anything but its results; frees the cache before.
function advance<C>(step: Step<C>, cache: C, ids: ArrayLike<number>[]): { logits: tf.Tensor; cache: C } {
  const done = tf.tidy(() => {
    const flat = Int32Array.from(ids.flatMap((row) => Array.from(row)));
    return step(tf.tensor2d(flat, [ids.length, ids[0].length], "int32"), cache) as unknown as tf.TensorContainerObject;
  }) as unknown as { logits: tf.Tensor; cache: C };
  tf.dispose(cache as tf.TensorContainer);
  return done;
}

// The cache with those rows of the batch, each tensor anew.
function rows<C>(cache: C, from: number[]): C {
  const index = tf.tensor1d(from, "int32");
  const take = (node: any): any => {
    if (node instanceof tf.Tensor) return node.rank ? tf.gather(node, index) : tf.clone(node);
    if (Array.isArray(node)) return node.map(take);
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, take(value)]));
  };
  const taken = take(cache);
  index.dispose();
  return taken;
}

const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
