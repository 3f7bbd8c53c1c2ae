// Random numbers that are the same on any machine, in any order of work: a number is a function of (seed, name, counter).
// The generator is Threefry-2x32 with 20 rounds (Salmon 2011), which needs only 32-bit add, rotate and xor.
import * as tf from "@tensorflow/tfjs-core";

export interface Rng {
  /** A number in [0, 1), of 53 random bits. */
  next(): number;
  /** An integer in 0..n-1. */
  int(n: number): number;
  /** A float32 tensor from N(0, std²). */
  normal(shape: number[], std?: number): tf.Tensor;
  /** A float32 tensor, uniform in [low, high). */
  uniform(shape: number[], low?: number, high?: number): tf.Tensor;
  /** A shuffled copy (Fisher and Yates). */
  shuffle<T>(items: ArrayLike<T>): T[];
  /** A generator of its own for that name or number. Does not depend on how many numbers were drawn before. */
  fork(name: string | number): Rng;
}

/** A generator from a seed (an integer, of which the low 53 bits count). */
export function rng(seed: number): Rng {
  if (!Number.isSafeInteger(seed)) throw new Error(`rng: the seed is ${seed}; wanted an integer.`);
  return generator(seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0);
}

function generator(key0: number, key1: number): Rng {
  let counter = 0;
  const next = () => {
    const [a, b] = threefry(key0, key1, counter >>> 0, Math.floor(counter / 2 ** 32));
    counter++;
    return ((a >>> 5) * 2 ** 26 + (b >>> 6)) / 2 ** 53;
  };
  const int = (n: number) => Math.floor(next() * n);
  const fill = (shape: number[], draw: () => number) => {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    for (let i = 0; i < values.length; i++) values[i] = draw();
    return tf.tensor(values, shape, "float32");
  };
  // Box and Muller 1958, in double precision: the last bit of a machine's log or cos is gone after rounding to float32.
  const gaussian = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  return {
    next,
    int,
    normal: (shape, std = 1) => fill(shape, () => std * gaussian()),
    uniform: (shape, low = 0, high = 1) => fill(shape, () => low + (high - low) * next()),
    shuffle: (items) => {
      const out = Array.from(items);
      for (let i = out.length - 1; i > 0; i--) {
        const j = int(i + 1);
        [out[i], out[j]] = [out[j], out[i]];
      }
      return out;
    },
    fork: (name) => {
      let [a, b] = threefry(key0, key1, 0, 0xffffffff); // a counter that drawing does not reach
      for (const letter of String(name)) [a, b] = threefry(a, b, letter.codePointAt(0)!, 1);
      return generator(a, b);
    },
  };
}

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];

/** 64 random bits, two words, for a key and a counter of two words each. */
export function threefry(key0: number, key1: number, x0: number, x1: number): [number, number] {
  const keys = [key0, key1, key0 ^ key1 ^ 0x1bd11bda];
  let a = (x0 + key0) | 0;
  let b = (x1 + key1) | 0;
  for (let block = 0; block < 5; block++) {
    for (let i = 0; i < 4; i++) {
      const turn = ROTATIONS[(block % 2) * 4 + i];
      a = (a + b) | 0;
      b = ((b << turn) | (b >>> (32 - turn))) ^ a;
    }
    a = (a + keys[(block + 1) % 3]) | 0;
    b = (b + keys[(block + 2) % 3] + block + 1) | 0;
  }
  return [a >>> 0, b >>> 0];
}
