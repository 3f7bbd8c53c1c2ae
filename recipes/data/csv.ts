// CSV (RFC 4180), a row at a time: papaparse takes the fields apart, this file knows how many bytes they were, so that a
// stream can go on anywhere. The first line names the columns; every row must have as many fields.
import { FormatError, shown } from "../core/io.ts";
import type { FormatOptions, Found } from "./read.ts";
import { checkNames, decoded, LIMIT } from "./text.ts";

const COLUMNS = 2 ** 16;

/** Rows of a CSV file, by the names of its first line. Fields are text, those of the columns `numbers` numbers or null. */
export async function* csvRows(
  path: string,
  from: number,
  { delimiter = ",", numbers = [], limit = LIMIT }: FormatOptions,
): AsyncGenerator<Found[]> {
  const { value: head } = await lines(path, 0, { delimiter, limit }).next();
  const names: string[] | undefined = head?.[0].fields;
  if (!names) throw new FormatError("It is empty; wanted a line with the names of the columns.");
  if (names.length > COLUMNS) throw new FormatError(`It has ${names.length} columns; wanted ${COLUMNS} or fewer.`);
  checkNames(names);
  const twice = new Set(names).size < names.length && names.find((name, i) => names.indexOf(name) < i);
  if (twice !== false) throw new FormatError(`Two columns are named ${shown(twice)}.`);
  const missing = numbers.find((name) => !names.includes(name));
  if (missing !== undefined)
    throw new FormatError(`There is no column ${shown(missing)}; there are ${names.slice(0, 20).join(", ")}.`);
  const holdsNumbers = names.map((name) => numbers.includes(name));

  const row = ({ fields, at }: Line): Found => {
    if (fields.length !== names.length)
      throw new FormatError(
        `The row at byte ${at} has ${fields.length} fields; wanted ${names.length}, as in the first line.`,
      );
    const value = (field: string, i: number) => (holdsNumbers[i] ? number(field, names[i], at) : field);
    return { row: Object.fromEntries(fields.map((field, i) => [names[i], value(field, i)])), at };
  };
  let skip = from === 0 ? 1 : 0; // the names
  for await (const all of lines(path, from, { delimiter, limit, newline: head[0].newline })) {
    yield all.slice(skip).map(row);
    skip = 0;
  }
}

function number(field: string, name: string, at: number): number | null {
  const text = field.trim();
  if (!text) return null;
  const value = Number(text);
  if (Number.isNaN(value) && text.toLowerCase() !== "nan")
    throw new FormatError(`${shown(name)} is ${shown(field)} in the row at byte ${at}; wanted a number.`);
  return value;
}

interface Line {
  fields: string[];
  at: number;
  /** how lines end, as the first one does */
  newline?: string;
}

/** Lines with their fields, one or more at a time. */
async function* lines(
  path: string,
  from: number,
  { delimiter, limit, newline }: { delimiter: string; limit: number; newline?: string },
): AsyncGenerator<Line[]> {
  const { Parser } = await library();
  let rest = "";
  let at = from; // the bytes before `rest`
  // The fields of all lines in `rest` that are whole; what follows may go on in the next piece of the file, or is the last.
  const taken = (last: boolean): Line[] => {
    newline ??= /\r\n|\n|\r(?=.)/s.exec(rest.slice(0, 2 ** 16).replace(/"[^"]*("|$)/g, ""))?.[0]; // outside of quotes
    if (!newline && !last) return [];
    const out: Line[] = [];
    let begin = 0;
    const step = ({
      data,
      errors,
      meta,
    }: {
      data: string[][];
      errors: { message: string }[];
      meta: { cursor: number };
    }) => {
      if (errors.length) throw new FormatError(`The row at byte ${at}: ${errors[0].message}.`);
      const [fields] = data;
      const text = rest.slice(begin, meta.cursor);
      if (text.includes("\0"))
        throw new FormatError(`The row at byte ${at} holds a zero byte: this is no text in UTF-8.`);
      if (text.trim()) out.push({ fields, at, newline });
      at += Buffer.byteLength(text);
      begin = meta.cursor;
    };
    new Parser({ delimiter, newline, step } as any).parse(rest, 0, !last);
    rest = rest.slice(begin);
    return out;
  };
  for await (const more of decoded(path, from)) {
    rest += more;
    if (at === 0 && rest.startsWith("\ufeff")) [rest, at] = [rest.slice(1), 3];
    const all = taken(false);
    if (all.length) yield all;
    if (rest.length > limit)
      throw new FormatError(`The row at byte ${at} is longer than ${limit} bytes; is a quote not closed?`);
  }
  const last = rest ? taken(true) : [];
  if (last.length) yield last;
}

async function library(): Promise<typeof import("papaparse")> {
  try {
    const module: any = await import("papaparse");
    return module.default ?? module;
  } catch (error) {
    throw new Error("CSV needs a package: npm install papaparse", { cause: error });
  }
}
