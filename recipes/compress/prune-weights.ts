// Pruning weights: the least important ones become zero, wherever they stand (unstructured).
//   magnitude  S = |W|            the smallest of a matrix (Zhu and Gupta 2017), or of many together (global)
//   Wanda      S = |W| ‖X‖₂       the smallest of each row; ‖X‖₂ are the norms of the layer's inputs (Sun 2023)
//   cubic      s = s₁ + (s₀ - s₁) (1 - t)³, the share of zeros at time t in 0..1 of a training (Zhu and Gupta 2017)
// Cost: a few passes over the weights; for Wanda also a forward pass over some text. Packed with a bitmask, n weights of which k
// are not zero take ⌈n/8⌉ + 4k bytes; a matrix product is as slow as before.
import * as tf from "@tensorflow/tfjs-core";
import { type Around, capture, type Linear } from "../core/linear.ts";
import { get, map, type Params } from "../core/params.ts";

/** 1 where a weight stays, 0 where it goes, by the names of the parameters; one without a mask is left as it is. */
export type Masks = Params;

/**
 * The mask of w, of any shape, without the share `sparsity` of its weights that is smallest in size: exactly
 * round(sparsity n) zeros. Of equal weights the first ones go, so the mask is the same on every machine.
 */
export function magnitude(w: tf.Tensor, sparsity: number): tf.Tensor {
  return tf.tensor(largest(sizes(w), w.size, sparsity, "magnitude"), w.shape);
}

/** Masks of the parameters `names` by one threshold for all: a matrix of small weights loses more than one of large. */
export function globalMagnitude(params: Params, names: string[], sparsity: number): Masks {
  const weights = names.map((name) => get(params, name));
  return tf.tidy(() => {
    const all = tf.concat(weights.map((w) => tf.reshape(w, [-1])));
    const lengths = weights.map(({ size }) => size);
    const parts = tf.split(magnitude(all, sparsity), lengths);
    return Object.fromEntries(names.map((name, i) => [name, tf.reshape(parts[i], weights[i].shape)]));
  });
}

/**
 * Wanda's mask of w [out, in] for inputs of the norms [in]: each row, the weights of one output, loses its
 * round(sparsity in) lowest scores. With equal norms this is magnitude, row by row.
 */
export function wanda(w: tf.Tensor, norms: tf.Tensor, sparsity: number): tf.Tensor {
  const [, into] = w.shape;
  if (w.rank !== 2 || norms.rank !== 1 || norms.size !== into)
    throw new Error(`wanda: norms are [${norms.shape}], w is [${w.shape}]; wanted norms [in] and w [out, in].`);
  const norm = norms.dataSync();
  const scores = sizes(w).map((size, i) => size * norm[i % into]);
  return tf.tensor(largest(scores, into, sparsity, "wanda"), w.shape);
}

/**
 * ‖X‖₂ of each input [in] of every linear layer that `run(linear)` goes through, over all its rows, by the names of the
 * parameters: `inputNorms((linear) => forward(params, cfg, ids, { linear }))`. Runs eagerly: not inside a jit. `run` may
 * do many passes; their rows count together. Rows of padding count too, so give texts that fill theirs.
 */
export function inputNorms(run: (linear: Linear) => unknown): Params {
  const squares: Params = {};
  const see = (layer: string, x: tf.Tensor2D) => {
    const name = `${layer}.weight`;
    const sum = tf.tidy(() => tf.sum(tf.square(x), 0)); // [in]
    const before = squares[name];
    squares[name] = tf.keep(before ? tf.add(before, sum) : sum);
    before?.dispose();
  };
  try {
    tf.tidy(() => void run(capture(see)));
    return tf.tidy(() => map(squares, (sum) => tf.sqrt(sum)));
  } finally {
    tf.dispose(squares);
  }
}

/** The parameters with their masked weights at zero; those without a mask are the same tensors. Compiles inside a jit. */
export function applyMasks(params: Params, masks: Masks): Params {
  for (const name of Object.keys(masks)) get(params, name); // a mask for nothing is a spelling mistake
  return map(params, (w, name) => (masks[name] ? masked(w, masks[name], name) : w));
}

/** A linear layer that sees its weights through the masks, for any model with the seam; the parameters stay as they are. */
export function maskLinear(masks: Masks): Around {
  return (next) => (layer, x, w, b) => {
    const mask = masks[`${layer}.weight`];
    return next(layer, x, mask ? masked(w, mask, `${layer}.weight`) : w, b);
  };
}

