// Stateless random numbers: threefry2x32 (Salmon et al., SC 2011), counted and split as jax.random does with its default
// jax_threefry_partitionable, so that the bits equal JAX's. The same key gives the same numbers on every device, eager or
// inside jit: eagerly the loops below run in JavaScript, inside a trace the same rounds are int32 ops of the graph.
import * as tf from "@tensorflow/tfjs-core";
import { type TensorFlowBackend, tensorflowBackend } from "./backend.ts";
import { sizeOf } from "./binding.ts";

/** A key: int32 [2], the two 32-bit halves. Use a key once; `split` gives new ones. */
export type Key = tf.Tensor;

/** A key from a seed: an integer in [0, 2^53). */
export function key(seed: number): Key {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new Error(`random.key: seed ${seed} is not an integer in [0, 2^53)`);
  return tf.tensor1d(Int32Array.of(Math.floor(seed / 2 ** 32), seed >>> 0), "int32");
}

/** `n` independent keys from one, as `jax.random.split`. */
export function split(key: Key, n = 2): Key[] {
  checkKey(key, "split");
  if (isTraced()) {
    return tf.tidy(() => {
      const { hi, lo } = blocks(key, n);
      return tf.unstack(tf.stack([hi, lo], 1)) as Key[];
    });
  }
  const [hi, lo] = eagerBlocks(key, n);
  return Array.from({ length: n }, (_, i) => tf.tensor1d(Int32Array.of(hi[i], lo[i]), "int32"));
}

/** A key from a key and an integer, as `jax.random.fold_in`: one stream per step, layer or worker. Inside jit `data` may be an int32 scalar. */
export function fold(key: Key, data: number | tf.Tensor): Key {
  checkKey(key, "fold");
  if (isTraced()) {
    return tf.tidy(() => {
      const count = typeof data === "number" ? tf.scalar(data | 0, "int32") : tf.cast(data, "int32");
      const { hi, lo } = threefry(key, tf.zeros([1], "int32"), tf.reshape(count, [1]));
      return tf.concat([hi, lo]);
    });
  }
  const value = typeof data === "number" ? data : data.dataSync()[0];
  const [hi, lo] = [Int32Array.of(0), Int32Array.of(value)];
  threefryInPlace(key.dataSync() as Int32Array, hi, lo);
  return tf.tensor1d(Int32Array.of(hi[0], lo[0]), "int32");
}

/** Random 32-bit words as int32, the bits of `jax.random.bits`. */
export function bits(key: Key, shape: number[]): tf.Tensor {
  checkKey(key, "bits");
  if (isTraced()) {
    return tf.tidy(() => {
      const { hi, lo } = blocks(key, sizeOf(shape));
      return tf.reshape(xor(hi, lo), shape);
    });
  }
  return tf.tensor(eagerBits(key, sizeOf(shape)), shape, "int32");
}

/** Uniform float32 in [min, max), as `jax.random.uniform`: 23 random bits each. */
export function uniform(key: Key, shape: number[], min = 0, max = 1): tf.Tensor {
  const scale = Math.fround(Math.fround(max) - Math.fround(min));
  return tf.tidy(() => {
    const unit = units(key, shape);
    return min === 0 && max === 1 ? unit : tf.maximum(tf.add(tf.mul(unit, scale), Math.fround(min)), Math.fround(min));
  });
}

// The largest float32 above -1: the inverse error function is finite on [lowest, 1).
const lowest = -1 + 2 ** -24;

/** Normal float32, as `jax.random.normal` (inverse error function of uniform; equal to it within 1e-5). */
export function normal(key: Key, shape: number[], mean = 0, std = 1): tf.Tensor {
  return tf.tidy(() => {
    const z = tf.mul(inverseErf(uniform(key, shape, lowest, 1)), Math.SQRT2);
    return mean === 0 && std === 1 ? z : tf.add(tf.mul(z, std), mean);
  });
}

/** True with probability p, as `jax.random.bernoulli`; bool. */
export function bernoulli(key: Key, p: number | tf.Tensor, shape: number[]): tf.Tensor {
  return tf.tidy(() => tf.less(units(key, shape), p));
}

/** Standard Gumbel float32, as `jax.random.gumbel`: -log(-log(u)) of uniform u. */
export function gumbel(key: Key, shape: number[]): tf.Tensor {
  return tf.tidy(() => tf.neg(tf.log(tf.neg(tf.log(uniform(key, shape, TINY, 1))))));
}

/**
 * Draws from the distributions exp(logits) / sum along the last axis, by the Gumbel-max trick, as `jax.random.categorical`.
 * @param logits float32 [..., n]
 * @param shape of the result; [...] unless given, of which it must end with
 * @returns int32 indices from 0 to n - 1
 */
