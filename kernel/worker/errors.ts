// Errors of cells as Jupyter shows them: what went wrong, where in the user's own code, what caused it.
import { SourceMap, type SourceMapPayload } from "node:module";
import { relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { strictPrefix } from "../compile/prefix.ts";
import type { ErrorContent } from "./protocol.ts";

/** A cell or a module that was loaded. */
interface Source {
  /** What the user wrote. */
  code: string;
  /** Characters that the compiler put before it, on its first line. */
  prefix?: number;
  map?: SourceMap;
}

interface Frame {
  /** Empty at the top level of a cell or module. */
  caller: string;
  /** `In[3]`, or the path of a file. */
  file: string;
  /** What the file held when it was loaded; nothing is known of files that a child or an old version left in a stack. */
  source?: Source;
  line: number;
  column: number;
}

const cells = new Map<string, Source>();
/** By URL: an edited file is loaded under a new one, and errors of its old functions still quote what ran. */
const files = new Map<string, Source>();
const mapComment = /\n\/\/# sourceMappingURL=data:application\/json(?:;charset=utf-8)?;base64,([A-Za-z0-9+/=]+)\s*$/;
/** Causes of causes of ... are followed this far. */
const maxDepth = 8;
const maxFrames = 20;
const kernelFolder = import.meta.dirname;

/** Remembers a cell, so that tracebacks can quote it and go through its source map, where its JavaScript carries one. */
export function rememberCell(name: string, code: string, js: string) {
  const encoded = mapComment.exec(js)?.[1];
  const map = encoded === undefined ? undefined : JSON.parse(Buffer.from(encoded, "base64").toString());
  const isPrefixed = map === undefined && js.startsWith(strictPrefix.trimEnd());
  cells.set(name, { ...sourceOf(code, map), prefix: isPrefixed ? strictPrefix.length : 0 });
}

/** Remembers what a module of the user held when it was loaded, with the source map of what runs in its place. */
export function rememberFile(url: string, code: string, map?: object) {
  files.set(url, sourceOf(code, map));
}

function sourceOf(code: string, map?: object): Source {
  return map === undefined ? { code } : { code, map: new SourceMap(map as SourceMapPayload) };
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

function excerpt({ source, line, column }: Frame): string[] {
  const text = source?.code.split("\n")[line - 1];
  if (text === undefined || text.length > 200 || column > text.length + 1) return [];
  const gutter = `${line} | `;
  const indent = text.slice(0, column - 1).replace(/[^\t]/g, " ");
  return [`      ${gutter}${text}`, `      ${" ".repeat(gutter.length)}${indent}^`];
}

/** `at f (In[3]:4:9)`, `at async In[3]:4:9`, `at new Model (file:///home/me/model.ts?1:4:9)` */
const frameLine = /^\s+at (?:(.*?) \()?(.*?):(\d+):(\d+)\)?$/;

/** Where V8 found the syntax of a module wrong: `file:///home/me/model.ts:3`, the line, carets below it. */
const linkPlace = /^(file:.*?):(\d+)\n(.*)\n( *)\^/;

/** The frames of a stack that lie in cells and in the user's files: not those of Node, of packages, of the kernel. */
function userFrames(stack: string): Frame[] {
  const linked = linkPlace.exec(stack);
  const first = linked === null ? [] : frameAt("", linked[1]!, Number(linked[2]), linked[4]!.length + 1);
  const rest = stack.split("\n").flatMap((text) => {
    const found = frameLine.exec(text);
    if (found === null) return [];
    const [, caller = "", place, line, column] = found;
    return frameAt(caller, place!.replace(/^async /, ""), Number(line), Number(column));
  });
  return [...first, ...rest];
}

function frameAt(called: string, place: string, line: number, column: number): Frame[] {
  const file = fileOf(place);
  if (file === undefined) return [];
  const source = cells.get(place) ?? files.get(place.startsWith("file:") ? place : pathToFileURL(place).href);
  const caller = called.replace(/^async /, "").replace(/^Object\.<anonymous>$/, "");
  const mapped = source?.map?.findEntry(line - 1, column - 1);
  if (mapped === undefined || !("originalLine" in mapped)) {
    const prefix = line === 1 ? (source?.prefix ?? 0) : 0;
    return [{ caller, file, source, line, column: Math.max(1, column - prefix) }];
  }
  return [{ caller, file, source, line: mapped.originalLine + 1, column: mapped.originalColumn + 1 }];
}

function fileOf(place: string): string | undefined {
  if (cells.has(place)) return place;
  const path = place.startsWith("file:") ? fileURLToPath(place.replace(/[?#].*$/, "")) : place;
  if (!/^(\/|[A-Za-z]:\\)/.test(path)) return undefined;
  if (path.includes(`${sep}node_modules${sep}`) || path.startsWith(kernelFolder + sep)) return undefined;
  const near = relative(process.cwd(), path);
  return near.startsWith(`..${sep}..${sep}..`) ? path : near;
}
