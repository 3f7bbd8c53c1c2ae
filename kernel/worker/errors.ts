// Errors of cells as Jupyter shows them: what went wrong, where in the user's own code, what caused it.
import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import type { ErrorContent } from "./protocol.ts";

interface Cell {
  /** What the user wrote. */
  code: string;
  map?: SourceMap;
}

interface Frame {
  /** Empty at the top level of a cell or module. */
  caller: string;
  /** `In[3]`, or the path of a file. */
  file: string;
  line: number;
  column: number;
}

const cells = new Map<string, Cell>();
const mapComment = /\n\/\/# sourceMappingURL=data:application\/json(?:;charset=utf-8)?;base64,([A-Za-z0-9+/=]+)\s*$/;
/** Causes of causes of ... are followed this far. */
const maxDepth = 8;
const maxFrames = 20;
const kernelFolder = import.meta.dirname;

/** Remembers a cell, so that tracebacks can quote it and go through its source map, where its JavaScript carries one. */
export function rememberCell(name: string, code: string, js: string) {
  const encoded = mapComment.exec(js)?.[1];
  const map = encoded === undefined ? undefined : JSON.parse(Buffer.from(encoded, "base64").toString());
  cells.set(name, map === undefined ? { code } : { code, map: new SourceMap(map) });
}

/** The error of a run that the user stopped. The name is the one that Jupyter's own kernel uses: tools look for it. */
export const interruptError: ErrorContent = {
  ename: "KeyboardInterrupt",
  evalue: "the cell was interrupted",
  traceback: ["KeyboardInterrupt: the cell was interrupted"],
};

/** Describes whatever was thrown. `thrownAt` is a stack for values that have none of their own. */
export function describeError(thrown: unknown, thrownAt = ""): ErrorContent {
  if (!isError(thrown)) {
    const text = inspect(thrown, { depth: 2, breakLength: 100 });
    const evalue = typeof thrown === "string" ? thrown : text;
    return { ename: "Uncaught", evalue, traceback: [`Uncaught ${text}`, ...place(userFrames(thrownAt))] };
  }
  const { name, message } = titleOf(thrown);
  return { ename: name, evalue: message, traceback: report(thrown, "", 0, new Set()) };
}

function isError(value: unknown): value is Error {
  return value instanceof Error || Object.prototype.toString.call(value) === "[object Error]";
}

function titleOf(error: Error) {
  const own = String(error.name ?? "Error");
  // `class LossIsNaN extends Error {}` has the name "Error" unless it sets its own.
  const name = own === "Error" ? error.constructor?.name || own : own;
  return { name, message: String(error.message ?? "") };
}

function report(error: Error, intro: string, depth: number, seen: Set<unknown>): string[] {
  seen.add(error);
  const { name, message } = titleOf(error);
  const lines = [`${intro}${name}${message === "" ? "" : `: ${message}`}`, ...place(userFrames(error.stack ?? ""))];
  const inner = (value: unknown, label: string) => {
    if (seen.has(value)) return;
    if (!isError(value)) lines.push(`${label}${inspect(value, { depth: 2, breakLength: 100 })}`);
    else if (depth < maxDepth) lines.push(...report(value, label, depth + 1, seen));
  };
  if (error instanceof AggregateError) {
    for (const [i, part] of error.errors.entries()) inner(part, `[${i + 1} of ${error.errors.length}] `);
  }
  if (error.cause !== undefined) inner(error.cause, "Caused by: ");
  return lines;
}

/** Frames as lines, the source of the first below it. */
function place(frames: Frame[]): string[] {
  return frames.slice(0, maxFrames).flatMap((frame, i) => {
    const at = `${frame.file}:${frame.line}:${frame.column}`;
    const line = `    at ${frame.caller === "" ? at : `${frame.caller} (${at})`}`;
    return i === 0 ? [line, ...excerpt(frame)] : [line];
  });
}

function excerpt({ file, line, column }: Frame): string[] {
  const text = sourceOf(file)?.split("\n")[line - 1];
  if (text === undefined || text.length > 200 || column > text.length + 1) return [];
  const gutter = `${line} | `;
  const indent = text.slice(0, column - 1).replace(/[^\t]/g, " ");
  return [`      ${gutter}${text}`, `      ${" ".repeat(gutter.length)}${indent}^`];
}

function sourceOf(file: string): string | undefined {
  const cell = cells.get(file);
  if (cell !== undefined) return cell.code;
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** `at f (In[3]:4:9)`, `at async In[3]:4:9`, `at new Model (file:///home/me/model.ts?1:4:9)` */
const frameLine = /^\s+at (?:(.*?) \()?(.*?):(\d+):(\d+)\)?$/;

/** The frames of a stack that lie in cells and in the user's files: not those of Node, of packages, of the kernel. */
function userFrames(stack: string): Frame[] {
  return stack.split("\n").flatMap((text) => {
    const found = frameLine.exec(text);
    if (found === null) return [];
    const [, caller = "", place, line, column] = found;
    const file = fileOf(place.replace(/^async /, ""));
    if (file === undefined) return [];
    const cell = cells.get(file);
    const mapped = cell?.map?.findEntry(Number(line) - 1, Number(column) - 1);
    const at =
      mapped !== undefined && "originalLine" in mapped
        ? { line: mapped.originalLine + 1, column: mapped.originalColumn + 1 }
        : { line: Number(line), column: Number(column) };
    return [{ caller: caller.replace(/^async /, "").replace(/^Object\.<anonymous>$/, ""), file, ...at }];
  });
}

function fileOf(place: string): string | undefined {
  if (cells.has(place)) return place;
  let path = place;
  if (place.startsWith("file:")) {
    const url = new URL(place);
    url.search = "";
    url.hash = "";
    path = fileURLToPath(url);
  }
  if (!/^(\/|[A-Za-z]:\\)/.test(path)) return undefined;
  if (path.includes(`${sep}node_modules${sep}`) || path.startsWith(kernelFolder + sep)) return undefined;
  const near = relative(process.cwd(), path);
  return near.startsWith(`..${sep}..${sep}..`) ? path : near;
}
