// Reports of a run: JSON for programs, JUnit for build servers, Markdown for people.
import { relative } from "node:path";
import { coverageTable, type FileCoverage } from "./coverage.ts";
import { type CellResult, isFailure, labelOf, type NotebookResult, plain } from "./result.ts";

export interface Counts {
  passed: number;
  failed: number;
  /** By the tag "skip-execution", or because an earlier cell failed. */
  skipped: number;
}

export interface Report extends Counts {
  mode: "quick" | "full";
  seconds: number;
  notebooks: NotebookResult[];
  /** Of the folder that was asked for. */
  coverage?: FileCoverage[];
}

/** Counts cells. A notebook that could not run, or not to its end, counts as one that failed. */
export function countCells(results: readonly NotebookResult[]): Counts {
  const verdicts = results.flatMap(({ cells }) => cells.map(({ verdict }) => verdict));
  const passed = verdicts.filter((verdict) => verdict === "ok").length;
  const skipped = verdicts.filter((verdict) => verdict === "skipped" || verdict === "not reached").length;
  const problems = results.filter(({ problem }) => problem !== undefined).length;
  return { passed, skipped, failed: verdicts.length - passed - skipped + problems };
}

/** JUnit's XML: a suite for each notebook, a case for each code cell. Paths are relative to `root`. */
export function junit({ notebooks, seconds }: Report, root: string): string {
  const suites = notebooks.map((notebook) => {
    const file = relative(root, notebook.path);
    const cases = notebook.cells.map((cell) => {
      const attributes = { name: labelOf(cell), classname: notebook.name, file, time: fixed(cell.seconds) };
      return element("testcase", attributes, caseBody(cell));
    });
    if (notebook.problem !== undefined) {
      const problem = element(
        "error",
        { message: cut(firstLine(notebook.problem)), type: "start" },
        xml([notebook.problem, ...step(notebook.next)].join("\n")),
      );
      cases.unshift(element("testcase", { name: "start", classname: notebook.name, file, time: "0.000" }, problem));
    }
    const attributes = { name: notebook.name, file, time: fixed(notebook.seconds), ...junitCounts([notebook]) };
    return element("testsuite", attributes, `\n${cases.join("\n")}\n`);
  });
  const attributes = { name: "notebooks", time: fixed(seconds), ...junitCounts(notebooks) };
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element("testsuites", attributes, `\n${suites.join("\n")}\n`)}\n`;
}

function junitCounts(results: readonly NotebookResult[]): Record<string, string> {
  const { passed, failed, skipped } = countCells(results);
  const errors = results.filter(({ problem }) => problem !== undefined).length;
  const counts = { tests: passed + failed + skipped, failures: failed - errors, errors, skipped };
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, String(count)]));
}

function caseBody(cell: CellResult): string {
  if (cell.verdict === "ok") return "";
  if (cell.verdict === "skipped" || cell.verdict === "not reached") {
    return element("skipped", { message: cell.reason ?? cell.verdict }, "");
  }
  const text = shortened([cell.reason ?? "", place(cell), ...(cell.traceback ?? [])].filter(Boolean));
  return element(
    "failure",
    { message: cut(firstLine(cell.reason ?? cell.verdict)), type: cell.verdict },
    xml([...text, ...step(cell.next)].join("\n")),
  );
}

function element(name: string, attributes: Record<string, string>, body: string): string {
  const list = Object.entries(attributes).map(([key, value]) => ` ${key}="${xml(value)}"`);
  return body === "" ? `<${name}${list.join("")}/>` : `<${name}${list.join("")}>${body}</${name}>`;
}

/** Escaped, without the characters that XML 1.0 cannot hold. */
function xml(text: string): string {
  const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return (
    plain(text)
      .toWellFormed()
      // biome-ignore lint/suspicious/noControlCharactersInRegex: XML cannot hold these characters
      .replaceAll(/[\x00-\x08\v\f\x0e-\x1f\ufffe\uffff]/g, "\ufffd")
      .replaceAll(/[&<>"]/g, (character) => escapes[character])
  );
}

/** A table of notebooks, and below it what failed, with the line, the error and the traceback. */
export function markdown(
  { notebooks, seconds, mode, passed, failed, skipped, coverage }: Report,
  root: string,
): string {
  const rows = notebooks.map((notebook) => {
    const { passed, failed, skipped } = countCells([notebook]);
    const slowest = notebook.cells.toSorted((a, b) => b.seconds - a.seconds)[0];
    const slow = notebook.isCached
      ? "unchanged since it passed"
      : slowest === undefined
        ? ""
        : `${labelOf(slowest)}, ${slowest.seconds.toFixed(1)} s`;
    const mark = notebook.isPassed ? "✔" : "✘";
    return `| ${mark} ${notebook.name} | ${passed} | ${failed} | ${skipped} | ${notebook.seconds.toFixed(1)} | ${notebook.startSeconds.toFixed(2)} | ${slow} |`;
  });
  const failures = notebooks.flatMap((notebook) => failuresOf(notebook, root).map((lines) => section(lines)));
  return [
    "# Notebooks",
    "",
    `${passed} cells passed, ${failed} failed, ${skipped} skipped in ${seconds.toFixed(1)} s (${mode} mode).`,
    "",
    "| notebook | passed | failed | skipped | seconds | kernel ready, s | longest cell |",
    "|---|---:|---:|---:|---:|---:|---|",
    ...rows,
    "",
    ...failures,
    ...(coverage === undefined ? [] : ["## Lines that the notebooks executed", "", coverageTable(coverage, root), ""]),
  ].join("\n");
}

function section([title, ...lines]: string[]): string {
  const text = lines.join("\n");
  // Longer than any fence in it.
  const fence = "`".repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map(([run]) => run.length + 1)));
  return `## ${title}\n\n${fence}text\n${text}\n${fence}\n`;
}

