// Notebooks as source: the percent format that editors and jupytext know (`// %%` begins a cell), with cell ids and metadata kept. Outputs stay
// behind.
//
//   // %% id="setup" tags=["setup"]        a code cell; its text follows as it stands
//   // %% [markdown] id="title"            a text cell; its lines are comments
//   //$ %time f()                          a line that is no TypeScript, or that would read as one of these
//
// ipynb -> ts -> ipynb is the same notebook apart from outputs and execution counts (test/notebooks/source.test.ts has the property).
import ts from "typescript";
import { MagicError, mayHaveMagics, type Parse, readMagics } from "../../kernel/compile/magics.ts";
import { type Cell, isCode, type Notebook } from "../../kernel/run/notebook.ts";

/** A source that is no notebook; `line` counts from 1. */
export class SourceError extends Error {
  override name = "SourceError";
  readonly line: number;
  constructor(path: string, line: number, what: string) {
    super(`${path}:${line}: ${what}`);
    this.line = line;
  }
}

/** Where a cell stands in the source; lines count from 1. */
export interface Place {
  cell: Cell;
  /** The number of the cell in the notebook, from 1. */
  position: number;
  /** The first line of its text, and how many there are. */
  start: number;
  lines: number;
}

const fence = "// ---";
const usualFormat = "4.5";
const head = /^\/\/ %%(?: |$)/;
/** Ends of lines that TypeScript sees and this format does not. */
const foreignEnd = /[\r\u2028\u2029]/;

/** The notebook as a `.ts` file. */
export const toSource = (notebook: Notebook): string => placed(notebook).text;

/** The same, and where each cell is in it. */
export function placed({ metadata, nbformat, nbformat_minor, cells }: Notebook): { text: string; places: Place[] } {
  const version = `${nbformat}.${nbformat_minor}`;
  const other = version === usualFormat ? [] : [`// nbformat: ${version}`];
  // YAML, as jupytext reads it.
  const lines = [fence, "// jupyter:", `//   ${json(metadata)}`, ...other, fence];
  const places = cells.map((cell, i) => {
    // Such a text goes into the head of its cell; as a comment, a line "%%" would read as a head.
    const isForeign = foreignEnd.test(cell.source) || (!isCode(cell) && /^%%(?: |$)/m.test(cell.source));
    const body = cell.source === "" || isForeign ? [] : bodyOf(cell);
    lines.push("", headOf(cell, isForeign));
    const place = { cell, position: i + 1, start: lines.length + 1, lines: body.length };
    lines.push(...body);
    return place;
  });
  return { text: `${lines.join("\n")}\n`, places };
}

function headOf({ cell_type, id, metadata, attachments, source }: Cell, isForeign: boolean): string {
  const isPlain = Object.keys(metadata).every((key) => /^[\w-]+$/.test(key) && !ours.has(key));
  const options: [string, unknown][] = [
    ["id", id],
    ...(isPlain ? Object.entries(metadata) : [["metadata", metadata] as [string, unknown]]),
    ["attachments", attachments],
    ["source", isForeign ? source : undefined],
  ];
  const words = options.filter(([, value]) => value !== undefined).map(([key, value]) => `${key}=${json(value)}`);
  return ["// %%", ...(cell_type === "code" ? [] : [`[${cell_type}]`]), ...words].join(" ");
}

/** Keys of a head that are no metadata of the cell. */
const ours = new Set(["id", "metadata", "attachments", "source"]);

function bodyOf(cell: Cell): string[] {
  const lines = cell.source.split("\n");
  if (!isCode(cell)) return lines.map((line) => (line === "" ? "//" : `// ${line}`));
  const isMagic = magicLines(cell.source);
  return lines.map((line, i) => (isMagic(i) || head.test(line) || line.startsWith("//$") ? `//$ ${line}` : line));
}

/** Which lines of a cell are no TypeScript. All of `%%bash` and `%%js`, of which nobody checks the types. */
function magicLines(code: string): (line: number) => boolean {
  if (!mayHaveMagics(code)) return () => false;
  const first = /^\s*%%(\w+)/.exec(code);
  if (first !== null) {
    const at = first[0].split("\n").length - 1;
    return (line) => first[1] !== "time" || line <= at;
  }
  try {
    const { lines } = readMagics(code, parse);
    const numbers = new Set(lines.map(({ start }) => code.slice(0, start).split("\n").length - 1));
    return (line) => numbers.has(line);
  } catch (error) {
    // A magic that there is not is an error of the cell, not of its form.
    if (error instanceof MagicError) return () => false;
    throw error;
  }
}

const parse: Parse = (text) => {
  const file = ts.createSourceFile("cell.mts", text, ts.ScriptTarget.ESNext);
  return (file as ts.SourceFile & { parseDiagnostics: ts.DiagnosticWithLocation[] }).parseDiagnostics;
};

