// `npm run lint:notebooks`: each notebook's score of 100, what it lost points for, in which cell, and how to mend it.
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { type Cell, type CodeCell, isCode, type Notebook, readNotebook, tagsOf } from "../../kernel/run/notebook.ts";
import type { MimeBundle } from "../../kernel/run/outputs.ts";
import { isStale } from "../../kernel/run/ran.ts";
import { checkTypes, withSolutions } from "./cells.ts";
import { headingsOfGuide } from "./guide.ts";
import { pathsOf } from "./nb.ts";
import { fromSource, toSource } from "./source.ts";

/** What a notebook has too little or too much of. `mend` says what to do. */
export interface Deduction {
  rule: string;
  points: number;
  /** The id of the cell, where it is one. */
  cell?: string;
  what: string;
  mend: string;
}

export interface Score {
  path: string;
  score: number;
  deductions: Deduction[];
}

/** How much of each is wanted. */
interface Measure {
  codeCells: readonly [least: number, most: number];
  words: readonly [least: number, most: number];
  predictions: number;
  figures: number;
  claims: number;
  exercises: number;
  /** A table of one change at a time, with memory and time. */
  change: boolean;
}

const usual: Measure = {
  codeCells: [10, 30],
  words: [400, 1500],
  predictions: 2,
  figures: 3,
  claims: 5,
  exercises: 2,
  change: true,
};

/** 00 is the first minute with Whetstone: it shows each thing once, and measures no time, which a later notebook does. */
const first: Measure = { ...usual, codeCells: [5, 30], predictions: 1, figures: 1, claims: 2, change: false };

export interface LintOptions {
  /** How long the quick form took here, in seconds; nothing is said of it otherwise. */
  quickSeconds?: number;
  /** Solutions and the cell to copy are checked by the compiler, which takes a second or two. */
  types?: boolean;
}

/** A notebook as the rules see it. */
interface Read extends LintOptions {
  path: string;
  notebook: Notebook;
  measure: Measure;
  code: CodeCell[];
  texts: Cell[];
}

interface Rule {
  name: string;
  points: number;
  /** Which notebooks it does not concern. */
  skips?: (measure: Measure) => boolean;
  judge: (read: Read) => Omit<Deduction, "rule">[];
}

/** Longest cell, in lines, and the median of all. */
const mostLines = 25;
const medianLines = 10;
const mostBytes = 500_000;
const quickLimit = 60;

export const rules: readonly Rule[] = [
  { name: "opening", points: 8, judge: opening },
  { name: "time", points: 6, judge: time },
  { name: "predict", points: 6, judge: predictions },
  { name: "setup", points: 8, judge: setup },
  { name: "size", points: 8, judge: size },
  { name: "figures", points: 10, judge: figures },
  { name: "change", points: 6, judge: change, skips: (measure) => !measure.change },
  { name: "claims", points: 12, judge: claims },
  { name: "exercises", points: 12, judge: exercises },
  { name: "failure", points: 4, judge: failure },
  { name: "copy", points: 6, judge: copy },
  { name: "closing", points: 6, judge: closing },
  { name: "order", points: 4, judge: order },
  { name: "finished", points: 4, judge: finished },
];

/** Scores a notebook, which has its place at `path`. No rule takes more than its own points. */
export function lint(path: string, options: LintOptions = {}, notebook: Notebook = readNotebook(path)): Score {
  const measure = /^00-/.test(basename(path)) ? first : usual;
  const code = notebook.cells.filter(isCode);
  const texts = notebook.cells.filter(({ cell_type }) => cell_type === "markdown");
  const read: Read = { types: true, ...options, path, notebook, measure, code, texts };
  const concerned = rules.filter(({ skips }) => !skips?.(measure));
  let lost = 0;
  const deductions = concerned.flatMap(({ name, points, judge }) => {
    let left = points;
    return judge(read).flatMap((each) => {
      const taken = Math.min(left, each.points);
      left -= taken;
      lost += taken;
      return taken === 0 ? [] : [{ rule: name, ...each, points: taken }];
    });
  });
  const all = concerned.reduce((sum, { points }) => sum + points, 0);
  return { path, score: Math.round((1000 * (all - lost)) / all) / 10, deductions };
}

type Found = Omit<Deduction, "rule">;

