// Notebook files: nbformat 4 read with errors that name the cell, and written byte for byte as Jupyter's own writer does, so that diffs stay small.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { MimeBundle, Output } from "./outputs.ts";

export interface Cell {
  cell_type: "code" | "markdown" | "raw";
  /** There from nbformat 4.5 on. */
  id?: string;
  metadata: { tags?: string[]; [key: string]: unknown };
  source: string;
  /** Of code cells only, as the next one. */
  outputs?: Output[];
  execution_count?: number | null;
  attachments?: Record<string, MimeBundle>;
}

export interface CodeCell extends Cell {
  cell_type: "code";
  outputs: Output[];
  execution_count: number | null;
}

export interface Notebook {
  nbformat: 4;
  nbformat_minor: number;
  metadata: { kernelspec?: { name: string; language?: string }; [key: string]: unknown };
  cells: Cell[];
}

export const isCode = (cell: Cell): cell is CodeCell => cell.cell_type === "code";
export const tagsOf = (cell: Cell): string[] => cell.metadata.tags ?? [];

/** Reads a notebook; texts that the file splits into lines come joined. Throws an error that names the file, the cell and what is wrong. */
export function readNotebook(path: string): Notebook {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`cannot read the notebook ${path}: ${(error as Error).message}`);
  }
  return parseNotebook(text, path);
}

/** Reads the text of a notebook; `path` is for errors. */
export function parseNotebook(text: string, path: string): Notebook {
  let notebook: any;
  try {
    notebook = JSON.parse(text, keepNumber);
  } catch (error) {
    throw new Error(`${path} is not JSON: ${(error as Error).message}`);
  }
  const refuse = (what: string): never => {
    throw new Error(`${path} is not a notebook of format 4: ${what}`);
  };
  if (!isObject(notebook)) return refuse("the file is not an object");
  if (notebook.nbformat !== 4) {
    return refuse(`nbformat is ${JSON.stringify(notebook.nbformat)}; \`jupyter nbconvert --to notebook\` updates it`);
  }
  if (!Number.isInteger(notebook.nbformat_minor)) refuse("nbformat_minor is no whole number");
  if (!isObject(notebook.metadata)) refuse("metadata is not an object");
  if (!Array.isArray(notebook.cells)) refuse("cells is not a list");
  const ids = new Set<string>();
  for (const [i, cell] of notebook.cells.entries()) {
    const wrong = (what: string) => refuse(`cell ${i + 1}${isObject(cell) && cell.id ? ` (${cell.id})` : ""}: ${what}`);
    if (!isObject(cell)) return wrong("it is not an object");
    if (!["code", "markdown", "raw"].includes(cell.cell_type as string)) {
      wrong(`cell_type is ${JSON.stringify(cell.cell_type)}`);
    }
    if (notebook.nbformat_minor >= 5) {
      if (typeof cell.id !== "string" || !/^[\w-]{1,64}$/.test(cell.id)) {
        wrong(`id is ${JSON.stringify(cell.id)}, not 1 to 64 letters, digits, "-" and "_"`);
      }
      if (ids.has(cell.id as string)) wrong("another cell has the same id");
      ids.add(cell.id as string);
    }
    if (!isObject(cell.metadata)) wrong("metadata is not an object");
    const { tags } = cell.metadata as Cell["metadata"];
    if (tags !== undefined && !isTexts(tags)) wrong("metadata.tags is not a list of texts");
    cell.source = joined(cell.source) ?? wrong("source is neither a text nor a list of texts");
    if (cell.cell_type !== "code") continue;
    if (!Array.isArray(cell.outputs)) return wrong("outputs is not a list");
    for (const [n, output] of cell.outputs.entries()) {
      const reason = readOutput(output);
      if (reason !== undefined) wrong(`output ${n + 1}: ${reason}`);
    }
    if (cell.execution_count !== null && !Number.isInteger(cell.execution_count)) {
      wrong(`execution_count is ${JSON.stringify(cell.execution_count)}, neither null nor a whole number`);
    }
  }
  return notebook as unknown as Notebook;
}

/** What the file says for a number that this writer would put otherwise, such as 1.0, by the object or list that it stands in and its key. */
const numberTexts = new WeakMap<object, Map<string, string>>();

