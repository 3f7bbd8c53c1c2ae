// Which lines of the recipes the notebooks have executed, counted by V8 in the process of the cells.
import { globSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { begin, end, isOurs } from "./inside/ask.ts";
import type { Watch } from "./runner.ts";

interface Range {
  startOffset: number;
  endOffset: number;
  count: number;
}

interface Script {
  url: string;
  /** The first is that of the whole file. */
  ranges: Range[];
}

export interface FileCoverage {
  path: string;
  /** Lines on which something begins that can be executed. */
  lines: number;
  covered: number;
  /** Lines that were not executed, or not all of, from 1. */
  missed: number[];
}

export interface Coverage {
  watch: Watch;
  /** All TypeScript files of the folder, those that no notebook has loaded among them. */
  files(): FileCoverage[];
}

export function openCoverage(folder: string): Coverage {
  const scripts = new Map<string, Range[][]>();
  return {
    watch: {
      async begin(kernel) {
        if (isOurs(kernel)) await begin(kernel, "coverage");
      },
      async end(kernel) {
        if (!isOurs(kernel)) return;
        for (const { url, ranges } of await end<Script[]>(kernel, "coverage")) {
          // An edited file is loaded again under another query.
          const path = fileURLToPath(url.replace(/[?#].*$/, ""));
          scripts.set(path, [...(scripts.get(path) ?? []), ranges]);
        }
      },
    },
    files: () =>
      globSync("**/*.ts", { cwd: folder, exclude: (name) => /\.(d|test)\.ts$|node_modules/.test(name) })
        .sort()
        .map((name) => coverageOf(join(folder, name), scripts.get(join(folder, name)) ?? [])),
  };
}

const mostAdded = 200;

/** A line is covered when all that begins on it was executed, in whichever of the runs. */
export function coverageOf(path: string, runs: readonly Range[][]): FileCoverage {
  const text = readFileSync(path, "utf8");
  // Types are blanked in place, and the loader adds a line at the end. Of a file that was changed or transpiled V8's offsets say nothing.
  const added = (ranges: readonly Range[]) => (ranges[0]?.endOffset ?? -1) - text.length;
  const usable = runs.filter((ranges) => added(ranges) >= 0 && added(ranges) <= mostAdded);
  const lines = new Map<number, boolean>();
  const { starts, lineOf } = executableOf(path, text);
  for (const start of starts) {
    const isCovered = usable.some((ranges) => countAt(ranges, start) > 0);
    lines.set(lineOf(start), isCovered && (lines.get(lineOf(start)) ?? true));
  }
  const missed = [...lines].filter(([, isCovered]) => !isCovered).map(([line]) => line);
  return { path, lines: lines.size, covered: lines.size - missed.length, missed: missed.sort((a, b) => a - b) };
}

/** The count of the innermost range around an offset. */
function countAt(ranges: readonly Range[], offset: number): number {
  let innermost: Range | undefined;
  for (const range of ranges) {
    if (offset < range.startOffset || offset >= range.endOffset) continue;
    const isInner =
      innermost === undefined || range.endOffset - range.startOffset <= innermost.endOffset - innermost.startOffset;
    if (isInner) innermost = range;
  }
  return innermost?.count ?? 0;
}

/** Where statements and the bodies of arrow functions begin. */
function executableOf(path: string, text: string) {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
  const starts: number[] = [];
  const visit = (node: ts.Node) => {
    if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || ts.isImportDeclaration(node)) return;
    if (ts.isStatement(node) && !isOnlyFrame(node)) starts.push(node.getStart(file));
    if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) starts.push(node.body.getStart(file));
    ts.forEachChild(node, visit);
  };
  visit(file);
  return { starts, lineOf: (offset: number) => file.getLineAndCharacterOfPosition(offset).line + 1 };
}

/** What is not executed itself, but holds what is. */
const isOnlyFrame = (node: ts.Statement) =>
  ts.isBlock(node) ||
  ts.isFunctionDeclaration(node) ||
  ts.isClassDeclaration(node) ||
  ts.isExportDeclaration(node) ||
  ts.isEmptyStatement(node);

/** Lines as people write them: 3, 7-9. */
export function spans(lines: readonly number[]): string {
  const found: [number, number][] = [];
  for (const line of lines) {
    const last = found.at(-1);
    if (last !== undefined && line === last[1] + 1) last[1] = line;
    else found.push([line, line]);
  }
  return found.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}

/** A table in Markdown, the least covered first, files without a line to execute left out. */
export function coverageTable(files: readonly FileCoverage[], root: string): string {
  const counted = files.filter(({ lines }) => lines > 0);
  const rows = counted
    .toSorted((a, b) => a.covered / a.lines - b.covered / b.lines)
    .map(({ path, lines, covered, missed }) => {
      const shown = covered === 0 ? "all" : spans(missed);
      return `| ${relative(root, path).replaceAll("\\", "/")} | ${percent(covered, lines)} | ${lines} | ${shown} |`;
    });
  const sum = (count: (file: FileCoverage) => number) => counted.reduce((total, file) => total + count(file), 0);
  const [covered, lines] = [sum((file) => file.covered), sum((file) => file.lines)];
  return [
    `${percent(covered, lines)} of ${lines} lines executed.`,
    "",
    "| file | executed | lines | not executed |",
    "|---|---:|---:|---|",
    ...rows,
  ].join("\n");
}

const percent = (part: number, whole: number) => `${whole === 0 ? 100 : Math.floor((100 * part) / whole)} %`;
