// Writes GGUF, the file that gguf.ts reads and llama.cpp runs. A matrix may be quantized in blocks of 32 weights of a row,
// each with its own scale d (float16), as llama.cpp's reference does, to the bit:
//   Q8_0  d = max|x| / 127               q = x / d, rounded              8.5 bits a weight
//   Q4_0  d = x at max|x| / -8           q = x / d + 8, at most 15       4.5 bits; the largest is exact, its opposite is cut
//   Q4_1  d = (max - min) / 15, m = min  q = (x - m) / d                 5 bits
// Cost: one pass; the whole file is in memory once.
import { FormatError, writeAtomic } from "../core/io.ts";
import { type GGUFTensor, type GGUFType, types } from "./gguf.ts";

const codes = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, u64: 10, i64: 11, f64: 12 } as const;
type Scalar = keyof typeof codes;

/** A value of the metadata and how it is stored; `"string[]"` is a list. */
export type Typed = { type: Scalar | `${Scalar}[]`; value: unknown };

/** Writes the file, whole or not at all. */
export function saveGGUF(path: string, tensors: GGUFTensor[], meta: Record<string, Typed>): void {
  writeAtomic(path, writeGGUF(tensors, meta));
}

/** The bytes of a GGUF file, version 3. The order is kept; `general.alignment` among the metadata is kept to, else it is 32. */
export function writeGGUF(tensors: GGUFTensor[], meta: Record<string, Typed>): Uint8Array {
  const alignment = Number(meta["general.alignment"]?.value ?? 32);
  const pad = (at: number) => Math.ceil(at / alignment) * alignment;
  const head = writer();
  head.u32(0x46554747);
  head.u32(3);
  head.u64(tensors.length);
  head.u64(Object.keys(meta).length);
  for (const [key, typed] of Object.entries(meta)) {
    head.string(key);
    head.value(typed, key);
  }
  let offset = 0;
  const places = tensors.map(({ name, type, shape, bytes }) => {
    const { block, bytes: each, code } = types[type];
    const size = shape.reduce((a, b) => a * b, 1);
    if (!shape.length || shape.length > 4 || shape.at(-1)! % block || bytes.length !== (size / block) * each)
      throw new Error(`${name} is [${shape}] with ${bytes.length} bytes as ${type}; wanted rows of ${block}s.`);
    head.string(name);
    head.u32(shape.length);
    for (const length of [...shape].reverse()) head.u64(length);
    head.u32(code);
    head.u64(offset);
    const place = offset;
    offset = pad(offset + bytes.length);
    return place;
  });
  const header = head.done();
  const data = pad(header.length);
  const out = new Uint8Array(data + offset);
  out.set(header);
  tensors.forEach(({ bytes }, i) => {
    out.set(bytes, data + places[i]);
  });
  return out;
}

function writer() {
  let out = new Uint8Array(1 << 16);
  let view = new DataView(out.buffer);
  let at = 0;
  const room = (bytes: number) => {
    if (at + bytes > out.length) {
      const more = new Uint8Array(2 * (at + bytes));
      more.set(out);
      out = more;
      view = new DataView(out.buffer);
    }
    at += bytes;
    return at - bytes;
  };
  const utf8 = new TextEncoder();
  // Room first: it may move what is written to.
  const put = (bytes: number, set: (to: number) => void) => set(room(bytes));
  const u32 = (x: number) => put(4, (to) => view.setUint32(to, x, true));
  const u64 = (x: number | bigint) => put(8, (to) => view.setBigUint64(to, BigInt(x), true));
  const string = (text: string) => {
    const bytes = utf8.encode(text);
    u64(bytes.length);
    put(bytes.length, (to) => out.set(bytes, to));
  };
  const scalars: Record<Scalar, (x: any) => void> = {
    u32,
    i32: (x) => put(4, (to) => view.setInt32(to, x, true)),
    f32: (x) => put(4, (to) => view.setFloat32(to, x, true)),
    bool: (x) => put(1, (to) => view.setUint8(to, x ? 1 : 0)),
    string,
    u64,
    i64: (x) => put(8, (to) => view.setBigInt64(to, BigInt(x), true)),
    f64: (x) => put(8, (to) => view.setFloat64(to, x, true)),
  };
  const fits: Partial<Record<Scalar, (x: any) => boolean>> = {
    u32: (x) => Number.isInteger(x) && x >= 0 && x < 2 ** 32,
    i32: (x) => Number.isInteger(x) && x === (x | 0),
    bool: (x) => typeof x === "boolean",
    string: (x) => typeof x === "string",
  };
  const value = ({ type, value: given }: Typed, key: string) => {
    const list = type.endsWith("[]");
    const kind = type.replace("[]", "") as Scalar;
    const values = (list ? given : [given]) as unknown[];
    const bad = values.find((x) => !(fits[kind]?.(x) ?? (typeof x === "number" || typeof x === "bigint")));
    if (bad !== undefined || values.includes(undefined)) throw new Error(`${key} is ${String(bad)}; wanted ${kind}.`);
    u32(list ? 9 : codes[kind]);
    if (list) {
      u32(codes[kind]);
      u64(values.length);
    }
    for (const x of values) scalars[kind](x);
  };
  return { u32, u64, string, value, done: () => out.slice(0, at) };
}

