// Seeded draws of tensors: the same seed gives the same shapes and values on every machine, in TypeScript only.
export type DType = "float32" | "int32" | "bool" | "string" | "complex64";

/** A tensor as plain data, so that it can be made on any backend and written to a fixture. */
export interface Spec {
  dtype: DType;
  shape: number[];
  values: (number | string)[];
}

export const sizeOf = (shape: number[]) => shape.reduce((a, b) => a * b, 1);

/** mulberry32 */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type Draw = ReturnType<typeof draw>;

export function draw(seed: number) {
  const next = generator(seed);
  /** an integer in [low, high] */
  const int = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
  const pick = <T>(list: readonly T[]): T => list[int(0, list.length - 1)];
  const bool = () => next() < 0.5;
  /** a shape of rank in [minRank, maxRank] with sizes in [1, maxSize] */
  const shape = (minRank: number, maxRank: number, maxSize = 4) =>
    Array.from({ length: int(minRank, maxRank) }, () => int(1, maxSize));
  const permutation = (n: number) => {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = int(0, i);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  };

  /** values in [low, high]; floats in steps of 2^-10, so that they are exact in float32 and in JSON */
  function tensor(shape: number[], dtype: DType = "float32", low = -3, high = 3): Spec {
    const value = (): number | string => {
      if (dtype === "bool") return int(0, 1);
      if (dtype === "int32") return int(Math.ceil(low), Math.floor(high));
      if (dtype === "string") return Array.from({ length: int(0, 5) }, () => pick([..."ab é,"])).join("");
      return low + Math.round(next() * (high - low) * 1024) / 1024;
    };
    const count = sizeOf(shape) * (dtype === "complex64" ? 2 : 1);
    return { dtype, shape, values: Array.from({ length: count }, value) };
  }

  /** like `tensor`, all values different and at least 0.1 apart: nothing ties, so order and maxima are clear */
  function distinct(shape: number[], dtype: DType = "float32"): Spec {
    const size = sizeOf(shape);
    const order = permutation(size);
    const scale = dtype === "int32" ? 1 : 0.125;
    return { dtype, shape, values: order.map((i) => (i - Math.floor(size / 2)) * scale) };
  }

  /** two shapes that broadcast together */
  function broadcastPair(maxRank = 3): [number[], number[]] {
    const full = shape(0, maxRank);
    const drop = (s: number[]) => s.map((n) => (next() < 0.25 ? 1 : n)).slice(next() < 0.3 ? int(0, s.length) : 0);
    return bool() ? [full, drop(full)] : [drop(full), full];
  }

  /** axes without repeats, at least one */
  const axes = (rank: number) => permutation(rank).slice(0, int(1, rank));

  return { next, int, pick, bool, shape, permutation, tensor, distinct, broadcastPair, axes };
}
