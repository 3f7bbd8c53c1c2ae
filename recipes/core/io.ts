// Safetensors: a JSON header that says where each tensor lies, then the bytes. No code in the file, unlike pickle.
// https://huggingface.co/docs/safetensors: 8 bytes length N, N bytes header, data.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import type { Params } from "./params.ts";

/** How floats are stored. F16 and BF16 halve the file; both are read back as float32. */
export type FloatFormat = "F32" | "F16" | "BF16";

/** A file that is not what it should be: damaged, cut short, or of another kind. Other errors are not the file's. */
export class FormatError extends Error {
  override name = "FormatError";
}

/** A value for a message. What a damaged file holds can be as long and as deep as it likes: lists of lists stay unseen. */
export function shown(value: unknown): string {
  const deep = typeof value === "object" && value && Object.values(value).some((x) => typeof x === "object");
  const text = deep ? "nested" : typeof value === "bigint" ? `${value}` : (JSON.stringify(value) ?? "missing");
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

export interface Loaded {
  params: Params;
  /** the strings of the header's `__metadata__` */
  metadata: Record<string, string>;
  /** how each tensor was stored: F32, BF16, I64, ... */
  stored: Record<string, string>;
}

/** Writes the tensors to a safetensors file, whole or not at all. float32 as `dtype`, int32 as I32, bool as BOOL. */
export function save(
  path: string,
  params: Params,
  { dtype = "F32", metadata }: { dtype?: FloatFormat; metadata?: Record<string, string> } = {},
): void {
  writeAtomic(path, toSafetensors(params, { dtype, metadata }));
}

/** Reads a safetensors file. Floats become float32, integers int32. Throws for a file that is damaged, saying where. */
export function load(path: string): Loaded {
  try {
    return fromSafetensors(readFileSync(path));
  } catch (error) {
    const say = error instanceof FormatError ? FormatError : Error;
    throw new say(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Reads `model.safetensors.index.json` and the files that it names, beside it: a model too large for one file. Every
 * tensor must be in the file that the index says, and no other.
 */
export function loadSharded(path: string): Omit<Loaded, "metadata"> {
  const index = readJson(path);
  const map = index.weight_map;
  const entries = Object.entries(typeof map === "object" && !Array.isArray(map) ? (map ?? {}) : {});
  if (!entries.length) throw new FormatError(`${path}: weight_map is ${shown(map)}; wanted files by tensor name.`);
  const bad = entries.find(([, file]) => typeof file !== "string" || !/^[\w.-]+\.safetensors$/.test(file));
  if (bad)
    throw new FormatError(`${path}: ${shown(bad[0])} lies in ${shown(bad[1])}; wanted a .safetensors beside it.`);
  const wanted = new Map(entries as [string, string][]);
  const params: Params = {};
  const stored: Record<string, string> = {};
  for (const file of new Set(wanted.values())) {
    const part = load(join(dirname(path), file));
    Object.assign(stored, part.stored);
    for (const [name, tensor] of Object.entries(part.params)) {
      if (wanted.get(name) !== file)
        throw new FormatError(`${path}: ${name} is in ${file}, but the index says ${shown(wanted.get(name))}.`);
      params[name] = tensor;
    }
  }
  const missing = entries.find(([name]) => !params[name]);
  if (missing) throw new FormatError(`${path}: ${missing[1]} has no ${missing[0]}, though the index says so.`);
  return { params, stored };
}

/** A JSON file that holds a record. */
export function readJson(path: string): Record<string, any> {
  const text = readFileSync(path, "utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FormatError(`${path} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof value === "object" && value && !Array.isArray(value)) return value;
  throw new FormatError(`${path} holds ${shown(value)}; wanted a record.`);
}

/** The bytes of a safetensors file; the same params give the same bytes. */
export function toSafetensors(
  params: Params,
  { dtype = "F32", metadata }: { dtype?: FloatFormat; metadata?: Record<string, string> } = {},
): Uint8Array {
  const header: Record<string, unknown> = Object.create(null);
  if (metadata) header.__metadata__ = metadata;
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const name of Object.keys(params).sort()) {
    if (name === "__metadata__")
      throw new Error('A parameter cannot be named "__metadata__": the format keeps that name.');
    const tensor = params[name];
    const stored = { float32: dtype, int32: "I32", bool: "BOOL" }[tensor.dtype as string];
    if (!stored) throw new Error(`${name} is ${tensor.dtype}; safetensors here holds float32, int32 and bool.`);
    const part = pack(tensor.dataSync(), stored);
    header[name] = { dtype: stored, shape: tensor.shape, data_offsets: [at, at + part.length] };
    parts.push(part);
    at += part.length;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(json.length / 8) * 8; // the data starts aligned; blanks fill the header
  const out = new Uint8Array(8 + length + at).fill(0x20, 8, 8 + length);
  new DataView(out.buffer).setBigUint64(0, BigInt(length), true);
  out.set(json, 8);
  let to = 8 + length;
  for (const part of parts) {
    out.set(part, to);
    to += part.length;
  }
  return out;
}

const BYTES: Record<string, number> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};
const HEADER_LIMIT = 100_000_000; // that of the reference implementation

interface Entry {
  name: string;
  dtype: string;
  shape: number[];
  from: number;
  to: number;
}

/** Tensors and metadata out of the bytes of a safetensors file. Every byte must belong to exactly one tensor. */
export function fromSafetensors(file: Uint8Array): Loaded {
  const { entries, metadata, data } = readHeader(file);
  const params: Params = Object.create(null);
  for (const { name, dtype, shape, from, to } of entries) {
    const integer = /^[IU]/.test(dtype);
    const type = dtype === "BOOL" ? "bool" : integer ? "int32" : "float32";
    params[name] = tf.tensor(unpack(data.subarray(from, to), dtype, name), shape, type);
  }
  const stored = Object.fromEntries(entries.map(({ name, dtype }) => [name, dtype]));
  return { params: { ...params }, metadata, stored };
}

function readHeader(file: Uint8Array): { entries: Entry[]; metadata: Record<string, string>; data: Uint8Array } {
  if (file.length < 10) throw new FormatError(`Not a safetensors file: it has ${file.length} bytes.`);
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  if (length > Math.min(HEADER_LIMIT, file.length - 8)) {
    throw new FormatError(
      `Not a safetensors file, or cut short: the header would take ${length} of ${file.length} bytes.`,
    );
  }
  if (file[8] !== 0x7b) throw new FormatError("Not a safetensors file: the header does not start with {.");
  let header: Record<string, any>;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(file.subarray(8, 8 + length)));
  } catch (error) {
    throw new FormatError(`The safetensors header is not JSON: ${(error as Error).message}`);
  }
  const data = file.subarray(8 + length);
  const entries: Entry[] = [];
  const metadata: Record<string, string> = {};
  for (const name of Object.keys(header)) {
    if (["__proto__", "constructor", "prototype"].includes(name))
      throw new FormatError(`"${name}" cannot be a tensor's name.`);
    if (name !== "__metadata__") entries.push(readEntry(name, header[name], data.length));
    else if (typeof header[name] !== "object" || Array.isArray(header[name]))
      throw new FormatError(`__metadata__ is ${shown(header[name])}; wanted a record of strings.`);
    else
      for (const [key, value] of Object.entries(header[name] ?? {})) {
        if (typeof value !== "string")
          throw new FormatError(`__metadata__.${key} is a ${typeof value}; wanted a string.`);
        if (key !== "__proto__") metadata[key] = value;
      }
  }
  // JSON.parse keeps the last of two equal keys; then the bytes of the first belong to nobody, which is caught here.
  entries.sort((a, b) => a.from - b.from || a.to - b.to);
  let end = 0;
  for (const { name, from, to } of entries) {
    if (from !== end)
      throw new FormatError(`${name} starts at byte ${from} of the data; wanted ${end}: a hole or an overlap.`);
    end = to;
  }
  if (end !== data.length)
    throw new FormatError(`The tensors take ${end} bytes, but the file has ${data.length} after the header.`);
  return { entries, metadata, data };
}

function readEntry(name: string, entry: any, available: number): Entry {
  const { dtype, shape, data_offsets: offsets } = entry ?? {};
  const whole = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((n) => Number.isSafeInteger(n) && n >= 0);
  if (typeof dtype !== "string" || !Object.hasOwn(BYTES, dtype)) {
    throw new FormatError(`${name} has dtype ${shown(dtype)}; known are ${Object.keys(BYTES).join(", ")}.`);
  }
  if (!whole(shape) || shape.length > 8)
    throw new FormatError(`${name} has shape ${shown(shape)}; wanted a list of at most 8 sizes.`);
  if (!whole(offsets) || offsets.length !== 2 || offsets[0] > offsets[1] || offsets[1] > available) {
    throw new FormatError(`${name} lies at ${shown(offsets)}; wanted [from, to] within ${available} bytes of data.`);
  }
  const size = shape.reduce((a, b) => a * b, BYTES[dtype]);
  if (!Number.isSafeInteger(size) || size !== offsets[1] - offsets[0]) {
    throw new FormatError(`${name} has ${offsets[1] - offsets[0]} bytes, but ${dtype} [${shape}] takes ${size}.`);
  }
  return { name, dtype, shape, from: offsets[0], to: offsets[1] };
}

function unpack(bytes: Uint8Array, dtype: string, name: string): Float32Array | Int32Array | Uint8Array {
  const aligned = new Uint8Array(bytes); // a copy: the place in the file may not be aligned
  const { buffer } = aligned;
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer);
    case "F64":
      return Float32Array.from(new Float64Array(buffer));
    case "F16":
      return Float32Array.from(new Float16Array(buffer));
    case "BF16":
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
    case "I32":
      return new Int32Array(buffer);
    case "I64":
      return Int32Array.from(new BigInt64Array(buffer), (value) => {
        if (value !== BigInt.asIntN(32, value))
          throw new FormatError(`${name} holds ${value}, which does not fit 32 bits.`);
        return Number(value);
      });
    case "I16":
      return Int32Array.from(new Int16Array(buffer));
    case "I8":
      return Int32Array.from(new Int8Array(buffer));
    case "U8":
      return Int32Array.from(aligned);
    default:
      return aligned; // BOOL
  }
}

function pack(values: ArrayLike<number>, dtype: string): Uint8Array {
  if (dtype === "F16") return bytesOf(Float16Array.from(values)); // nearest, ties to even
  if (dtype === "BF16") return bytesOf(Uint16Array.from(values, floatToBfloat));
  if (dtype === "F32") return bytesOf(Float32Array.from(values));
  if (dtype === "I32") return bytesOf(Int32Array.from(values));
  return Uint8Array.from(values);
}

const bytesOf = ({ buffer }: Float16Array | Uint16Array | Float32Array | Int32Array) => new Uint8Array(buffer);
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The nearest bfloat16, ties to even, as its 16 bits: the upper half of a float32. */
function floatToBfloat(value: number): number {
  float[0] = value;
  if (Number.isNaN(value)) return 0x7fc0;
  return (bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) >>> 16;
}

/** Writes a file so that a reader, or a crash, sees the old one or the new one whole: other name, flush, rename, flush. */
export function writeAtomic(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const data = typeof content === "string" ? new TextEncoder().encode(content) : content;
  try {
    const file = openSync(temporary, "w");
    try {
      for (let at = 0; at < data.length; ) at += writeSync(file, data, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  if (process.platform === "win32") return; // folders cannot be opened there
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