/** For each failure of a notebook its title and the lines that explain it, without escape codes, the longest ones cut. */
export function failuresOf({ path, cells, problem, next }: NotebookResult, root: string): string[][] {
  const file = relative(root, path);
  const failures = cells.filter(isFailure).map((cell) => {
    const reason = plain(cell.reason ?? "");
    const traceback = (cell.traceback ?? []).map(plain);
    // The traceback of our kernel begins with the error itself.
    const isSaid = traceback.some((line) => line.includes(firstLine(reason)));
    return [
      `${file}, ${labelOf(cell)}: ${cell.verdict} after ${cell.seconds.toFixed(1)} s`,
      ...shortened([isSaid ? "" : reason, place(cell), ...traceback].filter(Boolean)),
      ...step(cell.next),
    ];
  });
  if (problem === undefined) return failures;
  return [[`${file} did not run to its end`, plain(problem), ...step(next)], ...failures];
}

const step = (next: string | undefined) => (next === undefined ? [] : [`Next: ${next}`]);

const [linesAtFirst, linesAtLast, longestLine] = [40, 20, 500];

/** Some libraries put a whole graph of 30 000 lines into an error. All of it is in the JSON report and in the notebook. */
function shortened(texts: readonly string[]): string[] {
  const lines = texts.flatMap((text) => text.split("\n")).map(cut);
  const left = lines.length - linesAtFirst - linesAtLast;
  if (left <= 1) return lines;
  const note = `[... ${left} lines that notebooks.json has ...]`;
  return [...lines.slice(0, linesAtFirst), note, ...lines.slice(-linesAtLast)];
}

function place({ line, source }: CellResult): string {
  return line === undefined ? "" : `line ${line}: ${source?.trim() ?? ""}`;
}

const cut = (line: string) =>
  line.length <= longestLine ? line : `${line.slice(0, longestLine)} [... ${line.length} characters]`;
const firstLine = (text: string) => text.split("\n")[0];
const fixed = (seconds: number) => seconds.toFixed(3);
