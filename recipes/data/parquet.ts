// Parquet by hyparquet, a row group at a time. A file says of itself how long its lists and pages are; that is checked before
// it is believed, since a reader that believes asks for memory that the file cannot fill.
import { open } from "node:fs/promises";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type { FileMetaData, RowGroup, SchemaTree } from "hyparquet";
import { FormatError, shown } from "../core/io.ts";
import { type Compressors, checkPages, chunk, thriftEnd, whole } from "./parquet-pages.ts";
import type { FormatOptions, Found, Row } from "./read.ts";
import { checkNames } from "./text.ts";

type Slice = (start: number, end: number) => Promise<Uint8Array<ArrayBuffer>>;
const utf8 = new TextDecoder("utf-8", { fatal: true });
const parsers = { stringFromBytes: (bytes?: Uint8Array) => bytes && utf8.decode(bytes) }; // the default one is not strict
const GROUP = 2 ** 31; // bytes of a row group: what one buffer holds

/** Rows of a parquet file, from row number `from` on. Whole numbers that a double holds are numbers, larger ones bigints. */
export async function* parquetRows(
  path: string,
  from: number,
  { columns, limit = 2 ** 26 }: FormatOptions,
): AsyncGenerator<Found[]> {
  const { parquetReadObjects, parquetSchema, compressors } = await library();
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const slice: Slice = async (start, end) => {
      const bytes = new Uint8Array(end - start);
      const { bytesRead } = await file.read(bytes, 0, end - start, start);
      if (bytesRead < end - start) throw new FormatError(`It ends at byte ${start + bytesRead}; wanted ${end}.`);
      return bytes;
    };
    const metadata = await damaged("Its footer", () => footer(slice, size));
    const tree = parquetSchema(metadata);
    const names = tree.children.map(({ element }) => element.name);
    checkNames(names);
    const missing = columns?.find((name) => !names.includes(name));
    if (missing !== undefined)
      throw new Error(`${path}: there is no column ${shown(missing)}; there are ${names.slice(0, 20).join(", ")}.`);
    let first = 0; // row of the group
    for (const group of metadata.row_groups) {
      const rows = Number(group.num_rows);
      if (first + rows > from) {
        const read = await damaged(`The row group of row ${first}`, async () => {
          const [start, end] = range(group, tree, size);
          const bytes = await slice(start, end);
          for (const { meta_data: column } of group.columns) {
            if (columns && !columns.includes(column!.path_in_schema[0])) continue;
            const [a, b] = chunk(column!);
            await checkPages(bytes.subarray(a - start, b - start), column!, rows, tree, { compressors, limit });
          }
          const part = (a: number, b = end) => bytes.slice(a - start, b - start).buffer;
          const one = { ...metadata, num_rows: group.num_rows, row_groups: [group] };
          return parquetReadObjects({
            file: { byteLength: size, slice: part },
            metadata: one,
            columns,
            compressors,
            parsers,
          });
        });
        yield read.map((row, i) => ({ row: plain(row) as Row, at: first + i })).slice(Math.max(0, from - first));
      }
      first += rows;
    }
  } finally {
    await file.close();
  }
}