const lose = (points: number, what: string, mend: string, cell?: Cell): Found => ({
  points,
  what,
  mend,
  ...(cell?.id === undefined ? {} : { cell: cell.id }),
});

/** The deduction, if something is missing. */
const unless = (isThere: boolean, ...found: Parameters<typeof lose>): Found[] => (isThere ? [] : [lose(...found)]);

function opening({ texts, notebook }: Read): Found[] {
  const top = notebook.cells[0];
  const text = top?.cell_type === "markdown" ? top.source : "";
  const goals = /^After it you can\n\n((?:- .+\n?)+)/m.exec(text)?.[1] ?? "";
  const quoted = [
    ...texts
      .map(({ source }) => source)
      .join("\n")
      .matchAll(/section "([^"]+)"/g),
  ].map(([, name]) => name!);
  const unknown = quoted.find((name) => !headingsOfGuide().has(name));
  return [
    ...unless(/^# \S/.test(text), 1, "the first cell has no title", 'begin it with "# Title"', top),
    ...unless(
      /^\*\*[^\n]*\?\*\*$/m.test(text),
      2,
      "no question opens the notebook",
      "put one in bold, on a line of its own: **Which ...?**",
      top,
    ),
    ...unless(
      quoted.length > 0,
      2,
      "the guide's sentence is not quoted",
      'quote it with its place: The guide (section "Pruning Methods"): *"..."*',
      top,
    ),
    ...(unknown === undefined
      ? []
      : [lose(1, `the guide has no section "${unknown}"`, "use a heading of data/guide-map.json")]),
    ...unless(
      goals.split("\n- ").length >= 2,
      2,
      "what one can do after it is not listed",
      'write "After it you can", an empty line, and two or more points',
      top,
    ),
    ...unless(
      /\*\*Needs\*\*: \S/.test(text),
      1,
      "what it needs is not said",
      'write "**Needs**: " and the notebooks before it, or "nothing"',
      top,
    ),
  ];
}

function time({ notebook, quickSeconds }: Read): Found[] {
  const top = notebook.cells[0];
  const stated = /\*\*Time\*\*: ([^\n]*)/.exec(top?.source ?? "")?.[1] ?? "";
  return [
    ...unless(
      (quickSeconds ?? 0) <= quickLimit,
      6,
      `the quick form took ${quickSeconds?.toFixed(0)} s`,
      `give \`quick\` less to do: at most ${quickLimit} s on two cores`,
    ),
    ...unless(
      /\d+ minutes? to read/.test(stated),
      3,
      "the minutes to read it are not stated",
      'write "**Time**: 20 minutes to read, ..." in the first cell',
      top,
    ),
    ...unless(
      /\b(?:run|runs)\b.*\b(?:second|minute)s?\b|\b(?:second|minute)s? to run/.test(stated),
      3,
      "how long it runs is not stated",
      'add "less than 20 seconds to run", as measured on two cores',
      top,
    ),
  ];
}

function predictions({ code, measure }: Read): Found[] {
  const asked = code.filter((cell) => tagsOf(cell).includes("predict"));
  const found = unless(
    asked.length >= measure.predictions,
    3,
    `${count(asked.length, "prediction")}, ${measure.predictions} are wanted`,
    'ask with `predict(question, guess)` in a cell with the tag "predict"',
  );
  for (const cell of asked) {
    const question = textsOf(cell)
      .map((text) => /^(.*) Guess: /s.exec(text)?.[1])
      .find((text) => text !== undefined);
    const later = code.slice(code.indexOf(cell) + 1).flatMap(textsOf);
    const isShown =
      question !== undefined &&
      later.some((text) => text.startsWith(`${question} Guess: `) && text.includes("Measured: "));
    found.push(
      ...unless(
        isShown,
        2,
        "no later cell shows the guess beside the result",
        "call its `reveal(measured)` there, and commit the outputs",
        cell,
      ),
    );
  }
  return found;
}

