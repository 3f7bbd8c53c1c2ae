// What the headers of a parquet file say, checked against the bytes that are there: sizes, numbers of values, the runs of
// levels and dictionary indices. After that a parser can believe them. https://parquet.apache.org/docs/file-format/
import type { RowGroup, SchemaTree } from "hyparquet";
import { FormatError, shown } from "../core/io.ts";

export type Column = NonNullable<RowGroup["columns"][0]["meta_data"]>;
export type Compressors = Record<string, ((input: Uint8Array, length: number) => Uint8Array) | undefined>;

export interface PageOptions {
  compressors: Compressors;
  /** bytes that a page may take, unpacked */
  limit: number;
}

/** A number of things that a file states, once it is one. */
export function whole(value: unknown, what: string): number {
  const n = typeof value === "bigint" ? Number(value) : value;
  if (Number.isSafeInteger(n) && (n as number) >= 0) return n as number;
  throw new FormatError(`It has ${shown(value)} ${what}; wanted a whole number.`);
}

/** Where the bytes of a column lie in the file. */
export function chunk({ data_page_offset, dictionary_page_offset, total_compressed_size }: Column): [number, number] {
  const data = whole(data_page_offset, "as the place of a column");
  const dictionary = dictionary_page_offset ? whole(dictionary_page_offset, "as the place of a dictionary") : data;
  const from = Math.min(data, dictionary);
  return [from, from + whole(total_compressed_size, "bytes of a column")];
}