/** Numbers as they are stored. `values` are whole rows of blocks. Throws for what has no such number: NaN, too large. */
export function quantize(values: Float32Array, type: GGUFType): Uint8Array {
  const { block, bytes: each } = types[type];
  if (values.length % block) throw new Error(`quantize: ${values.length} values; wanted a multiple of ${block}.`);
  const bad = values.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) throw new Error(`quantize: value ${bad} is ${values[bad]}; wanted finite numbers.`);
  if (type === "F32") return new Uint8Array(values.slice().buffer);
  if (type === "F16") {
    const out = Float16Array.from(values); // nearest, ties to even
    const over = out.findIndex((x) => !Number.isFinite(x));
    if (over >= 0) throw new FormatError(`quantize: ${values[over]} is too large for F16; BF16 and F32 have it.`);
    return new Uint8Array(out.buffer);
  }
  if (type === "BF16") {
    const bits = new Uint32Array(values.slice().buffer);
    return new Uint8Array(Uint16Array.from(bits, (x) => (x + 0x7fff + ((x >>> 16) & 1)) >>> 16).buffer);
  }
  const out = new Uint8Array((values.length / block) * each);
  for (let from = 0, at = 0; from < values.length; from += block, at += each)
    quantizers[type](values.subarray(from, from + block), out.subarray(at, at + each));
  return out;
}

const f32 = Math.fround; // every step is rounded to float32, as in C

const quantizers = {
  Q8_0(x: Float32Array, out: Uint8Array) {
    let top = 0;
    for (let i = 0; i < 32; i++) top = Math.max(top, Math.abs(x[i]));
    const d = f32(top / 127);
    const inverse = inverted(d);
    scale(out, 0, d);
    for (let i = 0; i < 32; i++) {
      const y = f32(x[i] * inverse);
      const up = Math.floor(Math.abs(y)); // halves go away from 0
      out[2 + i] = Math.sign(y) * (Math.abs(y) - up >= 0.5 ? up + 1 : up);
    }
  },
  Q4_0(x: Float32Array, out: Uint8Array) {
    let top = 0;
    for (let i = 0; i < 32; i++) if (Math.abs(x[i]) > Math.abs(top)) top = x[i];
    const d = f32(top / -8);
    const inverse = inverted(d);
    scale(out, 0, d);
    nibbles(out, 2, (i) => f32(f32(x[i] * inverse) + 8.5));
  },
  Q4_1(x: Float32Array, out: Uint8Array) {
    let [low, high] = [x[0], x[0]];
    for (let i = 1; i < 32; i++) {
      if (x[i] < low) low = x[i];
      if (x[i] > high) high = x[i];
    }
    const d = f32(f32(high - low) / 15);
    const inverse = inverted(d);
    scale(out, 0, d);
    scale(out, 2, low);
    nibbles(out, 4, (i) => f32(f32(f32(x[i] - low) * inverse) + 0.5));
  },
};

// A d so small that 1 / d is infinite is 0 as float16, and so are the numbers.
function inverted(d: number): number {
  const inverse = d ? f32(1 / d) : 0;
  return Number.isFinite(inverse) ? inverse : 0;
}

// Number i below, number i + 16 above, each cut to whole ones up to 15.
function nibbles(out: Uint8Array, head: number, of: (i: number) => number): void {
  for (let i = 0; i < 16; i++)
    out[head + i] = Math.min(15, Math.trunc(of(i))) | (Math.min(15, Math.trunc(of(i + 16))) << 4);
}

const half = new Float16Array(1);
const halfBytes = new Uint8Array(half.buffer);

function scale(out: Uint8Array, at: number, value: number): void {
  half[0] = value;
  if (!Number.isFinite(half[0]))
    throw new FormatError(`quantize: a block has the scale ${value}, too large for float16.`);
  out.set(halfBytes, at);
}
