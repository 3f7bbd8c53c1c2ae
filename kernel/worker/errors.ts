// Errors of cells as Jupyter shows them: what went wrong, where in the user's own code, what caused it.
import { readdirSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { strictPrefix } from "../compile/prefix.ts";
import { nearest } from "./nearest.ts";
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
  isOfPackage: boolean;
}

const cells = new Map<string, Source>();
/** By URL: an edited file is loaded under a new one, and errors of its old functions still quote what ran. */
const files = new Map<string, Source>();
const mapComment = /\n\/\/# sourceMappingURL=data:application\/json(?:;charset=utf-8)?;base64,([A-Za-z0-9+/=]+)\s*$/;
/** Causes of causes of ... are followed this far. */
const maxDepth = 8;
const maxLines = 20;
const kernelFolder = import.meta.dirname;
/** Folders of packages that are links to elsewhere, as in a workspace. */
const packageFolders = new Set<string>();

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

/** From now on what lies in the folder counts as a package, unless the notebook lies in it too. */
export function rememberPackage(folder: string) {
  if (!`${process.cwd()}${sep}`.startsWith(folder + sep)) packageFolders.add(folder);
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

/** Describes whatever was thrown. */
export function describeError(thrown: unknown): ErrorContent {
  if (!isError(thrown)) {
    const text = textOf(thrown);
    const evalue = typeof thrown === "string" ? thrown : text;
    // V8 keeps no stack for such values.
    const hint = "    (only an Error knows its line: throw new Error(...) shows it)";
    return { ename: "Uncaught", evalue, traceback: [`Uncaught ${text}`, hint] };
  }
  const { name, message } = titleOf(thrown);
  return { ename: name, evalue: message, traceback: report(thrown, "", 0, new Set()) };
}

function isError(value: unknown): value is Error {
  try {
    return value instanceof Error || Object.prototype.toString.call(value) === "[object Error]";
  } catch {
    return false;
  }
}

function textOf(value: unknown): string {
  try {
    return inspect(value, { depth: 2, breakLength: 100 });
  } catch {
    return `a ${typeof value} that cannot be shown`;
  }
}

/** A property of something that may be a proxy, or have getters that throw. */
function read(from: object, key: string): unknown {
  try {
    return (from as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

function titleOf(error: Error) {
  const text = (value: unknown) => (typeof value === "string" ? value : value == null ? "" : textOf(value));
  const own = text(read(error, "name")) || "Error";
  // `class LossIsNaN extends Error {}` has the name "Error" unless it sets its own.
  const type = read(error, "constructor");
  const name = own === "Error" && typeof type === "function" ? type.name || own : own;
  return { name, message: text(read(error, "message")) };
}

function report(error: Error, intro: string, depth: number, seen: Set<unknown>): string[] {
  seen.add(error);
  const { name, message } = titleOf(error);
  const lines = [`${intro}${name}${message === "" ? "" : `: ${message}`}`];
  const stack = read(error, "stack");
  if (typeof stack === "string") lines.push(...place(userFrames(stack)));
  lines.push(...fileHint(error), ...details(error));
  const inner = (value: unknown, label: string) => {
    if (seen.has(value)) return;
    if (!isError(value)) lines.push(`${label}${textOf(value)}`);
    else if (depth < maxDepth) lines.push(...report(value, label, depth + 1, seen));
  };
  const parts = read(error, "errors");
  if (Array.isArray(parts)) for (const [i, part] of parts.entries()) inner(part, `[${i + 1} of ${parts.length}] `);
  const cause = read(error, "cause");
  if (cause !== undefined) inner(cause, "Caused by: ");
  return lines;
}

/** Where a file was looked for that is not there, and what is near. */
function fileHint(error: Error): string[] {
  const path = read(error, "path");
  if (read(error, "code") !== "ENOENT" || typeof path !== "string") return [];
  const full = resolve(path);
  const where = isAbsolute(path) ? "" : ` Relative paths start at ${process.cwd()}.`;
  try {
    const names = nearest(basename(full), readdirSync(dirname(full)));
    const near = names.map((name) => `"${join(dirname(path), name)}"`).join(" or ");
    return [`    There is no ${full}.${where}${near === "" ? "" : ` Did you mean ${near}?`}`];
  } catch {
    return [`    There is no folder ${dirname(full)}.${where}`];
  }
}

const standard = new Set(["name", "message", "stack", "cause", "errors"]);

/** What an error carries besides its message, such as shapes. The message of a system error says it all. */
function details(error: Error): string[] {
  if (read(error, "syscall") !== undefined) return [];
  try {
    const own = Object.entries(error).filter(([key]) => !standard.has(key));
    if (own.length === 0) return [];
    const text = inspect(Object.fromEntries(own), { depth: 1, breakLength: 100, maxStringLength: 200 });
    return [`    ${text.length > 1000 ? `${text.slice(0, 1000)} ...` : text}`.replaceAll("\n", "\n    ")];
  } catch {
    return [];
  }
}

/** Frames as lines, the source of the first below it; a recursion is told once. */
function place(frames: Frame[]): string[] {
  const lines: string[] = [];
  let repeats = 0;
  for (const [i, frame] of frames.entries()) {
    const text = `    ${frameText(frame)}`;
    if (i > 0 && text === `    ${frameText(frames[i - 1]!)}`) {
      repeats++;
      continue;
    }
    if (repeats > 0) lines.push(repeated(repeats));
    repeats = 0;
    if (lines.length > maxLines) return [...lines, `    ... ${frames.length - i} more`];
    lines.push(text);
    if (i === 0) lines.push(...excerpt(frame));
  }
  return repeats > 0 ? [...lines, repeated(repeats)] : lines;
}

const repeated = (times: number) => `    ... ${times === 1 ? "once" : `${times} times`} more from the same place`;

function frameText({ caller, file, line, column }: Frame): string {
  const at = `${file}:${line}:${column}`;
  return `at ${caller === "" ? at : `${caller} (${at})`}`;
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

/**
 * The frames of a stack that lie in cells and in the user's files: not those of Node, of the kernel, of packages. Where only a package that is a
 * link has frames, they are better than none.
 */
function userFrames(stack: string): Frame[] {
  const linked = linkPlace.exec(stack);
  const first = linked === null ? [] : frameAt("", linked[1]!, Number(linked[2]), linked[4]!.length + 1);
  const rest = stack.split("\n").flatMap((text) => {
    const found = frameLine.exec(text);
    if (found === null) return [];
    const [, caller = "", place, line, column] = found;
    return frameAt(caller, place!.replace(/^async /, ""), Number(line), Number(column));
  });
  const frames = [...first, ...rest];
  const own = frames.filter(({ isOfPackage }) => !isOfPackage);
  return own.length > 0 ? own : frames;
}

function frameAt(called: string, place: string, line: number, column: number): Frame[] {
  const path = cells.has(place) ? undefined : pathOf(place);
  if (path === "") return [];
  const file = path === undefined ? place : nearPath(path);
  const source =
    path === undefined ? cells.get(place) : files.get(place.startsWith("file:") ? place : `${pathToFileURL(place)}`);
  const isOfPackage = path !== undefined && [...packageFolders].some((folder) => path.startsWith(folder + sep));
  const caller = called.replace(/^async /, "").replace(/^Object\.<anonymous>$/, "");
  const frame = { caller, file, source, isOfPackage };
  const mapped = source?.map?.findEntry(line - 1, column - 1);
  if (mapped === undefined || !("originalLine" in mapped)) {
    const prefix = line === 1 ? (source?.prefix ?? 0) : 0;
    return [{ ...frame, line, column: Math.max(1, column - prefix) }];
  }
  return [{ ...frame, line: mapped.originalLine + 1, column: mapped.originalColumn + 1 }];
}

/** The path of a file that may be the user's; empty for what is certainly not. */
function pathOf(place: string): string {
  const path = place.startsWith("file:") ? fileURLToPath(place.replace(/[?#].*$/, "")) : place;
  if (!/^(\/|[A-Za-z]:\\)/.test(path)) return "";
  return path.includes(`${sep}node_modules${sep}`) || path.startsWith(kernelFolder + sep) ? "" : path;
}

/** The path as people name it: seen from the notebook's folder when it is near. */
function nearPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith(`..${sep}..${sep}..`) ? path : near;
}
