// GGUF, the file of llama.cpp: typed metadata (sizes, tokenizer), then tensors, often quantized in blocks of 32 weights.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A block holds one or two float16 and 32 small integers q:
//   Q8_0  d q         8.5 bits a weight     Q4_0  d (q - 8)   4.5 bits      Q4_1  d q + m   5 bits
// Every count and place in the file is checked before it is believed, so a damaged file costs no more than its size.
import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { FormatError, shown } from "../core/io.ts";
import type { Params } from "../core/params.ts";

export type Value = number | bigint | boolean | string | Value[];

/** How a tensor is stored: numbers in a block and bytes of it. */
export const types = {
  F32: { code: 0, block: 1, bytes: 4 },
  F16: { code: 1, block: 1, bytes: 2 },
  Q4_0: { code: 2, block: 32, bytes: 18 },
  Q4_1: { code: 3, block: 32, bytes: 20 },
  Q8_0: { code: 8, block: 32, bytes: 34 },
  BF16: { code: 30, block: 1, bytes: 2 },
} as const;

export type GGUFType = keyof typeof types;

export interface GGUFTensor {
  name: string;
  type: GGUFType;
  /** slowest axis first, as in PyTorch; the file has it the other way round */
  shape: number[];
  bytes: Uint8Array;
}