export function categorical(key: Key, logits: tf.Tensor, shape = logits.shape.slice(0, -1)): tf.Tensor {
  const batch = logits.shape.slice(0, -1);
  if (logits.rank === 0 || logits.dtype !== "float32")
    throw new Error(
      `random.categorical: logits must be float32 [..., n], but they are ${logits.dtype}[${logits.shape}]`,
    );
  if (String(shape.slice(shape.length - batch.length)) !== String(batch) || shape.length < batch.length)
    throw new Error(`random.categorical: the shape [${shape}] must end with that of the logits' rows, [${batch}]`);
  const n = logits.shape[logits.rank - 1];
  return tf.tidy(() => tf.argMax(tf.add(gumbel(key, [...shape, n]), logits), -1));
}

/** Normal float32 within (lower, upper), in standard deviations, as `jax.random.truncated_normal` (equal within 1e-5). */
export function truncatedNormal(key: Key, shape: number[], lower = -2, upper = 2): tf.Tensor {
  if (!(lower < upper)) throw new Error(`random.truncatedNormal: lower is ${lower} and upper ${upper}`);
  return tf.tidy(() => {
    const [a, b] = [lower, upper].map((bound) => tf.erf(tf.scalar(bound / Math.SQRT2)));
    const u = tf.maximum(tf.add(tf.mul(units(key, shape), tf.sub(b, a)), a), a);
    return tf.clipByValue(tf.mul(inverseErf(u), Math.SQRT2), following(lower, 1), following(upper, -1));
  });
}

/**
 * The numbers 0 to n - 1, or the rows of a tensor, in random order, as `jax.random.permutation`.
 * @param of n, or a tensor of rank 1 and more
 */
export function permutation(key: Key, of: number | tf.Tensor): tf.Tensor {
  checkKey(key, "permutation");
  const n = typeof of === "number" ? of : (of.shape[0] ?? Number.NaN);
  if (!Number.isSafeInteger(n) || n < 0)
    throw new Error(`random.permutation: ${typeof of === "number" ? of : "a scalar tensor"} has no rows to permute`);
  // Sorted by random words, of which two may be equal: so often that this does not matter.
  const rounds = Math.ceil((3 * Math.log(Math.max(1, n))) / Math.log(2 ** 32 - 1));
  return tf.tidy(() => {
    let order: tf.Tensor = tf.range(0, n, 1, "int32");
    let from = key;
    for (let round = 0; round < rounds; round++) {
      const [next, now] = split(from);
      from = next;
      order = tf.gather(order, sortedBy(now, n));
    }
    return typeof of === "number" ? order : tf.gather(of, order as tf.Tensor1D);
  });
}

/** Indices that sort n random words as unsigned numbers; equal ones stay in their order. */
function sortedBy(key: Key, n: number): tf.Tensor1D {
  if (isTraced()) {
    // The largest first, of the words turned upside down: their order as signed numbers is the reverse of what is wanted.
    const upsideDown = xor(bits(key, [n]), int(0x7fffffff));
    return tf.topk(upsideDown, n).indices as tf.Tensor1D;
  }
  const words = eagerBits(key, n);
  const order = Int32Array.from(words, (_, i) => i);
  order.sort((i, j) => (words[i] >>> 0) - (words[j] >>> 0) || i - j);
  return tf.tensor1d(order, "int32");
}

// The least float32 that is not rounded to zero anywhere.
const TINY = 2 ** -126;

/** The float32 next to x, above or below. */
function following(x: number, direction: 1 | -1): number {
  const float = Float32Array.of(x);
  const word = new Int32Array(float.buffer);
  if (!Number.isFinite(float[0])) return float[0];
  if (float[0] === 0) return direction * 2 ** -149;
  word[0] += float[0] > 0 === direction > 0 ? 1 : -1;
  return float[0];
}

// [0, 1) in steps of 2^-23: exact in float32, so eager and jit agree to the bit.
function units(key: Key, shape: number[]): tf.Tensor {
  checkKey(key, "uniform");
  if (isTraced()) return tf.mul(tf.cast(shiftRight(bits(key, shape), 9), "float32"), 2 ** -23);
  const words = eagerBits(key, sizeOf(shape));
  const values = new Float32Array(words.length);
  for (let i = 0; i < words.length; i++) values[i] = (words[i] >>> 9) * 2 ** -23;
  return tf.tensor(values, shape, "float32");
}

// Coefficients of M. Giles, "Approximating the erfinv function" (GPU Computing Gems, 2010), single precision: what XLA uses.
const central = [
  2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 0.00021858087, -0.00125372503, -0.00417768164,
  0.246640727, 1.50140941,
];
const tail = [
  -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
  1.00167406, 2.83297682,
];

