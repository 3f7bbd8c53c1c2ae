// The text of a notebook file, byte for byte as Jupyter's own writer puts it.
import type { Notebook } from "./notebook.ts";
import type { MimeBundle, Output } from "./outputs.ts";

/** What the file says for a number that this writer would put otherwise, such as 1.0, by the object or list that it stands in and its key. */
const numberTexts = new WeakMap<object, Map<string, string>>();

/** A reviver that keeps those texts. */
export function keepNumber(this: object, key: string, value: unknown, context?: { source?: string }): unknown {
  const text = context?.source;
  if (typeof value !== "number" || text === undefined || text === number(value)) return value;
  const texts = numberTexts.get(this) ?? new Map();
  numberTexts.set(this, texts.set(key, text));
  return value;
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

export const isJsonType = (type: string) => type === "application/json" || /^application\/.*\+json$/.test(type);