/** Reads a GGUF file: tensors as float32, by the file's own names, and the metadata. */
export function loadGGUF(path: string): {
  params: Params;
  meta: Record<string, Value>;
  types: Record<string, GGUFType>;
} {
  try {
    const { meta, tensors } = readGGUF(readFileSync(path));
    const params: Params = {};
    for (const { name, type, shape, bytes } of tensors) params[name] = tf.tensor(dequantize(bytes, type), shape);
    return { params, meta, types: Object.fromEntries(tensors.map(({ name, type }) => [name, type])) };
  } catch (error) {
    if (error instanceof FormatError) throw new FormatError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Metadata and tensors, still as stored, out of the bytes of a GGUF file (versions 2 and 3). */
export function readGGUF(file: Uint8Array): { meta: Record<string, Value>; tensors: GGUFTensor[] } {
  const at = reader(file);
  if (at.left() < 24 || at.u32() !== 0x46554747) throw new FormatError("Not a GGUF file: it does not start with GGUF.");
  const version = at.u32();
  if (version !== 2 && version !== 3) {
    const why = version & 0xffff ? "" : " (a file for big-endian machines)";
    throw new FormatError(`GGUF version ${version}${why}; known are 2 and 3.`);
  }
  const tensorCount = at.count("tensors", 24);
  const pairs = at.count("metadata", 13);
  const meta: Record<string, Value> = Object.create(null);
  for (let i = 0; i < pairs; i++) {
    const key = at.string();
    if (key in meta) throw new FormatError(`${shown(key)} is in the metadata twice.`);
    meta[key] = at.value(at.u32(), key, 0);
  }
  const alignment = meta["general.alignment"] ?? 32;
  if (typeof alignment !== "number" || !Number.isInteger(Math.log2(alignment)) || alignment < 8 || alignment > 65536)
    throw new FormatError(`general.alignment is ${shown(alignment)}; wanted a power of two from 8 to 65536.`);

  const infos = Array.from({ length: tensorCount }, () => info(at));
  const data = Math.ceil(at.place() / alignment) * alignment;
  const seen = new Set<string>();
  let end = data;
  infos.sort((a, b) => a.offset - b.offset);
  const tensors = infos.map(({ name, type, shape, offset, length }): GGUFTensor => {
    if (seen.has(name)) throw new FormatError(`${shown(name)} is in the file twice.`);
    seen.add(name);
    const from = data + offset;
    if (offset % alignment)
      throw new FormatError(`${name} starts at byte ${offset}; wanted a multiple of ${alignment}.`);
    if (from < end) throw new FormatError(`${name} overlaps the tensor before it.`);
    end = from + length;
    if (end > file.length)
      throw new FormatError(`${name} ends at byte ${end}, but the file has ${file.length}: it was cut short.`);
    return { name, type, shape, bytes: file.subarray(from, end) };
  });
  return { meta, tensors };
}

function info(at: Reader): { name: string; type: GGUFType; shape: number[]; offset: number; length: number } {
  const name = at.string();
  if (["__proto__", "constructor", "prototype", ""].includes(name))
    throw new FormatError(`${shown(name)} cannot be a tensor's name.`);
  const rank = at.u32();
  if (rank < 1 || rank > 4) throw new FormatError(`${shown(name)} has ${rank} axes; wanted 1 to 4.`);
  const shape = Array.from({ length: rank }, () => at.u64()).reverse();
  const code = at.u32();
  const type = (Object.keys(types) as GGUFType[]).find((type) => types[type].code === code);
  if (!type) throw new FormatError(`${shown(name)} is of type ${code}; known are ${Object.keys(types).join(", ")}.`);
  const { block, bytes } = types[type];
  const size = shape.reduce((a, b) => a * b, 1);
  if (!Number.isSafeInteger(size) || !size || shape.at(-1)! % block)
    throw new FormatError(`${shown(name)} is [${shape}]; wanted rows of a multiple of ${block} for ${type}.`);
  return { name, type, shape, offset: at.u64(), length: (size / block) * bytes };
}

type Reader = ReturnType<typeof reader>;

function reader(file: Uint8Array) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const utf8 = new TextDecoder("utf-8", { fatal: true });
  let at = 0;
  const take = (bytes: number) => {
    if (bytes > file.length - at) throw new FormatError(`The GGUF file is cut short: it ends at byte ${file.length}.`);
    at += bytes;
    return at - bytes;
  };
  const u32 = () => view.getUint32(take(4), true);
  const long = () => view.getBigUint64(take(8), true);
  const u64 = () => {
    const value = long();
    if (value > Number.MAX_SAFE_INTEGER) throw new FormatError(`A size of ${value} at byte ${at - 8} cannot be true.`);
    return Number(value);
  };
  /** A number of things that take `least` bytes each, so there cannot be more than the file has room for. */
  const count = (what: string, least: number) => {
    const n = u64();
    if (n * least > file.length - at)
      throw new FormatError(`${n} ${what} at byte ${at - 8}: more than the rest of the file holds.`);
    return n;
  };
  const string = () => {
    const length = count("letters", 1);
    const from = take(length);
    try {
      return utf8.decode(file.subarray(from, at));
    } catch {
      throw new FormatError(`The text at byte ${from} is not UTF-8.`);
    }
  };
  const small = (value: bigint) => (value === BigInt.asIntN(53, value) ? Number(value) : value);
  const scalars: Record<number, [bytes: number, () => Value]> = {
    0: [1, () => view.getUint8(take(1))],
    1: [1, () => view.getInt8(take(1))],
    2: [2, () => view.getUint16(take(2), true)],
    3: [2, () => view.getInt16(take(2), true)],
    4: [4, u32],
    5: [4, () => view.getInt32(take(4), true)],
    6: [4, () => view.getFloat32(take(4), true)],
    7: [1, () => truth(view.getUint8(take(1)), at)],
    8: [8, string],
    10: [8, () => small(long())],
    11: [8, () => small(view.getBigInt64(take(8), true))],
    12: [8, () => view.getFloat64(take(8), true)],
  };
  const value = (type: number, key: string, depth: number): Value => {
    if (scalars[type]) return scalars[type][1]();
    if (type !== 9 || depth > 3) throw new FormatError(`${shown(key)} has a value of type ${type}; known are 0 to 12.`);
    const inner = u32();
    const n = count("values", scalars[inner]?.[0] ?? 12);
    return Array.from({ length: n }, () => value(inner, key, depth + 1));
  };
  return { u32, u64, count, string, value, left: () => file.length - at, place: () => at };
}

function truth(byte: number, at: number): boolean {
  if (byte > 1) throw new FormatError(`A truth value at byte ${at - 1} is ${byte}; wanted 0 or 1.`);
  return byte === 1;
}

/** The numbers of a tensor, to the bit as llama.cpp has them: products of such short factors are exact in float32. */
export function dequantize(bytes: Uint8Array, type: GGUFType): Float32Array {
  const { block, bytes: each } = types[type];
  const n = Math.floor(bytes.length / each);
  const out = new Float32Array(n * block);
  const copy = (length: number) => new Uint8Array(bytes.subarray(0, length)).buffer; // the place may not be aligned
  const half = (at: number) => halves[bytes[at] | (bytes[at + 1] << 8)];
  switch (type) {
    case "F32":
      return new Float32Array(copy(4 * n));
    case "BF16":
      return new Float32Array(Uint32Array.from(new Uint16Array(copy(2 * n)), (x) => x << 16).buffer);
    case "F16":
      for (let i = 0; i < n; i++) out[i] = half(2 * i);
      return out;
    case "Q8_0":
      for (let b = 0, at = 0, to = 0; b < n; b++, at += 34, to += 32) {
        const d = half(at);
        for (let i = 0; i < 32; i++) out[to + i] = d * ((bytes[at + 2 + i] << 24) >> 24);
      }
      return out;
    default: {
      // Q4_0 and Q4_1: byte i has weight i below and weight i + 16 above.
      const [head, zero] = type === "Q4_1" ? [4, 0] : [2, 8];
      for (let b = 0, at = 0, to = 0; b < n; b++, at += each, to += 32) {
        const d = half(at);
        const m = type === "Q4_1" ? half(at + 2) : -0; // x + -0 is x, also for x = -0
        for (let i = 0; i < 16; i++) {
          const two = bytes[at + head + i];
          out[to + i] = d * ((two & 15) - zero) + m;
          out[to + i + 16] = d * ((two >> 4) - zero) + m;
        }
      }
      return out;
    }
  }
}

// All float16 numbers: a table is faster than a conversion for each block.
const halves = Float32Array.from(new Float16Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer));
