// Attention (Vaswani 2017): softmax(q kᵀ / √d + mask) v, in four forms that give the same numbers.
//   attend      plain; grouped (Ainslie 2023) when k and v have fewer heads: H / G query heads share one, and k, v, and
//               their cache are H / G times smaller. G = 1 is multi-query attention (Shazeer 2019).
//   windowed    each position sees the last `window` only (Beltagy 2020): T · 2w scores instead of T²
//   online      softmax over blocks of keys with a running maximum (Milakov 2018, as in FlashAttention): no [T, T] is kept
import * as tf from "@tensorflow/tfjs-core";

/** q [B, H, T, d], k and v [B, G, S, d] with H a multiple of G, mask [(B, 1,) T, S] of 0 and -1e9; the result [B, H, T, d]. */
export type Attention = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, mask: tf.Tensor, layer: number) => tf.Tensor;

/** Attention as the formula says, over all keys at once. */
export const attend: Attention = (q, k, v, mask) => mix(tf.softmax(tf.add(scores(q, k), mask), -1), v);

/** Attention to the last `window` positions, block by block; q and k must be the same positions, as without a cache. */
export function windowed(window: number): Attention {
  if (!(window >= 1)) throw new Error(`windowed: the window is ${window}; wanted 1 or more positions.`);
  return (q, k, v, mask, layer) => {
    const T = q.shape[2]!;
    if (k.shape[2] !== T) throw new Error(`windowed: q has ${T} positions, k ${k.shape[2]}; wanted the same.`);
    const band = tf.minimum(mask, causal({ length: T, window }));
    const blocks: tf.Tensor[] = [];
    for (let from = 0; from < T; from += window) {
      const [first, end] = [Math.max(0, from - window + 1), Math.min(T, from + window)];
      const seen = (x: tf.Tensor) => positions(x, first, end);
      const near = part(part(band, -2, from, end), -1, first, end);
      blocks.push(attend(positions(q, from, end), seen(k), seen(v), near, layer));
    }
    return tf.concat(blocks, 2);
  };
}

/** Attention over `block` keys at a time: what was summed up shrinks by exp(old maximum - new) when a larger score comes. */
export function online(block = 64): Attention {
  return (q, k, v, mask) => {
    const S = k.shape[2]!;
    let [top, sum, out]: (tf.Tensor | undefined)[] = [];
    for (let from = 0; from < S; from += block) {
      const end = Math.min(S, from + block);
      const seen = tf.add(scores(q, positions(k, from, end)), part(mask, -1, from, end)); // [B, H, T, block]
      const largest = tf.max(seen, -1, true);
      const next = constant(top ? tf.maximum(top, largest) : largest); // any value gives the same result
      const weights = tf.exp(tf.sub(seen, next));
      const fade = top && tf.exp(tf.sub(top, next));
      const add = (old: tf.Tensor | undefined, more: tf.Tensor) => (old ? tf.add(tf.mul(old, fade!), more) : more);
      sum = add(sum, tf.sum(weights, -1, true));
      out = add(out, mix(weights, positions(v, from, end)));
      top = next;
    }
    return tf.div(out!, sum!);
  };
}

/**
 * [length, keys]: 0 where a query may look, -1e9 where not. Query i stands at position at + i, key j at j; a query sees
 * itself and what came before, the last `window` positions of it. `at` may be a tensor, so that a jitted step has one form.
 */
export function causal({
  length,
  keys = length,
  at = 0,
  window,
}: {
  length: number;
  keys?: number;
  at?: tf.Tensor | number;
  window?: number;
}): tf.Tensor {
  const i = tf.expandDims(tf.add(tf.range(0, length), tf.cast(at, "float32")), 1);
  const j = tf.expandDims(tf.range(0, keys), 0);
  const future = tf.greater(j, i);
  const hidden = window ? tf.logicalOr(future, tf.lessEqual(j, tf.sub(i, window))) : future;
  return tf.mul(tf.cast(hidden, "float32"), -1e9);
}

/**
 * [B, 1, T, T], to be added: -1e9 where a key lies before the document of the query, whose ids stand at `positions` [B, T]
 * of their own documents. Query i sees the keys from i - positions[i] on.
 */
export function apart(positions: tf.Tensor): tf.Tensor {
  const [B, T] = positions.shape;
  const start = tf.sub(tf.range(0, T), tf.cast(positions, "float32")); // [B, T]
  const before = tf.less(tf.reshape(tf.range(0, T), [1, 1, 1, T]), tf.reshape(start, [B, 1, T, 1]));
  return tf.mul(tf.cast(before, "float32"), -1e9);
}

// The query heads of a group lie one behind the other, so one product serves them all and no key is copied.
function scores(q: tf.Tensor, k: tf.Tensor): tf.Tensor {
  const [B, H, T, d] = q.shape;
  const [, G, S] = k.shape;
  if (q.rank !== 4 || k.rank !== 4 || H % G || k.shape[3] !== d)
    throw new Error(`attention: q is [${q.shape}], k [${k.shape}]; wanted [B, H, T, d] and [B, G, S, d], H = n G.`);
  const scaled = tf.mul(tf.matMul(grouped(q, G), k, false, true), 1 / Math.sqrt(d)); // [B, G, H/G T, S]
  return tf.reshape(scaled, [B, H, T, S]);
}

function mix(weights: tf.Tensor, v: tf.Tensor): tf.Tensor {
  const [B, H, T] = weights.shape;
  return tf.reshape(tf.matMul(grouped(weights, v.shape[1]!), v), [B, H, T, v.shape[3]!]);
}

function grouped(x: tf.Tensor, G: number): tf.Tensor {
  const [B, H, T, n] = x.shape;
  return H === G ? x : tf.reshape(x, [B, G, (H / G) * T, n]);
}

const positions = (x: tf.Tensor, from: number, end: number) => tf.slice(x, [0, 0, from, 0], [-1, -1, end - from, -1]); // [B, H, end - from, d]

// The queries (axis -2) or keys (axis -1) from..end of a mask [..., T, S].
function part(mask: tf.Tensor, axis: number, from: number, end: number): tf.Tensor {
  const at = Array<number>(mask.rank).fill(0).with(axis, from);
  return tf.slice(mask, at, mask.shape.with(axis, end - from));
}

// The value without its gradient.
const constant = (x: tf.Tensor): tf.Tensor =>
  tf.customGrad((x) => ({ value: tf.clone(x as tf.Tensor), gradFunc: (dy: tf.Tensor) => tf.zerosLike(dy) }))(x);
