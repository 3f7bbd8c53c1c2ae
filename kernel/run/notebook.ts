// Notebook files: nbformat 4 read with errors that name the cell, and written byte for byte as Jupyter's own writer does, so that diffs stay small.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { formatNotebook, isJsonType, keepNumber } from "./notebook-text.ts";
import type { MimeBundle, Output } from "./outputs.ts";
import { Trouble } from "./trouble.ts";
import { writeWhole } from "./whole.ts";

export { formatNotebook } from "./notebook-text.ts";
export { writeWhole } from "./whole.ts";

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
    throw new Trouble(
      `cannot read the notebook ${path}: ${(error as Error).message}`,
      "check the name and who may read the file",
    );
  }
  return parseNotebook(text, path);
}

/** Reads the text of a notebook; `path` is for errors. */
export function parseNotebook(text: string, path: string): Notebook {
  let notebook: any;
  try {
    notebook = JSON.parse(text, keepNumber);
  } catch (error) {
    throw notJson(text, path, error as Error);
  }
  const refuse = (
    what: string,
    next = `correct it there, or take the last good one: git checkout -- ${basename(path)}`,
  ): never => {
    throw new Trouble(`${path} is not a notebook of format 4: ${what}`, next);
  };
  if (!isObject(notebook)) return refuse("the file is not an object");
  if (notebook.nbformat !== 4) {
    const update = `jupyter nbconvert --to notebook --nbformat 4 --inplace ${basename(path)} updates it`;
    return refuse(`nbformat is ${JSON.stringify(notebook.nbformat)}`, update);
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

/** Says what a file that is no JSON is instead. */
function notJson(text: string, path: string, { message }: Error): Trouble {
  const restore = `git checkout -- ${basename(path)} brings back the last committed one`;
  const line = (at: number) => text.slice(0, at).split("\n").length;
  const nul = text.indexOf("\0");
  if (text.trim() === "") return new Trouble(`${path} is not a notebook: the file is empty`, restore);
  if (nul >= 0)
    return new Trouble(
      `${path} is not JSON: it has NUL bytes from byte ${Buffer.byteLength(text.slice(0, nul))} (line ${line(nul)}) on, as files have that were being written when a machine stopped`,
      restore,
    );
  const conflict = text.search(/^<{7} /m);
  if (conflict >= 0)
    return new Trouble(
      `${path} is not JSON: line ${line(conflict)} begins a merge conflict`,
      "take one side of it: git checkout --ours or --theirs, with the name of the file",
    );
  return new Trouble(`${path} is not JSON: ${message}`, restore);
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

function joined(value: unknown): string | undefined {
  return typeof value === "string" ? value : isTexts(value) ? value.join("") : undefined;
}

const isObject = (value: unknown): value is Record<string, any> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");
