// Lines of a cell that are no TypeScript: `%time f()`, `!ls`, and first lines such as `%%bash`. They never take what is TypeScript:
//
// - A cell that parses as it is has no `%` line: `a\n%time` is a remainder. In other cells a line that begins with `%` and a letter is one if what
//   stands before it is whole, so that it begins a statement, which no TypeScript does with `%`.
// - A line that begins with `!` is a command if it is no TypeScript: `!git status`. Where it parses, as `!ls -l` does, it is TypeScript if the
//   name after the `!` means something there, and a command only if it means nothing (the cell would be refused) and is a program on the PATH.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import ts from "typescript";
import { nearest } from "../worker/nearest.ts";
import type { Edit } from "./module-syntax.ts";
import { blanks } from "./module-syntax.ts";

/** A cell without its magic lines, which are blanked, and what these stand for. */
export interface Magics {
  text: string;
  lines: MagicLine[];
  /** The cell begins with `%%time`. */
  isTimed: boolean;
}

interface MagicLine {
  name: string;
  /** What stands behind the name. */
  rest: string;
  start: number;
  end: number;
}

/** What the front has to do instead of running a cell. */
export type FrontMagic = { type: "reset" } | { type: "load"; path: string };

/** A magic that is used wrongly. `at`: where, in the cell. */
export class MagicError extends Error {
  override name = "MagicError";
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** What each does, for `%help`. */
export const magicHelp: Record<string, string> = {
  "%time": "<code>: how long a statement takes; `%%time` in the first line: how long the cell takes",
  "%timeit": "[-n loops] [-r runs] <code>: the same many times, with mean and deviation",
  "%cd": "[folder]: changes the working folder, not where imports are looked for",
  "%pwd": "the working folder",
  "%env": "[NAME | NAME=value]: shows or sets variables of the environment; secrets are hidden",
  "%npm":
    "add|remove|ls <packages>: npm in the notebook's folder, without install scripts; the next cell knows the types",
  "%who": "the names that cells have declared, with their types",
  "%reset": "a fresh process: all names are gone",
  "%load": "<file>: puts the text of a file in the place of the cell",
  "%help": "[name]: this list, or what is known of a name, as `name?` does",
};
const names = Object.keys(magicHelp).map((name) => name.slice(1));
/** These must be the only line of their cell. */
const alone = new Set(["reset", "load"]);
const candidates = /^[^\S\n]*(?:%([a-z]\w*)|(!))([^\n]*)$/gim;

/** Errors of a text's syntax. */
export type Parse = (text: string) => readonly ts.DiagnosticWithLocation[];

/** True for cells that may have magic lines at all. */
export function mayHaveMagics(code: string): boolean {
  return /^[^\S\n]*[%!]/m.test(code);
}

/**
 * The magic lines of a cell; none in a cell that is TypeScript. `commands` are line starts that are known to be commands although they parse.
 * Throws a MagicError for a name that there is not.
 */
export function readMagics(code: string, parse: Parse, commands: ReadonlySet<number> = new Set()): Magics {
  const magics: Magics = { text: code, lines: [], isTimed: false };
  const first = /^\s*%%([a-z]\w*)([^\n]*)(\n|$)/i.exec(code);
  if (first !== null) return cellMagic(code, first);
  if (commands.size === 0 && parse(code).length === 0) return magics;
  for (const found of code.matchAll(candidates)) {
    const [line, name, , rest] = found;
    const start = found.index;
    const before = magics.text.slice(0, start);
    if (parse(before).length > 0) continue;
    if (name === undefined && !commands.has(start) && !isNoCode(before, line, parse)) continue;
    const magic = { name: name ?? "!", rest: rest!.trim(), start, end: start + line.length };
    if (name !== undefined && !names.includes(name)) throw unknown(`%${name}`, names, start + line.indexOf("%"));
    magics.lines.push(magic);
    magics.text = before + blankMagic(magic, line) + magics.text.slice(magic.end);
  }
  const [lonely] = magics.lines.filter(({ name }) => alone.has(name));
  if (lonely !== undefined && (magics.lines.length > 1 || magics.text.trim() !== "")) {
    throw new MagicError(`%${lonely.name} has to be the only line of its cell`, lonely.start);
  }
  return magics;
}

function cellMagic(code: string, [head, name, rest]: RegExpExecArray): Magics {
  const start = head.indexOf("%");
  const body = code.slice(head.length);
  switch (name) {
    case "time":
      if (rest!.trim() !== "") throw new MagicError("the code of a cell with %%time begins in the next line", start);
      return { text: blanks(head) + body, lines: [], isTimed: true };
    case "bash":
    case "sh":
      return {
        text: blanks(code),
        lines: [{ name: `%${name}`, rest: body, start: 0, end: code.length }],
        isTimed: false,
      };
    default:
      throw unknown(`%%${name}`, ["time", "bash", "sh", "js"], start);
  }
}

function unknown(name: string, known: string[], at: number): MagicError {
  const marks = /^%+/.exec(name)![0];
  const near = nearest(name.slice(marks.length), known).map((each) => marks + each);
  return new MagicError(
    `there is no ${name}${near.length === 0 ? "" : `; is ${near.join(" or ")} meant?`} %help lists what there is`,
    at,
  );
}

/**
 * Whether a line of a cell that is no TypeScript is a command: what is wrong with it lies in it. Where it only breaks off, as `!ls /` does, its
 * first word has to be a program, and no bracket may be open.
 */
function isNoCode(before: string, line: string, parse: Parse): boolean {
  const errors = parse(before + line);
  const end = before.length + line.trimEnd().length;
  if (errors.length === 0 || errors.some(({ start }) => start < end)) return errors.length > 0;
  const word = /^\s*!([\w.+-]+)/.exec(line)?.[1];
  return word !== undefined && isProgram(word) && !/[([{`,]\s*$/.test(line);
}

/** `%time` and `%timeit` leave the code that they measure: it is checked as any. */
function blankMagic({ name }: MagicLine, line: string): string {
  if (name !== "time" && name !== "timeit") return blanks(line);
  const head = /^\s*%\w+(?:\s+-[nr]\s*\d+)*/.exec(line)![0];
  return blanks(head) + line.slice(head.length);
}

/** Line starts of statements that only a missing name keeps from being TypeScript, and that a program of this name makes a command. */
export function commandsAmong(file: ts.SourceFile, unknownNames: ReadonlySet<number>): Set<number> {
  const found = new Set<number>();
  for (const statement of file.statements) {
    const start = statement.getStart(file);
    if (file.text[start] !== "!" || !unknownNames.has(start + 1)) continue;
    const lineStart = file.text.lastIndexOf("\n", start) + 1;
    if (file.text.slice(lineStart, start).trim() !== "") continue;
    const word = /^[\w.+-]+/.exec(file.text.slice(start + 1))?.[0];
    if (word !== undefined && isProgram(word)) found.add(lineStart);
  }
  return found;
}

function isProgram(name: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return folder !== "";
    } catch {
      return false;
    }
  });
}

/** What the front has to do for a cell that is only such a magic. */
export function frontMagic({ lines: [line] }: Magics): FrontMagic | undefined {
  if (line?.name === "reset") return { type: "reset" };
  if (line?.name !== "load") return undefined;
  if (line.rest === "") throw new MagicError("%load needs the path of a file", line.start);
  return { type: "load", path: unquote(line.rest) };
}

const unquote = (text: string) => /^(["'])(.*)\1$/.exec(text)?.[2] ?? text;

/** The JavaScript of magic lines, as insertions in a cell. `who` gives the names of earlier cells. */
export function magicEdits(file: ts.SourceFile, { lines }: Magics, who: () => string): Edit[] {
  return lines.flatMap((line): Edit[] => {
    const insert = (at: number, text: string) => ({ start: at, end: at, text });
    const call = (name: string, ...args: unknown[]) =>
      `;await __magics.${name}(${args.map((arg) => JSON.stringify(arg)).join(", ")});`;
    switch (line.name) {
      case "time":
        return timed(file, line);
      case "timeit":
        return timedOften(file, line);
      case "!":
        return [insert(line.start, call("shell", line.rest))];
      case "%bash":
      case "%sh":
        return [insert(line.start, call("script", line.name.slice(1), line.rest))];
      case "who":
        return [insert(line.start, call("print", who()))];
      case "help":
        return [insert(line.start, call("print", help()))];
      default:
        return [insert(line.start, call(line.name, line.rest))];
    }
  });
}

function help(): string {
  const width = Math.max(...Object.keys(magicHelp).map((name) => name.length));
  const lines = Object.entries(magicHelp).map(([name, text]) => `${name.padEnd(width)}  ${text}`);
  return [
    ...lines,
    `${"!".padEnd(width)}  <command>: a command of the shell; a cell that begins with %%bash is a whole script`,
    `${"%%js".padEnd(width)}  in the first line: the cell is JavaScript that nobody checks`,
    "",
    "In every cell: display, clearOutput, progress, prompt, confirm, widgets, comms, require; `name?` tells more of each.",
  ].join("\n");
}

function measured(file: ts.SourceFile, { name, start, end }: MagicLine): ts.Statement[] {
  const statements = file.statements.filter((each) => each.getStart(file) >= start && each.getStart(file) <= end);
  if (statements.length === 0) throw new MagicError(`%${name} needs code behind it`, start);
  return statements;
}

function timed(file: ts.SourceFile, line: MagicLine): Edit[] {
  const statements = measured(file, line);
  const [first, last] = [statements[0]!, statements.at(-1)!];
  const isValue = first === last && ts.isExpressionStatement(first);
  const [start, end] = isValue
    ? [first.expression.getStart(file), first.expression.end]
    : [first.getStart(file), last.end];
  const [before, after] = isValue
    ? ["__magics.stop(__magics.start(), ", ")"]
    : ["__magics.start();", ";__magics.stop();"];
  return [
    { start, end: start, text: before },
    { start: end, end, text: after },
  ];
}

function timedOften(file: ts.SourceFile, line: MagicLine): Edit[] {
  const [statement, another] = measured(file, line);
  if (another !== undefined || !ts.isExpressionStatement(statement!)) {
    throw new MagicError("%timeit measures an expression, such as a call of a function", line.start);
  }
  const { expression } = statement;
  const option = (name: string) => new RegExp(`-${name}\\s*(\\d+)`).exec(line.rest.slice(0, optionsLength(line)))?.[1];
  const options = JSON.stringify({ loops: number(option("n")), runs: number(option("r")) });
  const start = expression.getStart(file);
  const isAsync = hasAwait(expression);
  return [
    { start, end: start, text: `await __magics.timeit(${options}, ${isAsync ? "async " : ""}() => (` },
    { start: expression.end, end: expression.end, text: "))" },
  ];
}

const optionsLength = ({ rest }: MagicLine) => /^(?:-[nr]\s*\d+\s*)*/.exec(rest)![0].length;
const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));

function hasAwait(node: ts.Node): boolean {
  if (ts.isAwaitExpression(node)) return true;
  if (ts.isFunctionLike(node)) return false;
  return ts.forEachChild(node, hasAwait) ?? false;
}