/** Walks the pages of a column that has `rows` rows and whose bytes are `bytes`. */
export async function checkPages(
  bytes: Uint8Array<ArrayBuffer>,
  column: Column,
  rows: number,
  tree: SchemaTree,
  { compressors, limit }: PageOptions,
): Promise<void> {
  const { parquetHeader } = await import("hyparquet/src/column.js");
  const { getTreePath, getMaxDefinitionLevel, getMaxRepetitionLevel } = await import("hyparquet/src/schema.js");
  const name = column.path_in_schema.join(".");
  const path = getTreePath(tree, column.path_in_schema);
  const { element } = path.at(-1)!;
  if (element.type !== column.type)
    throw new FormatError(`${name} is ${shown(column.type)}; wanted ${shown(element.type)}, as in the schema.`);
  if (column.codec !== "UNCOMPRESSED" && !compressors[column.codec])
    throw new FormatError(
      `${name} is packed by ${shown(column.codec)}; known are UNCOMPRESSED, ${Object.keys(compressors).join(", ")}.`,
    );
  const [repetition, definition] = [getMaxRepetitionLevel(path), getMaxDefinitionLevel(path)];
  const values = whole(column.num_values, "values in a column");
  if (repetition ? values < rows : values !== rows)
    throw new FormatError(`${name} has ${values} values for ${rows} rows.`);
  const unpack = (page: Uint8Array, length: number) => {
    const out = column.codec === "UNCOMPRESSED" ? page : compressors[column.codec]?.(page, length);
    if (out?.length === length) return out;
    throw new FormatError(`A page of ${name} (${column.codec}) has ${out?.length} bytes; wanted ${length}.`);
  };

  let seen = 0;
  let dictionary: number | undefined; // values in it
  for (let at = 0; at < bytes.length; ) {
    const start = thriftEnd(bytes, at, bytes.length);
    const header = parquetHeader({ view: new DataView(bytes.buffer, bytes.byteOffset + at, start - at), offset: 0 });
    const size = whole(header.uncompressed_page_size, "bytes in a page");
    at = start + whole(header.compressed_page_size, "bytes in a page");
    if (at > bytes.length || size > limit)
      throw new FormatError(
        `A page of ${name} takes ${at - start} bytes, unpacked ${size}; ${bytes.length - start} are left, and ${limit} may be (the option limit).`,
      );
    const page = bytes.subarray(start, at);
    if (header.type === "DICTIONARY_PAGE") {
      const info = header.dictionary_page_header;
      if (dictionary !== undefined || !info?.encoding?.startsWith("PLAIN"))
        throw new FormatError(`${name} has a second dictionary, or one that is stored as ${shown(info?.encoding)}.`);
      dictionary = whole(info.num_values, "values in a dictionary");
      room(unpack(page, size), dictionary, element);
    } else if (header.type === "DATA_PAGE" || header.type === "DATA_PAGE_V2") {
      const second = header.type === "DATA_PAGE_V2" ? header.data_page_header_v2 : undefined;
      const info = second ?? header.data_page_header;
      const n = whole(info?.num_values, "values in a page");
      seen += n;
      if (seen > values) throw new FormatError(`The pages of ${name} hold ${seen} values or more; wanted ${values}.`);
      const { data, present } = second ? secondLevels(second, page, size) : firstLevels(unpack(page, size), n);
      checkValues(data, info!.encoding, present);
    }
  }
  if (seen !== values) throw new FormatError(`The pages of ${name} hold ${seen} values; wanted ${values}.`);

  // Version 1: each kind of level with its length before it, then the values, all packed as one.
  function firstLevels(page: Uint8Array, n: number): { data: Uint8Array; present: number } {
    let [data, present] = [page, n];
    for (const most of [repetition, definition]) {
      if (!most) continue;
      const view = new DataView(data.buffer, data.byteOffset, data.length);
      const length = data.length < 4 ? 2 ** 32 : view.getUint32(0, true);
      if (length > data.length - 4) throw new FormatError(`Levels of ${length} bytes in a page of ${data.length}.`);
      present = runs(data.subarray(4, 4 + length), bits(most), n, most);
      data = data.subarray(4 + length);
    }
    return { data, present: definition ? present : n };
  }
  // Version 2: the levels stand first, unpacked, and their lengths in the header.
  function secondLevels(info: Record<string, any>, page: Uint8Array, size: number) {
    const n = info.num_values as number;
    const levels = whole(info.repetition_levels_byte_length, "bytes of levels");
    const both = levels + whole(info.definition_levels_byte_length, "bytes of levels");
    if (both > page.length || both > size)
      throw new FormatError(`Levels of ${both} bytes in a page of ${page.length}, unpacked ${size}.`);
    if (repetition) runs(page.subarray(0, levels), bits(repetition), n, repetition);
    const present = definition ? runs(page.subarray(levels, both), bits(definition), n, definition) : n;
    if (whole(info.num_rows, "rows in a page") > n || whole(info.num_nulls, "nulls in a page") !== n - present)
      throw new FormatError(
        `A page of ${n} values, ${present} of them present, says ${shown(info.num_nulls)} are not.`,
      );
    const packed = info.is_compressed !== false && size > both;
    return { data: packed ? unpack(page.subarray(both), size - both) : page.subarray(both), present };
  }
  function checkValues(data: Uint8Array, encoding: string, present: number): void {
    if (!present) return;
    if (encoding.endsWith("_DICTIONARY")) {
      if (dictionary === undefined)
        throw new FormatError(`A page of ${name} refers to a dictionary that is not there.`);
      if (!data.length || data[0] > 32) throw new FormatError(`The indices of ${name} are of ${data[0]} bits.`);
      runs(data.subarray(1), data[0], present, dictionary - 1);
    } else if (encoding === "RLE") runs(data.subarray(4), 1, present, 1);
    else if (encoding === "PLAIN") room(data, present, element);
    else if (present > data.length * 2 ** 12)
      throw new FormatError(`${present} values of ${name} in ${data.length} bytes.`);
  }
}

const bits = (most: number) => 32 - Math.clz32(most);

/** Throws where `n` values, stored plainly, do not fit; of texts each one's length is looked at. */
function room(data: Uint8Array, n: number, { type, type_length }: { type?: string; type_length?: number }): void {
  if (type === "BYTE_ARRAY") {
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    for (let i = 0, at = 0; i < n; i++) {
      const length = at + 4 > data.length ? 2 ** 32 : view.getUint32(at, true);
      at += 4 + length;
      if (at > data.length)
        throw new FormatError(`Text ${i} of ${n} in a page takes ${length} bytes, more than are left.`);
    }
    return;
  }
  const fixed = type === "FIXED_LEN_BYTE_ARRAY" ? Math.max(1, whole(type_length, "bytes of a value")) : 8;
  const each = { BOOLEAN: 1 / 8, INT32: 4, FLOAT: 4, INT96: 12 }[type ?? ""] ?? fixed;
  if (n * each > data.length) throw new FormatError(`${n} values of ${each} bytes in a page of ${data.length}.`);
}