/** A reviver that keeps those texts. */
function keepNumber(this: object, key: string, value: unknown, context?: { source?: string }): unknown {
  const text = context?.source;
  if (typeof value !== "number" || text === undefined || text === number(value)) return value;
  const texts = numberTexts.get(this) ?? new Map();
  numberTexts.set(this, texts.set(key, text));
  return value;
}

/** Joins the texts of an output in place; returns what is wrong with it. */
function readOutput(output: any): string | undefined {
  if (!isObject(output)) return "it is not an object";
  switch (output.output_type) {
    case "stream": {
      const text = joined(output.text);
      if (text === undefined) return "text is neither a text nor a list of texts";
      output.text = text;
      return typeof output.name === "string" ? undefined : "name is no text";
    }
    case "display_data":
    case "execute_result":
      if (!isObject(output.data)) return "data is not an object";
      for (const [type, value] of Object.entries(output.data)) {
        if (!isJsonType(type) && isTexts(value)) output.data[type] = value.join("");
      }
      return undefined;
    case "error":
      return isTexts(output.traceback) ? undefined : "traceback is not a list of texts";
    default:
      return `output_type is ${JSON.stringify(output.output_type)}`;
  }
}

/**
 * Writes a notebook so that the file is at every moment either the old one or the new one. Whoever reads it with Jupyter and writes it again
 * gets the same bytes.
 */
export function writeNotebook(path: string, notebook: Notebook): void {
  writeWhole(path, formatNotebook(notebook));
}

/** Replaces a file: written beside it, synced, renamed. */
export function writeWhole(path: string, text: string): void {
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    const file = openSync(draft, "w");
    try {
      // One write may take less than all of it.
      for (let rest = Buffer.from(text); rest.length > 0; ) rest = rest.subarray(writeSync(file, rest));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** The text of the file: one space of indentation, sorted keys, texts of several lines as lists of lines. */
export function formatNotebook(notebook: Notebook): string {
  const cells = notebook.cells.map((cell) => ({
    ...cell,
    source: lines(cell.source),
    outputs: cell.outputs?.map(splitOutput),
    attachments:
      cell.attachments &&
      Object.fromEntries(Object.entries(cell.attachments).map(([name, bundle]) => [name, splitBundle(bundle)])),
  }));
  return `${json({ ...notebook, cells }, "\n")}\n`;
}

function splitOutput(output: Output): object {
  if (output.output_type === "stream") return { ...output, text: lines(output.text) };
  if (output.output_type === "error") return output;
  return { ...output, data: splitBundle(output.data) };
}

function splitBundle(bundle: MimeBundle): MimeBundle {
  const split = (type: string, value: unknown) =>
    typeof value === "string" && (type.startsWith("text/") || splitTypes.includes(type)) ? lines(value) : value;
  return Object.fromEntries(Object.entries(bundle).map(([type, value]) => [type, split(type, value)]));
}

const splitTypes = ["application/javascript", "image/svg+xml"];

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the line ends of Python's splitlines
const line = /[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]|$)/g;

/** The lines with their ends. Python's idea of a line end is wider than JavaScript's. */
const lines = (text: string): string[] => (text.match(line) ?? []).filter((each) => each !== "");

/** JSON as Python writes it with indent=1, sort_keys=True and ensure_ascii=False; `newline` holds the indentation. */
function json(value: unknown, newline: string): string {
  if (typeof value === "number") return number(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const inner = `${newline} `;
  const texts = numberTexts.get(value);
  const member = (key: string, item: unknown) => {
    const text = texts?.get(key);
    // Unless another number has been put there since.
    return text !== undefined && Number(text) === item ? text : json(item, inner);
  };
  if (Array.isArray(value)) {
    return value.length === 0 ? "[]" : `[${value.map((item, i) => inner + member(`${i}`, item)).join()}${newline}]`;
  }
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const members = entries.map(([key, item]) => `${inner}${JSON.stringify(key)}: ${member(key, item)}`);
  return members.length === 0 ? "{}" : `{${members.join()}${newline}}`;
}

/** Python changes to exponents at 1e-4, JavaScript at 1e-6, and Python's have two digits. */
function number(value: number): string {
  const text = value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential() : JSON.stringify(value);
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

function joined(value: unknown): string | undefined {
  return typeof value === "string" ? value : isTexts(value) ? value.join("") : undefined;
}

const isObject = (value: unknown): value is Record<string, any> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");
const isJsonType = (type: string) => type === "application/json" || /^application\/.*\+json$/.test(type);
