// Text and JSON lines, one row after the other. The file is read in pieces of 256 KiB; no more of it is in memory than a piece
// and a row.
import { createReadStream } from "node:fs";
import { FormatError, shown } from "../core/io.ts";
import type { FormatOptions, Found, Row } from "./read.ts";

/** Bytes that a row may take, so that a file without an end of a row does not fill the memory. */
export const LIMIT = 2 ** 24;

/** Rows `{ text }`: what stands between separators, without white space around it; empty ones are left out. */
export async function* textRows(
  path: string,
  from: number,
  { separator = "\n", limit = LIMIT }: FormatOptions,
): AsyncGenerator<Found[]> {
  for await (const all of parts(path, from, separator, limit)) yield all.map(({ text, at }) => ({ row: { text }, at }));
}

/** Rows of a file with a JSON record in each line. */
export async function* jsonRows(path: string, from: number, { limit = LIMIT }: FormatOptions): AsyncGenerator<Found[]> {
  for await (const all of parts(path, from, "\n", limit))
    yield all.map(({ text, at }) => ({ row: record(text, at), at }));
}

function record(text: string, at: number): Row {
  let row: unknown;
  try {
    row = JSON.parse(text);
  } catch (error) {
    throw new FormatError(`The line at byte ${at} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof row !== "object" || !row || Array.isArray(row))
    throw new FormatError(`The line at byte ${at} is ${shown(row)}; wanted a record.`);
  if (tooDeep(row)) throw new FormatError(`The record at byte ${at} is nested more than ${DEEP} levels deep.`);
  checkNames(Object.keys(row));
  return row as Row;
}

/** Names of fields that would be taken for parts of JavaScript's objects are refused. */
export function checkNames(names: string[]): void {
  const bad = names.find((name) => ["__proto__", "constructor", "prototype"].includes(name));
  if (bad) throw new FormatError(`"${bad}" cannot be the name of a field.`);
}

const DEEP = 500; // what goes through a record later would overflow the stack at some thousands

function tooDeep(value: unknown): boolean {
  let level = [value];
  for (let depth = 0; level.length; depth++) {
    if (depth > DEEP) return true;
    level = level.flatMap((one) => (typeof one === "object" && one ? Object.values(one) : []));
  }
  return false;
}

/** The file from byte `from` on, decoded, in pieces; throws where it is not UTF-8. */
export async function* decoded(path: string, from: number): AsyncGenerator<string> {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let read = from;
  const decode = (bytes?: Buffer) => {
    try {
      return utf8.decode(bytes, { stream: Boolean(bytes) });
    } catch {
      throw new FormatError(`It is not UTF-8, somewhere in the ${bytes?.length ?? 4} bytes before byte ${read}.`);
    }
  };
  for await (const bytes of createReadStream(path, { start: from, highWaterMark: 2 ** 18 })) {
    read += bytes.length;
    yield decode(bytes);
  }
  yield decode();
}

interface Part {
  text: string;
  at: number;
}

async function* parts(path: string, from: number, separator: string, limit: number): AsyncGenerator<Part[]> {
  if (!separator) throw new Error("read: the separator is empty; wanted what stands between two rows.");
  let rest = "";
  let at = from; // the bytes before `rest`
  const cut = (last: boolean): Part[] => {
    const out: Part[] = [];
    for (let begin = 0; ; ) {
      const found = rest.indexOf(separator, begin);
      if (found < 0 && !last) {
        rest = rest.slice(begin);
        return out;
      }
      const text = found < 0 ? rest.slice(begin) : rest.slice(begin, found);
      const trimmed = text.replace(/^\ufeff/, "").trim();
      if (trimmed) out.push({ text: trimmed, at });
      if (found < 0) return out;
      at += Buffer.byteLength(text) + Buffer.byteLength(separator);
      begin = found + separator.length;
    }
  };
  for await (const more of decoded(path, from)) {
    rest += more;
    yield cut(false);
    if (rest.length > limit)
      throw new FormatError(
        `The row at byte ${at} is longer than ${limit} bytes; is ${shown(separator)} what stands between rows?`,
      );
  }
  yield cut(true);
}