function masked(w: tf.Tensor, mask: tf.Tensor, name: string): tf.Tensor {
  // tfjs would stretch a mask of one row over all of them.
  if (String(mask.shape) !== String(w.shape))
    throw new Error(`${name}: the mask is [${mask.shape}], the parameter [${w.shape}]; wanted the same shape.`);
  return tf.mul(w, mask);
}

export interface CubicOptions {
  /** share of zeros at the end */
  final: number;
  /** and at the beginning */
  initial?: number;
  /** step at which it begins to rise */
  start?: number;
  /** step at which it is reached; train on after it */
  end: number;
}

/** The share of zeros at a step: fast at first, while there is much to spare, then slower and slower. */
export function cubic(step: number, { final, initial = 0, start = 0, end }: CubicOptions): number {
  if (!(start < end)) throw new Error(`cubic: start is ${start}, end is ${end}; wanted start before end.`);
  const t = Math.min(1, Math.max(0, (step - start) / (end - start)));
  return final + (initial - final) * (1 - t) ** 3;
}

/**
 * The weights as ⌈n/8⌉ bytes of bits, 1 where one is not zero (the first in the lowest bit), then those as float32.
 * Exact, but that -0 comes back as 0. A dense file is 4n bytes: it pays from one zero in 32 on.
 */
export function packBitmask(w: tf.Tensor): Uint8Array {
  if (w.dtype !== "float32") throw new Error(`packBitmask: w is ${w.dtype}; wanted float32.`);
  const values = w.dataSync();
  const bits = new Uint8Array(Math.ceil(values.length / 8));
  const kept = values.filter((value, i) => {
    if (value !== 0) bits[i >> 3] |= 1 << (i & 7);
    return value !== 0;
  });
  const out = new Uint8Array(bits.length + kept.byteLength);
  out.set(bits);
  out.set(new Uint8Array(kept.buffer, kept.byteOffset, kept.byteLength), bits.length);
  return out;
}

/** The tensor of that shape out of the bytes of `packBitmask`. Throws for bytes of another one. */
export function unpackBitmask(packed: Uint8Array, shape: number[]): tf.Tensor {
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
  const front = Math.ceil(values.length / 8);
  const bytes = new Uint8Array(packed.subarray(front)).buffer; // a copy: floats must lie aligned
  const kept = new Float32Array(bytes, 0, bytes.byteLength >> 2);
  let at = 0;
  for (let i = 0; i < front * 8; i++) {
    if ((packed[i >> 3] >> (i & 7)) & 1) values[i] = kept[at++];
  }
  const wanted = front + 4 * at;
  if (packed.length !== wanted || at > values.length)
    throw new Error(`unpackBitmask: ${packed.length} bytes; wanted ${wanted} for [${shape}] with ${at} not zero.`);
  return tf.tensor(values, shape);
}

const sizes = (w: tf.Tensor): Float32Array => new Float32Array(w.dataSync()).map(Math.abs);

/** 0 for the lowest share `sparsity` of each group of so many scores in a row, 1 for the rest. */
function largest(scores: Float32Array, group: number, sparsity: number, what: string): Float32Array {
  if (!(sparsity >= 0 && sparsity <= 1))
    throw new Error(`${what}: sparsity is ${sparsity}; wanted a share of zeros from 0 to 1.`);
  if (scores.some(Number.isNaN)) throw new Error(`${what}: a score is NaN; look at the weights and the inputs.`);
  const mask = new Float32Array(scores.length).fill(1);
  const drop = Math.round(sparsity * group);
  for (let from = 0; drop && from < scores.length; from += group) {
    const part = scores.subarray(from, from + group);
    const threshold = select(part.slice(), drop - 1);
    let equal = drop; // how many of those at the threshold go
    for (const score of part) if (score < threshold) equal--;
    part.forEach((score, i) => {
      if (score < threshold || (score === threshold && equal-- > 0)) mask[from + i] = 0;
    });
  }
  return mask;
}

/** The value that is number k (from 0) in order (Hoare 1961): about 3 passes, where sorting takes log n. Reorders. */
function select(values: Float32Array, k: number): number {
  for (let [low, high] = [0, values.length - 1]; low < high; ) {
    const pivot = values[k];
    let [i, j] = [low, high];
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i <= j) {
        [values[i], values[j]] = [values[j], values[i]];
        [i, j] = [i + 1, j - 1];
      }
    }
    if (j < k) low = i;
    if (k < i) high = j;
  }
  return values[k];
}