/** Reads what `toSource` has written, or a person in the same form; `path` is for errors. Outputs are empty. */
export function fromSource(text: string, path: string): Notebook {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const { end, metadata, version } = frontOf(lines, path);
  const cells: Cell[] = [];
  for (let at = end; at < lines.length; ) {
    if (!head.test(lines[at]!)) {
      if (lines[at] !== "") throw new SourceError(path, at + 1, `"${lines[at]}" stands before the first "// %%"`);
      at++;
      continue;
    }
    const next = lines.findIndex((line, i) => i > at && head.test(line));
    // The empty line before the next cell belongs to neither.
    const body = lines.slice(
      at + 1,
      next < 0 ? lines.length : lines[next - 1] === "" && next > at + 1 ? next - 1 : next,
    );
    cells.push(cellOf(lines[at]!, body, path, at + 1));
    at = next < 0 ? lines.length : next;
  }
  return { nbformat: 4, nbformat_minor: version, metadata, cells };
}

function frontOf(lines: string[], path: string): { end: number; metadata: Notebook["metadata"]; version: number } {
  const close = lines.indexOf(fence, 1);
  const refuse = (line: number, what: string): never => {
    throw new SourceError(path, line, what);
  };
  if (lines[0] !== fence || close < 0)
    refuse(1, `a notebook's source begins with two lines "${fence}" and its metadata between them`);
  const at = lines.indexOf("// jupyter:");
  if (at < 0 || at + 1 >= close) refuse(close + 1, 'there is no line "// jupyter:" above, with the metadata below it');
  const metadata = parsed(lines[at + 1]!.replace(/^\/\/ +/, ""), path, at + 2) as Notebook["metadata"];
  const format = lines.findIndex((line, i) => i < close && line.startsWith("// nbformat: "));
  const version = format < 0 ? usualFormat : lines[format]!.slice("// nbformat: ".length);
  const minor = /^4\.(\d+)$/.exec(version)?.[1] ?? refuse(format + 1, `nbformat is "${version}", not ${usualFormat}`);
  return { end: close + 1, metadata, version: Number(minor) };
}

function cellOf(line: string, body: string[], path: string, number: number): Cell {
  let rest = line.slice("// %%".length).trim();
  const kind = /^\[(markdown|raw)\] ?/.exec(rest);
  rest = rest.slice(kind?.[0].length ?? 0);
  const options = readOptions(rest, path, number);
  const { id, metadata, attachments, source, ...others } = options as Record<string, any>;
  const isText = kind !== null;
  // The lines of a text are comments: empty ones behind them were left by an editor.
  while (isText && body.at(-1) === "") body.pop();
  return {
    cell_type: (kind?.[1] as Cell["cell_type"]) ?? "code",
    ...(id === undefined ? {} : { id }),
    metadata: metadata ?? others,
    source: source ?? body.map((each, i) => unescaped(each, isText, path, number + 1 + i)).join("\n"),
    ...(isText ? {} : { outputs: [], execution_count: null }),
    ...(attachments === undefined ? {} : { attachments }),
  };
}

function unescaped(line: string, isText: boolean, path: string, number: number): string {
  if (!isText) return line.startsWith("//$ ") ? line.slice(4) : line;
  if (line === "//") return "";
  if (line.startsWith("// ")) return line.slice(3);
  throw new SourceError(path, number, `"${line}" is in a text cell: each of its lines begins with "// "`);
}

/** `key=JSON key=JSON`: each value is read as far as it goes. */
function readOptions(text: string, path: string, line: number): object {
  const options: [string, unknown][] = [];
  for (let rest = text; rest !== ""; ) {
    const key = /^([\w-]+)=/.exec(rest)?.[1];
    if (key === undefined) throw new SourceError(path, line, `"${rest}" is not of the form key=value`);
    rest = rest.slice(key.length + 1);
    const length = lengthOfValue(rest);
    options.push([key, parsed(rest.slice(0, length), path, line)]);
    rest = rest.slice(length).trimStart();
  }
  return Object.fromEntries(options);
}

/** How far a JSON value goes: to the first space outside of quotes and brackets. */
function lengthOfValue(text: string): number {
  let depth = 0;
  for (const token of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{} ]/g)) {
    if (token[0] === " " && depth === 0) return token.index;
    if (/^[[{]/.test(token[0])) depth++;
    if (/^[\]}]/.test(token[0])) depth--;
  }
  return text.length;
}

function parsed(text: string, path: string, line: number): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SourceError(path, line, `${text} is not JSON: ${(error as Error).message}`);
  }
}

/** On one line, also for TypeScript. */
const json = (value: unknown) =>
  JSON.stringify(value).replace(/[\u2028\u2029]/g, (end) => `\\u${end.charCodeAt(0).toString(16)}`);

/** Gives the cells of `fresh` the outputs that cells of the same id and text have in `old`. */
export function withOutputs(fresh: Notebook, old: Notebook): Notebook {
  const before = new Map(old.cells.map((cell) => [cell.id, cell]));
  const cells = fresh.cells.map((cell) => {
    const same = before.get(cell.id);
    if (!isCode(cell) || same === undefined || !isCode(same) || same.source !== cell.source) return cell;
    return { ...cell, outputs: same.outputs, execution_count: same.execution_count };
  });
  return { ...fresh, cells };
}
