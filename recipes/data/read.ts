// Your own data, read piece by piece: text, JSON lines, CSV and parquet of any size, in the memory of one piece.
//   for await (const { value, next } of read(["a.jsonl", "b.jsonl"], { shuffle: 1000, split: "train" })) ...
// A stream goes on exactly where it was: keep `next` with a checkpoint, and give it as `start`. It is small, since rows are
// shuffled a buffer at a time: where the buffer began and how many rows of it were given say everything.
import { statSync } from "node:fs";
import { basename, extname } from "node:path";
import { type Split, type SplitOptions, splitOf } from "../core/data.ts";
import { FormatError } from "../core/io.ts";
import { rng } from "../core/rng.ts";
import { csvRows } from "./csv.ts";
import { parquetRows } from "./parquet.ts";
import { jsonRows, textRows } from "./text.ts";

export type Row = Record<string, unknown>;

/** Where a row lies: the bytes before it, or in parquet the rows. */
export interface Found {
  row: Row;
  at: number;
}

/** Where a thing of a stream begins, to be kept as JSON: a stream that starts there gives it first. */
export type Place = Record<string, string | number>;

/** A thing of a stream, where it begins, and where the next one does; null after the last. */
export interface Item<T> {
  value: T;
  place: Place;
  next: Place | null;
}

export interface FormatOptions {
  /** text: what stands between two rows; a line break if not given */
  separator?: string;
  /** CSV: what stands between two fields; a comma, in .tsv a tab, if not given */
  delimiter?: string;
  /** CSV: the columns that hold numbers (an empty field is null); the others are text */
  numbers?: string[];
  /** parquet: the columns to read; all if not given */
  columns?: string[];
  /** bytes that a row (16 MiB if not given), or in parquet a page (64 MiB), may take */
  limit?: number;
}

export interface ReadOptions extends FormatOptions, SplitOptions {
  /** if not given, by the end of each file's name: .txt, .jsonl, .csv, .tsv, .parquet */
  format?: keyof typeof formats;
  /** rows to shuffle among each other; the files change their order too. 0: as they lie */
  shuffle?: number;
  /** how often everything is read */
  epochs?: number;
  /** `place` or `next` of an item of an earlier stream over the same files with the same options */
  start?: Place | null;
  /** only the rows of this split, by the hash of `name`, with the shares and the seed of splitOf */
  split?: Split;
  /** by what a row belongs to a split; all that it holds if not given, so equal rows are in one split */
  name?: (row: Row) => string;
}

type Reader = (path: string, at: number, options: FormatOptions) => AsyncGenerator<Found[]>;

const formats = {
  text: textRows,
  jsonl: jsonRows,
  csv: csvRows,
  tsv: (path, at, options) => csvRows(path, at, { delimiter: "\t", ...options }),
  parquet: parquetRows,
} satisfies Record<string, Reader>;

const endings: Record<string, keyof typeof formats> = {
  ".txt": "text",
  ".md": "text",
  ".jsonl": "jsonl",
  ".ndjson": "jsonl",
  ".csv": "csv",
  ".tsv": "tsv",
  ".parquet": "parquet",
};

/** The rows of the files, as records. Throws FormatError, with the file and the place, for a file that is damaged. */
export async function* read(
  paths: string | string[],
  { shuffle = 0, epochs = 1, seed = 0, start, ...options }: ReadOptions = {},
): AsyncGenerator<Item<Row>, void> {
  if (start === null) return;
  const files = [paths].flat();
  check(files, start);
  let from = start; // what it says is about the first row given, and forgotten then
  let held: Placed | undefined; // which row comes next is known when it is there: each is held back until then
  for (let epoch = Number(start?.epoch ?? 0); epoch < epochs; epoch++) {
    const order = shuffle ? rng(seed).fork(`epoch ${epoch}`).shuffle(files) : files;
    let block: Placed[] = [];
    const given = () => {
      const { place } = block[0];
      const mixed = shuffle ? rng(seed).fork(`rows ${epoch} ${place.file} ${place.at}`).shuffle(block) : block;
      const items = mixed.map(({ value }, skip) => ({
        value,
        place: shuffle ? { ...place, skip } : mixed[skip].place,
      }));
      const rest = items.slice(Number(from?.skip ?? 0));
      if (from?.piece && rest.length) rest[0].place = { ...rest[0].place, piece: from.piece };
      [from, block] = [undefined, []];
      return rest;
    };
    for await (const rows of rowsOf(order, epoch, from, { seed, ...options })) {
      for (const row of rows) {
        if (block.push(row) < shuffle) continue;
        for (const item of given()) {
          if (held) yield { ...held, next: item.place };
          held = item;
        }
      }
    }
    for (const item of block.length ? given() : []) {
      if (held) yield { ...held, next: item.place };
      held = item;
    }
    if (!held && !start)
      throw new Error(
        `read: no row${options.split ? ` of the split ${options.split}` : ""} is in ${files.join(", ")}.`,
      );
    from = undefined;
  }
  if (held) yield { ...held, next: null };
}

type Placed = Omit<Item<Row>, "next">;

/** The rows in the order of the files, from a place on, as many at a time as are read together. */
async function* rowsOf(
  order: string[],
  epoch: number,
  from: Place | undefined,
  { format, split, name = content, validation, test, seed, ...options }: ReadOptions,
): AsyncGenerator<Placed[]> {
  for (let i = from ? order.findIndex((path) => basename(path) === from.file) : 0; i < order.length; i++) {
    const path = order[i];
    const file = basename(path);
    const kind = format ?? endings[extname(path).toLowerCase()];
    if (!kind)
      throw new Error(
        `${path}: in which format? Known endings are ${Object.keys(endings).join(", ")}; or say it by \`format\`.`,
      );
    const bytes = statSync(path).size;
    const wanted = ({ row }: Found) => !split || splitOf(name(row), { validation, test, seed }) === split;
    const at = from?.file === file ? Number(from.at) : 0;
    try {
      for await (const rows of formats[kind](path, at, options) as ReturnType<Reader>)
        yield rows.filter(wanted).map(({ row, at }) => ({ value: row, place: { epoch, file, bytes, at } }));
    } catch (error) {
      if (error instanceof FormatError) throw new FormatError(`${path}: ${error.message}`, { cause: error });
      throw error;
    }
  }
}

const content = (row: Row) => JSON.stringify(row, (_, value) => (typeof value === "bigint" ? `${value}` : value));

function check(paths: string[], start?: Place | null): void {
  const names = paths.map((path) => basename(path));
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice || !paths.length)
    throw new Error(
      `read: ${twice ? `two files are named ${twice}` : "no file is given"}; wanted files of different names.`,
    );
  if (!start) return;
  const path = paths[names.indexOf(String(start.file))];
  if (!path) throw new Error(`read: the stream was in ${start.file}, which is not among ${names.join(", ")}.`);
  const { size } = statSync(path);
  if (size !== start.bytes)
    throw new Error(
      `read: ${path} has ${size} bytes, but had ${start.bytes} when the stream was there: begin anew, or take the file of then.`,
    );
}