function setup({ code, notebook }: Read): Found[] {
  const tagged = code.filter((cell) => tagsOf(cell).includes("setup"));
  const found = [
    ...unless(
      tagged.length === 1 && tagged[0] === code[0],
      3,
      `${count(tagged.length, "cell")} with the tag "setup", or it is not the first code cell`,
      "put all imports into the first code cell and tag it",
      code[0],
    ),
    ...unless(
      notebook.cells.some((cell) => isCode(cell) && /\bseed\b/.test(cell.source)),
      1,
      "no seed is set",
      "declare `const seed = 1` among the parameters and use it",
    ),
    ...unless(
      code.some((cell) => tagsOf(cell).includes("parameters")),
      1,
      'no cell has the tag "parameters"',
      "put the values to play with, and `quick`, into one cell and tag it",
    ),
  ];
  for (const cell of code) {
    const tags = tagsOf(cell);
    if (!tags.includes("setup") && !tags.includes("copy") && /^import\b|\bimport\(/m.test(cell.source))
      found.push(lose(2, "it imports on its own", "import in the set-up cell; only a cell to copy has its own", cell));
    const outside = /\bfetch\(|["'`](?:https?:\/\/|\/(?:home|root|tmp|usr|work|Users|mnt)\/|[A-Z]:\\)/.exec(
      cell.source,
    )?.[0];
    if (outside !== undefined)
      found.push(lose(2, `${outside} reaches outside of the clone`, "take data from data/, by a relative path", cell));
  }
  return found;
}

function size({ code, notebook, texts, measure }: Read): Found[] {
  const [least, most] = measure.codeCells;
  const lengths = code.map(({ source }) => source.trimEnd().split("\n").length);
  const middle = lengths.toSorted((a, b) => a - b)[Math.floor(lengths.length / 2)] ?? 0;
  const found = [
    ...unless(
      code.length >= least && code.length <= most,
      2,
      `${count(code.length, "code cell")}, ${least} to ${most} are wanted`,
      "leave out or join cells that only carry on, or make two notebooks of it",
    ),
    ...unless(
      middle <= medianLines,
      1,
      `the median cell has ${middle} lines, ${medianLines} are the limit`,
      "split long cells where a sentence can stand between",
    ),
  ];
  for (const [i, cell] of code.entries())
    if (lengths[i]! > mostLines)
      found.push(
        lose(2, `${lengths[i]} lines, ${mostLines} are the limit`, "split it where a sentence can stand between", cell),
      );
  const isTold = (cell: Cell) => notebook.cells[notebook.cells.indexOf(cell) - 1]?.cell_type === "markdown";
  const untold = code.filter((cell) => !isTold(cell));
  if (untold.length > 0.2 * code.length)
    found.push(
      lose(
        1,
        `${untold.length} of ${count(code.length, "code cell")} have no text before them`,
        "say in a sentence what the cell does and what to watch",
        untold[0],
      ),
    );
  const words = wordsIn(texts);
  const [few, many] = measure.words;
  found.push(
    ...unless(
      words >= few && words <= many,
      2,
      `${count(words, "word")} of text, ${few} to ${many} are wanted`,
      words < few ? "say why, not only what" : "cut what the figures say already",
    ),
  );
  return found;
}

/** Words that one reads on the way: no folded solutions, tables, formulas or references. */
function wordsIn(texts: readonly Cell[]): number {
  const prose = texts
    .map(({ source }) => source)
    .join("\n\n")
    .replaceAll(/<details>[\s\S]*?<\/details>/g, " ")
    .replaceAll(/```[\s\S]*?```|\$\$[\s\S]*?\$\$|\$[^$\n]*\$/g, " ")
    .replaceAll(/^\|.*$/gm, " ")
    .replaceAll(/^\*\*References\.\*\*.*$/gm, " ");
  return prose.match(/[\p{L}\p{N}][\p{L}\p{N}'’-]*/gu)?.length ?? 0;
}

function figures({ code, measure, notebook }: Read): Found[] {
  const all = code.flatMap((cell) =>
    bundlesOf(cell).flatMap((data) => (plotly in data ? [{ cell, data, figure: data[plotly] as Figure }] : [])),
  );
  const found = unless(
    all.length >= measure.figures,
    4,
    `${count(all.length, "figure")}, ${measure.figures} are wanted`,
    "draw what was measured with `line`, `bars`, `scatter`, `heat` or `pareto` of the kit",
  );
  for (const { cell, data, figure } of all) {
    const lacking = ["image/png", "text/plain"].filter((type) => !(type in data));
    found.push(
      ...unless(
        lacking.length === 0,
        2,
        `a figure has no ${lacking.join(" and no ")}`,
        "run the notebook again by `npm run notebooks -- --write`, which draws them",
        cell,
      ),
    );
    const { title, xaxis, yaxis } = figure.layout ?? {};
    const silent = Object.entries({
      title: title?.text,
      caption: title?.subtitle?.text,
      "title of x": xaxis?.title?.text,
      "title of y": yaxis?.title?.text,
    })
      .filter(([, text]) => typeof text !== "string" || text.trim() === "")
      .map(([name]) => name);
    found.push(
      ...unless(
        silent.length === 0,
        2,
        `a figure has no ${silent.join(", no ")}`,
        "give `title`, `x`, `y` and `caption`",
        cell,
      ),
    );
  }
  const bytes = Buffer.byteLength(JSON.stringify(notebook.cells.map((cell) => cell.outputs ?? [])));
  found.push(
    ...unless(
      bytes <= mostBytes,
      2,
      `the outputs have ${Math.round(bytes / 1000)} kB, ${mostBytes / 1000} are the limit`,
      "draw fewer points, print less",
    ),
  );
  return found;
}

const plotly = "application/vnd.plotly.v1+json";
interface Figure {
  layout?: { title?: { text?: string; subtitle?: { text?: string } }; xaxis?: Axis; yaxis?: Axis };
}
interface Axis {
  title?: { text?: string };
}

function change({ code }: Read): Found[] {
  const tables = code
    .flatMap(bundlesOf)
    .flatMap((data) => (typeof data["text/html"] === "string" ? [data["text/html"]] : []));
  const isBoth = tables.some((html) => {
    const columns = [...html.matchAll(/<th[^>]*>(.*?)<\/th>/gs)].map(([, name]) => name!);
    const rows = html.split("<tbody>")[1]?.match(/<tr>/g)?.length ?? 0;
    const has = (unit: RegExp) => columns.some((name) => unit.test(name));
    return (
      rows >= 2 && columns.length >= 3 && has(/\[(?:[kMG]i?)?B\]|bytes/i) && has(/(?:^|[\s[])(?:m|µ|n)?s(?:\]| per\b)/)
    );
  });
  return unless(
    isBoth,
    6,
    "no table puts a baseline beside a change, with memory and time",
    "one row a variant, the baseline first; columns with [kB] or [MB], with [ms], and the quality that it costs",
  );
}

interface Stored {
  id: string;
  pass: boolean;
  kind?: string;
  title?: string;
  mode?: string;
}

function claims({ code, measure }: Read): Found[] {
  const judging = code.filter(
    (cell) => /\b(?:claim|check|observed)\(/.test(cell.source) && !tagsOf(cell).includes("raises-exception"),
  );
  const found = unless(
    judging.length >= measure.claims,
    5,
    `${count(judging.length, "cell")} that check something, ${measure.claims} are wanted`,
    "follow each measurement by a `claim`, an `observed` or a `check`",
  );
  const stored = code.flatMap((cell) =>
    bundlesOf(cell).flatMap((data) =>
      "application/vnd.claim+json" in data ? [{ cell, claim: data["application/vnd.claim+json"] as Stored }] : [],
    ),
  );
  if (stored.length === 0)
    found.push(lose(5, "it has no claim", "state by `claim(id, value, op, target, ...)` what the notebook is about"));
  for (const { cell, claim } of stored) {
    if (tagsOf(cell).includes("raises-exception")) continue;
    if (!claim.pass && claim.kind !== "observed")
      found.push(
        lose(
          4,
          `${claim.id} does not hold`,
          "find out why; an effect that is absent here is `observed`, never tuned until it holds",
          cell,
        ),
      );
    if (claim.kind === undefined || claim.title === undefined)
      found.push(
        lose(
          1,
          `${claim.id} has no ${claim.title === undefined ? "title" : "kind"}`,
          "say in `title` what holds, and in `kind` what may be expected elsewhere",
          cell,
        ),
      );
    if (claim.mode === "quick")
      found.push(lose(2, `${claim.id} is of a quick run`, "run `npm run notebooks -- --write` without --quick", cell));
  }
  return found;
}

/** Exercises: `**2. Write (10 minutes).** ...`, each with a folded solution. */
function exercises({ texts, measure, path, notebook, types }: Read): Found[] {
  const cell = texts.find(({ source }) => /^## Exercises$/m.test(source));
  const parts = cell?.source.split(/^(?=\*\*\d+\. )/m).slice(1) ?? [];
  const found = unless(
    parts.length >= measure.exercises,
    6,
    `${count(parts.length, "exercise")}, ${measure.exercises} are wanted`,
    'write "## Exercises" and below it "**1. Turn a value (3 minutes).** ..."',
    cell,
  );
  const kinds = parts.map((part) => /^\*\*\d+\. ([^(*]+?)(?: \((\d+) minutes?\))?\.?\*\*/.exec(part));
  for (const [i, kind] of kinds.entries())
    found.push(
      ...unless(
        kind?.[2] !== undefined,
        1,
        `exercise ${i + 1} has no kind and no minutes`,
        `begin it with "**${i + 1}. Write (10 minutes).**"`,
        cell,
      ),
    );
  found.push(
    ...unless(
      new Set(kinds.map((kind) => kind?.[1])).size === kinds.length,
      2,
      "two exercises are of the same kind",
      "go on from turning a value to filling a gap, writing, finding a bug",
      cell,
    ),
  );
  for (const [i, part] of parts.entries())
    found.push(
      ...unless(
        /<details><summary>Solution<\/summary>[\s\S]*?\S[\s\S]*?<\/details>/.test(part),
        3,
        `exercise ${i + 1} has no folded solution`,
        "end it with <details><summary>Solution</summary>...</details>",
        cell,
      ),
    );
  found.push(
    ...unless(
      parts.length === 0 || parts.some((part) => part.includes("<summary>Hint")),
      1,
      "no exercise has a hint",
      "<details><summary>Hint</summary>...</details> before the solution",
      cell,
    ),
  );
  const wrong = types
    ? checkTypes(path, withSolutions(notebook)).filter((each) => each.cell.startsWith("solution-"))
    : [];
  for (const { cell: id, line, message } of wrong)
    found.push(
      lose(3, `${id} does not compile: line ${line}: ${message}`, "it must run behind the cells of the notebook", cell),
    );
  return found;
}

function failure({ code }: Read): Found[] {
  const failing = code.filter((cell) => tagsOf(cell).includes("raises-exception"));
  const found = unless(
    failing.length > 0,
    4,
    "nothing fails on purpose",
    'show one mistake, in a cell with the tags "raises-exception" and "expect:Name"',
  );
  for (const cell of failing) {
    const tags = tagsOf(cell);
    found.push(
      ...unless(
        tags.some((tag) => tag.startsWith("expect:")),
        2,
        "which error is expected is not said",
        'add the tag "expect:TS2345", "expect:Error" or the like',
        cell,
      ),
    );
    const after = code[code.indexOf(cell) + 1];
    found.push(
      ...unless(
        after !== undefined && !tagsOf(after).includes("raises-exception"),
        2,
        "no repair follows",
        "do it right in the next cell, and check it",
        cell,
      ),
    );
  }
  return found;
}

function copy({ code, path, notebook, types }: Read): Found[] {
  const cells = code.filter((cell) => tagsOf(cell).includes("copy"));
  const found = unless(
    cells.length > 0,
    6,
    "there is nothing to copy",
    'put what runs alone into a cell with the tag "copy"',
  );
  for (const cell of cells) {
    const from = [...cell.source.matchAll(/from "([^"]+)"/g)].map(([, name]) => name!);
    const foreign = from.find(
      (name) => !/^@tensorflow\/tfjs|^@whetstone\/recipes|^(?:\.\.\/)+recipes\/|^node:/.test(name),
    );
    found.push(
      ...unless(
        foreign === undefined,
        2,
        `it imports ${foreign}`,
        "only @tensorflow/tfjs-core and recipes, so that it runs in anyone's project",
        cell,
      ),
    );
    const [wrong] = types ? checkTypes(path, { ...notebook, cells: [cell] }) : [];
    if (wrong !== undefined)
      found.push(
        lose(
          4,
          `alone it does not compile: line ${wrong.line}: ${wrong.message}`,
          "let it declare or import all that it uses",
          cell,
        ),
      );
  }
  return found;
}

function closing({ texts, code, path }: Read): Found[] {
  const last = texts.findLast(({ source }) => /^## Key points$/m.test(source));
  const text = last?.source ?? "";
  const points = /^## Key points\n\n((?:- .+\n?)+)/m.exec(text)?.[1]?.match(/^- /gm)?.length ?? 0;
  const references = /^\*\*References\.\*\* (.*)$/m.exec(text)?.[1] ?? "";
  const years = references.match(/\b(?:19|20)\d\d\b(?!\.\d)/g)?.length ?? 0;
  const found = [
    ...unless(
      points >= 3,
      2,
      `${count(points, "key point")}, 3 are wanted`,
      'end with "## Key points" and a list',
      last,
    ),
    ...unless(
      years >= 2,
      2,
      `${count(years, "reference")} with a year, 2 are wanted`,
      '"**References.** A. Author, *Title* (2023), arXiv:..."',
      last,
    ),
  ];
  const links = texts.flatMap((cell) =>
    [...cell.source.matchAll(/\]\((?!https?:|#|mailto:)([^)\s]+)\)/g)].map(([, to]) => ({ cell, to: to! })),
  );
  for (const { cell, to } of links)
    found.push(
      ...unless(
        existsSync(join(dirname(path), decodeURI(to).split("#")[0]!)),
        1,
        `the link to ${to} leads nowhere`,
        "mend it, or name the notebook as planned",
        cell,
      ),
    );
  found.push(
    ...unless(
      /\*\*(?:Next|\[\d\d )/.test(texts.map(({ source }) => source).join("\n")),
      1,
      "what comes next is not said",
      '"**Next**: [12 ...](12-slug.ipynb)"',
      last,
    ),
  );
  const hasFormula = texts.some(({ source }) => source.includes("$$"));
  const rows = [...text.matchAll(/^\| (\$.*?) \| (.*?) \|/gm)];
  found.push(
    ...unless(
      !hasFormula || rows.length > 0,
      2,
      "there are formulas and no table of their symbols",
      "| symbol | code | meaning |, so that both use the same names",
      last,
    ),
  );
  const all = code.map(({ source }) => source).join("\n");
  const names = rows.flatMap(([, , shown]) => [...shown!.matchAll(/`([A-Za-z_$][\w$]*)/g)].map(([, name]) => name!));
  for (const name of names)
    found.push(
      ...unless(
        new RegExp(`\\b${name.replaceAll("$", "\\$")}\\b`).test(all),
        1,
        `the table of symbols names \`${name}\`, which no cell has`,
        "use the name that the code has",
        last,
      ),
    );
  return found;
}

function order({ notebook, code, path }: Read): Found[] {
  const counts = code.map((cell) => cell.execution_count);
  const broken = code.find((_, i) => counts[i] !== i + 1);
  const found = unless(
    broken === undefined,
    2,
    "the cells were not run once, from top to bottom",
    "npm run notebooks -- --write",
    broken,
  );
  for (const cell of code) {
    const error = cell.outputs.find(({ output_type }) => output_type === "error");
    const isExpected = tagsOf(cell).includes("raises-exception");
    if ((error !== undefined) !== isExpected)
      found.push(
        lose(
          2,
          isExpected ? "the error that is expected is not among the outputs" : "it shows an error",
          "npm run notebooks -- --write",
          cell,
        ),
      );
  }
  found.push(
    ...unless(
      !isStale(notebook),
      2,
      "the code has changed since the outputs were made, or nobody knows",
      "npm run notebooks -- --write",
    ),
  );
  const nameless = notebook.cells.find(({ id }) => id === undefined || /^[0-9a-f]{8}(-[0-9a-f-]+)?$/.test(id));
  found.push(
    ...unless(
      nameless === undefined,
      1,
      `a cell is named ${nameless?.id ?? "not at all"}`,
      "give each an id that says what it is",
      nameless,
    ),
  );
  const back = fromSource(toSource(notebook), path).cells;
  const lost = notebook.cells.find((cell, i) => cell.source !== back[i]?.source || cell.id !== back[i]?.id);
  found.push(
    ...unless(
      lost === undefined,
      1,
      "its source form is not the same notebook",
      "this is a defect of notebooks/tools/source.ts",
      lost,
    ),
  );
  return found;
}

function finished({ notebook }: Read): Found[] {
  return notebook.cells.flatMap((cell) => {
    const open = /\bTODO\b[^\n]*/.exec(cell.source)?.[0];
    return open === undefined
      ? []
      : [lose(1, `"${open.slice(0, 60)}" is left to do`, "write what belongs there", cell)];
  });
}

const count = (n: number, noun: string) => `${n} ${noun}${n === 1 ? "" : "s"}`;

const bundlesOf = (cell: CodeCell): MimeBundle[] =>
  cell.outputs.flatMap((output) => ("data" in output ? [output.data] : []));

const textsOf = (cell: CodeCell): string[] =>
  bundlesOf(cell).flatMap((data) => (typeof data["text/plain"] === "string" ? [data["text/plain"]] : []));

/** The score and what it lost, as lines. */
export function scoreLines({ path, score, deductions }: Score): string[] {
  return [
    `${basename(path)}: ${score} of 100`,
    ...deductions.map(
      ({ rule, points, cell, what, mend }) =>
        `  -${points} ${rule}${cell === undefined ? "" : ` (${cell})`}: ${what}. To mend: ${mend}`,
    ),
  ];
}

/** What is wrong with notebooks as a course: what one of them needs must not need it in turn, and all of them together must be quick. */
export function lintSet(paths: readonly string[], times: ReadonlyMap<string, number> = new Map()): string[] {
  const needs = new Map(paths.map((path) => [basename(path), neededBy(path)]));
  const seconds = [...times.values()].reduce((sum, each) => sum + each, 0);
  const circles = [...needs.keys()].flatMap((name) => circleFrom(name, needs) ?? []);
  return [
    ...circles.slice(0, 1).map((circle) => `${circle} need each other: say "**Needs**" in one direction only`),
    ...(seconds <= courseLimit
      ? []
      : [
          `the quick forms take ${seconds.toFixed(0)} s together, ${courseLimit} are the limit: give the slowest less to do`,
        ]),
  ];
}

/** Seconds that all notebooks together may take in quick mode. */
const courseLimit = 900;

/** The notebooks that the first cell names after "Needs". */
function neededBy(path: string): string[] {
  const stated = /\*\*Needs\*\*: ([^\n]*)/.exec(readNotebook(path).cells[0]?.source ?? "")?.[1] ?? "";
  return [...stated.matchAll(/\]\(([^)#]+\.ipynb)/g)].map(([, file]) => basename(file!));
}

/** The way from a notebook over what it needs back to itself. */
function circleFrom(start: string, needs: ReadonlyMap<string, string[]>): string | undefined {
  const seen = new Set<string>();
  const walk = (name: string, way: string[]): string[] | undefined => {
    for (const next of needs.get(name) ?? []) {
      if (next === start) return [...way, next];
      if (seen.has(next)) continue;
      seen.add(next);
      const found = walk(next, [...way, next]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return walk(start, [start])?.join(" -> ");
}

/** Seconds that each notebook took in quick mode, by the report of `npm run notebooks -- --quick`. */
function quickTimes(report: string): Map<string, number> {
  const { mode, notebooks } = JSON.parse(readFileSync(report, "utf8"));
  if (mode !== "quick")
    throw new Error(`${report} is of a ${mode} run; npm run notebooks -- --quick writes one of a quick run`);
  return new Map((notebooks as { name: string; seconds: number }[]).map(({ name, seconds }) => [name, seconds]));
}

function main() {
  const options = { least: { type: "string", default: "90" }, report: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const times = values.report === undefined ? undefined : quickTimes(values.report);
  const paths = pathsOf(positionals);
  const scores = paths.map((path) => lint(path, { quickSeconds: times?.get(basename(path, ".ipynb")) }));
  for (const line of scores.flatMap(scoreLines)) console.log(line);
  const low = scores.filter(({ score }) => !(score >= Number(values.least)));
  const mean = scores.reduce((sum, { score }) => sum + score, 0) / scores.length;
  console.log(
    `${count(scores.length, "notebook")}, ${mean.toFixed(1)} on average, ${low.length} below ${values.least}`,
  );
  if (times !== undefined)
    console.log(`quick runs: ${[...times.values()].reduce((a, b) => a + b, 0).toFixed(0)} s in all`);
  const wrong = lintSet(paths, times);
  for (const what of wrong) console.log(what);
  if (low.length + wrong.length > 0) process.exitCode = 1;
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 2;
  }
}