/**
 * Walks runs of `n` numbers of `width` bits: of one number, or packed eight by eight. Gives how often the number `most` is
 * among them; throws for a larger one, and for runs of more numbers than `n` or than the bytes hold.
 */
function runs(bytes: Uint8Array, width: number, n: number, most: number): number {
  let hits = 0;
  const see = (value: number, times: number) => {
    if (value > most) throw new FormatError(`A run holds the number ${value}; wanted ${most} at most.`);
    if (value === most) hits += times;
  };
  let at = 0;
  for (let seen = 0; seen < n; ) {
    let head = 0;
    for (let shift = 0; ; shift += 7) {
      if (at >= bytes.length || shift > 28) throw new FormatError(`Runs end after ${seen} numbers; wanted ${n}.`);
      head += (bytes[at] & 127) * 2 ** shift;
      if (bytes[at++] < 128) break;
    }
    const packed = head % 2 === 1;
    const length = Math.floor(head / 2) * (packed ? 8 : 1);
    const here = Math.min(length, n - seen); // the last packed run may be filled up
    const size = Math.ceil((packed ? here * width : width) / 8);
    if (!length || (packed ? length - here > 7 : length > here) || size > bytes.length - at)
      throw new FormatError(
        `A run of ${length} numbers of ${width} bits: ${n - seen} are left, and ${bytes.length - at} bytes.`,
      );
    let [buffer, have, next] = [0, 0, at];
    const base = 2 ** width;
    for (let i = 0; i < (packed ? here : 1); i++) {
      for (; have < width; have += 8) buffer += bytes[next++] * 2 ** have; // at most 40 bits, which a double holds
      see(buffer % base, packed ? 1 : here);
      buffer = Math.floor(buffer / base);
      have -= width;
    }
    seen += here;
    at += packed ? Math.min((length * width) / 8, bytes.length - at) : size;
  }
  return hits;
}

/**
 * Where the record of Thrift's compact protocol ends that begins at byte `at`: walked over, with every length checked
 * against the bytes that are left before `end`.
 */
export function thriftEnd(bytes: Uint8Array, at: number, end: number): number {
  const take = (n: number) => {
    if (n > end - at)
      throw new FormatError(`A field at byte ${at} of a header takes ${n} bytes; ${end - at} are left.`);
    at += n;
    return at - n;
  };
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift <= 63; shift += 7) {
      const byte = bytes[take(1)];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw new FormatError(`A number at byte ${at} of a header is longer than 64 bits.`);
  };
  const skip = (type: number, depth: number): void => {
    if (depth > 30) throw new FormatError("A header is nested more than 30 levels deep.");
    if (type === 1 || type === 2) return; // true and false are in the type
    if (type === 3) take(1);
    else if (type >= 4 && type <= 6) varint();
    else if (type === 7) take(8);
    else if (type === 8) take(varint());
    else if (type === 9) list(depth);
    else if (type === 12) record(depth + 1);
    else throw new FormatError(`A field at byte ${at} of a header is of type ${type}.`);
  };
  const list = (depth: number) => {
    const head = bytes[take(1)];
    const [length, type] = [head >> 4 === 15 ? varint() : head >> 4, head & 15];
    if (length > end - at)
      throw new FormatError(`A list of ${length} at byte ${at} of a header; ${end - at} bytes are left.`);
    for (let i = 0; i < length; i++) type === 1 || type === 2 ? take(1) : skip(type, depth + 1);
  };
  const record = (depth: number): void => {
    for (;;) {
      const head = bytes[take(1)];
      if (!(head & 15)) return;
      if (!(head >> 4)) varint();
      skip(head & 15, depth);
    }
  };
  record(0);
  return at;
}