// What the parser stumbles over is an error of the file.
async function damaged<T>(what: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw new FormatError(`${what} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

function plain(value: unknown): unknown {
  if (typeof value === "bigint") return value === BigInt.asIntN(53, value) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || !value || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, plain(child)]));
}

async function footer(slice: Slice, size: number): Promise<FileMetaData> {
  const { parquetMetadata } = await library();
  const magic = (bytes: Uint8Array) => String.fromCharCode(...bytes) === "PAR1";
  if (size < 12 || !magic(await slice(0, 4)) || !magic(await slice(size - 4, size)))
    throw new FormatError("it is no parquet file, or cut short: it does not begin and end with PAR1.");
  const length = new DataView((await slice(size - 8, size - 4)).buffer).getUint32(0, true);
  if (length > size - 12) throw new FormatError(`it would take ${length} of ${size} bytes.`);
  const bytes = await slice(size - 8 - length, size);
  if (thriftEnd(bytes, 0, length) !== length) throw new FormatError("it does not end where it should.");
  const metadata = parquetMetadata(bytes.buffer);
  const rows = metadata.row_groups.reduce((sum, group) => sum + whole(group.num_rows, "rows in a group"), 0);
  if (rows !== whole(metadata.num_rows, "rows"))
    throw new FormatError(`it counts ${metadata.num_rows} rows, its groups ${rows}.`);
  checkSchema(metadata);
  checkFields(metadata);
  return metadata;
}

// The schema is a tree, written depth first: each element says how many of those after it are its own.
function checkSchema({ schema }: FileMetaData): void {
  let at = 0;
  const walk = (depth: number): void => {
    const element = schema[at++];
    if (!element || depth > 50) throw new FormatError("the schema is not a tree of at most 50 levels.");
    const { name, type, repetition_type, num_children: children = 0 } = element;
    if (typeof name !== "string" || children < 0 || (depth && (!repetition_type || (!children && !type))))
      throw new FormatError(`${shown(name)} in the schema has ${children} fields and the type ${shown(type)}.`);
    const names = new Set<string>();
    for (let i = 0; i < children; i++) {
      names.add(schema[at]?.name);
      walk(depth + 1);
    }
    if (names.size < children) throw new FormatError(`two fields of ${shown(name)} have the same name.`);
  };
  walk(0);
  if (at !== schema.length || at < 2) throw new FormatError(`the schema has ${schema.length} fields, its tree ${at}.`);
}

// What the format says is always there, beyond what is looked at elsewhere.
function checkFields({ version, key_value_metadata: notes = [], row_groups: groups }: FileMetaData): void {
  const columns = groups.flatMap((group) => group.columns);
  const lacking = [
    [version],
    notes.map(({ key }) => key),
    groups.map((group) => group.total_byte_size),
    ...columns.flatMap(({ file_offset, meta_data: of }) => [
      [file_offset, of?.type, of?.encodings, of?.path_in_schema, of?.total_uncompressed_size],
      ...(of?.encoding_stats ?? []).map(({ page_type, encoding, count }) => [page_type, encoding, count]),
    ]),
  ].some((fields) => (fields as unknown[]).includes(undefined));
  if (lacking) throw new FormatError("it lacks a field that every footer has.");
}

/** Where the bytes of a row group lie. */
function range(group: RowGroup, tree: SchemaTree, size: number): [start: number, end: number] {
  const leaves = (node: SchemaTree): string[] =>
    node.children.length ? node.children.flatMap(leaves) : [node.path.join(".")];
  const found = group.columns.map(({ meta_data: column }) => column?.path_in_schema.join("."));
  if (String(found) !== String(leaves(tree)))
    throw new FormatError(`it has the columns ${shown(found)}; wanted ${shown(leaves(tree))}.`);
  let [start, end] = [size, 0];
  for (const { meta_data: column } of group.columns) {
    const [from, to] = chunk(column!);
    if (from < 4 || to > size - 8) throw new FormatError(`a column lies at ${from} to ${to} of ${size} bytes.`);
    [start, end] = [Math.min(start, from), Math.max(end, to)];
  }
  if (end - start > GROUP) throw new FormatError(`it takes ${end - start} bytes; wanted ${GROUP} or fewer.`);
  return [start, end];
}

// Node's own are faster, and give back what a damaged page made them take at once: the parser's own in JavaScript leave it to be collected.
const bounded = (unpack: typeof gunzipSync) => (page: Uint8Array, length: number) =>
  unpack(page, { maxOutputLength: Math.max(1, length) });
const native: Compressors = { GZIP: bounded(gunzipSync), BROTLI: bounded(brotliDecompressSync as typeof gunzipSync) };

async function library() {
  try {
    const [parquet, { compressors }] = await Promise.all([import("hyparquet"), import("hyparquet-compressors")]);
    return { ...parquet, compressors: { ...compressors, ...native } as Compressors };
  } catch (error) {
    throw new Error("Parquet needs packages: npm install hyparquet hyparquet-compressors", { cause: error });
  }
}