function inverseErf(x: tf.Tensor): tf.Tensor {
  const w = tf.neg(tf.log1p(tf.neg(tf.square(x))));
  const polynomial = (at: tf.Tensor, coefficients: number[]) =>
    coefficients.slice(1).reduce((sum: tf.Tensor, c) => tf.add(tf.mul(sum, at), c), tf.fill(x.shape, coefficients[0]));
  const inner = polynomial(tf.sub(w, 2.5), central);
  const outer = polynomial(tf.sub(tf.sqrt(w), 3), tail);
  return tf.mul(tf.where(tf.less(w, 5), inner, outer), x);
}

function checkKey(key: Key, name: string) {
  if (!(key instanceof tf.Tensor) || key.dtype !== "int32" || key.size !== 2) {
    const found = key instanceof tf.Tensor ? `${key.dtype}[${key.shape}]` : typeof key;
    throw new Error(`random.${name}: the key must be int32[2] from random.key or random.split, but it is ${found}`);
  }
}

// Threefry2x32-20: rotations in groups of four, a key injection after each group.
const rotations = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
];
const PARITY = 0x1bd11bda;

/** Encrypts the counters (hi[i], lo[i]) in place. */
function threefryInPlace(key: Int32Array, hi: Int32Array, lo: Int32Array): void {
  const ks = [key[0], key[1], key[0] ^ key[1] ^ PARITY];
  for (let i = 0; i < hi.length; i++) {
    let x = (hi[i] + ks[0]) | 0;
    let y = (lo[i] + ks[1]) | 0;
    for (let group = 0; group < 5; group++) {
      for (const r of rotations[group & 1]) {
        x = (x + y) | 0;
        y = ((y << r) | (y >>> (32 - r))) ^ x;
      }
      x = (x + ks[(group + 1) % 3]) | 0;
      y = (y + ks[(group + 2) % 3] + group + 1) | 0;
    }
    hi[i] = x;
    lo[i] = y;
  }
}

function eagerBlocks(key: Key, n: number): [Int32Array, Int32Array] {
  const hi = new Int32Array(n);
  const lo = Int32Array.from(hi, (_, i) => i);
  threefryInPlace(key.dataSync() as Int32Array, hi, lo);
  return [hi, lo];
}

function eagerBits(key: Key, n: number): Int32Array {
  const [hi, lo] = eagerBlocks(key, n);
  for (let i = 0; i < n; i++) hi[i] ^= lo[i];
  return hi;
}

// The same as graph ops. TensorFlow's bitwise ops have no tfjs kernel, so they go to the backend directly; random bits have
// no gradient to lose.
function isTraced(): boolean {
  return tensorflowBackend()?.native.tracer() !== undefined;
}

function int32Op(name: string, a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  const backend = tensorflowBackend() as TensorFlowBackend;
  const { TF_ATTR_TYPE, TF_INT32 } = backend.native;
  return backend.executeSingleOutput(name, [{ name: "T", type: TF_ATTR_TYPE, value: TF_INT32 }], [a, b]);
}

const int = (value: number) => tf.scalar(value, "int32");
const xor = (a: tf.Tensor, b: tf.Tensor) => int32Op("BitwiseXor", a, b);
const shiftLeft = (a: tf.Tensor, n: number) => int32Op("LeftShift", a, int(n));
// int32 shifts carry the sign: the mask makes the shift logical.
const shiftRight = (a: tf.Tensor, n: number) =>
  int32Op("BitwiseAnd", int32Op("RightShift", a, int(n)), int(2 ** (32 - n) - 1));
const rotateLeft = (a: tf.Tensor, n: number) => int32Op("BitwiseOr", shiftLeft(a, n), shiftRight(a, 32 - n));

function threefry(key: Key, hi: tf.Tensor, lo: tf.Tensor): { hi: tf.Tensor; lo: tf.Tensor } {
  const [k0, k1] = tf.unstack(tf.reshape(key, [2]));
  const ks = [k0, k1, xor(xor(k0, k1), int(PARITY))];
  let x: tf.Tensor = tf.add(hi, ks[0]);
  let y: tf.Tensor = tf.add(lo, ks[1]);
  for (let group = 0; group < 5; group++) {
    for (const r of rotations[group & 1]) {
      x = tf.add(x, y);
      y = xor(rotateLeft(y, r), x);
    }
    x = tf.add(x, ks[(group + 1) % 3]);
    y = tf.add(tf.add(y, ks[(group + 2) % 3]), int(group + 1));
  }
  return { hi: x, lo: y };
}

function blocks(key: Key, n: number) {
  return threefry(key, tf.zeros([n], "int32"), tf.range(0, n, 1, "int32"));
}
