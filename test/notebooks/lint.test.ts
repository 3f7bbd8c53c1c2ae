// The lint of notebooks: ours reach 90, and every rule takes points from a notebook that was broken on purpose.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Cell, type CodeCell, isCode, type Notebook, readNotebook } from "../../kernel/run/notebook.ts";
import { isStale, markRan } from "../../kernel/run/ran.ts";
import { type LintOptions, lint, lintSet, rules, scoreLines } from "../../notebooks/tools/lint.ts";
import { notebooksIn } from "../../notebooks/tools/nb.ts";
import { temporaryFolder } from "../made.ts";

const root = join(import.meta.dirname, "../..");
const notebooks = join(root, "notebooks");
/** It loses next to nothing, so that what is broken on purpose shows. */
const good = join(notebooks, "01-anatomy.ipynb");

const cellOf = (notebook: Notebook, id: string): CodeCell => {
  const cell = notebook.cells.find((each) => each.id === id);
  assert.ok(cell, `there is no cell ${id} any more; name another one in this test`);
  return cell as CodeCell;
};
const tagged = (notebook: Notebook, tag: string): CodeCell =>
  notebook.cells.find((cell): cell is CodeCell => isCode(cell) && (cell.metadata.tags ?? []).includes(tag))!;

/** Replaces in a text cell; fails where there is nothing to replace. */
function edit(cell: Cell, from: RegExp | string, to: string): void {
  const before = cell.source;
  cell.source = before.replace(from, to);
  assert.notEqual(cell.source, before, `${cell.id} has no ${from}`);
}
const top = (notebook: Notebook) => notebook.cells[0]!;
const withText = (notebook: Notebook, words: string) =>
  notebook.cells.findLast((cell) => cell.cell_type === "markdown" && cell.source.includes(words))!;
const bundlesWith = (notebook: Notebook, type: string) =>
  notebook.cells
    .filter(isCode)
    .flatMap((cell) => cell.outputs)
    .flatMap((output) => ("data" in output && type in output.data ? [output.data as Record<string, any>] : []));
const figure = (notebook: Notebook) => bundlesWith(notebook, "application/vnd.plotly.v1+json")[0]!;
const stored = (notebook: Notebook) =>
  bundlesWith(notebook, "application/vnd.claim+json")[0]!["application/vnd.claim+json"];
const remove = (notebook: Notebook, ...cells: Cell[]) => {
  notebook.cells = notebook.cells.filter((cell) => !cells.includes(cell));
};
const codeAfter = (notebook: Notebook, cell: Cell) =>
  notebook.cells.slice(notebook.cells.indexOf(cell) + 1).find(isCode)!;

type Break = [rule: string, what: RegExp, how: (notebook: Notebook) => void, options?: LintOptions];
const breaks: Break[] = [
  ["opening", /no title/, (n) => edit(top(n), /^# /, "")],
  ["opening", /no question opens/, (n) => edit(top(n), "?**", ".**")],
  [
    "opening",
    /sentence is not quoted/,
    (n) => {
      for (const cell of n.cells) cell.source = cell.source.replaceAll('section "', 'chapter "');
    },
  ],
  ["opening", /no section "Ponies"/, (n) => edit(top(n), /section "[^"]*"/, 'section "Ponies"')],
  ["opening", /can do after it/, (n) => edit(top(n), "After it you can", "It is about")],
  ["opening", /what it needs/, (n) => edit(top(n), "**Needs**", "Needs")],
  ["time", /minutes to read/, (n) => edit(top(n), /\d+ minutes to read/, "a while to read")],
  ["time", /how long it runs/, (n) => edit(top(n), /(\*\*Time\*\*: \d+ minutes to read)[^\n]*?\./, "$1.")],
  ["time", /quick form took 75 s/, () => {}, { quickSeconds: 75 }],
  [
    "predict",
    /^1 prediction, 2 are wanted/,
    (n) => {
      tagged(n, "predict").metadata = {};
    },
  ],
  [
    "predict",
    /no later cell shows the guess/,
    (n) => {
      for (const data of bundlesWith(n, "text/plain"))
        data["text/plain"] = data["text/plain"].replace("Measured: ", "");
    },
  ],
  [
    "setup",
    /0 cells with the tag "setup"/,
    (n) => {
      tagged(n, "setup").metadata = {};
    },
  ],
  [
    "setup",
    /no seed/,
    (n) => {
      for (const cell of n.cells) cell.source = cell.source.replaceAll(/\bseed\b/g, "start");
    },
  ],
  [
    "setup",
    /tag "parameters"/,
    (n) => {
      tagged(n, "parameters").metadata = {};
    },
  ],
  [
    "setup",
    /imports on its own/,
    (n) => {
      n.cells.filter(isCode).at(-1)!.source += '\nconst fs = await import("node:fs");';
    },
  ],
  [
    "setup",
    /fetch\( reaches outside/,
    (n) => {
      n.cells.filter(isCode).at(-1)!.source += '\nawait fetch("x");';
    },
  ],
  [
    "setup",
    /"\/home\/ reaches outside/,
    (n) => {
      n.cells.filter(isCode).at(-1)!.source += '\nconst data = "/home/me/x";';
    },
  ],
  [
    "size",
    /code cells, 10 to 30/,
    (n) => {
      n.cells.push(...Array.from({ length: 25 }, (_, i) => ({ ...n.cells.filter(isCode).at(-1)!, id: `more-${i}` })));
    },
  ],
  [
    "size",
    /median cell has/,
    (n) => {
      for (const cell of n.cells.filter(isCode)) cell.source += "\n//".repeat(12);
    },
  ],
  [
    "size",
    /lines, 25 are the limit/,
    (n) => {
      tagged(n, "parameters").source += "\n//".repeat(30);
    },
  ],
  [
    "size",
    /no text before them/,
    (n) => remove(n, ...n.cells.filter((cell, i) => !isCode(cell) && i > 0 && !/^## /m.test(cell.source))),
  ],
  [
    "size",
    /words of text, 400 to 1500/,
    (n) => {
      top(n).source += " word".repeat(2000);
    },
  ],
  [
    "figures",
    /figures, 3 are wanted/,
    (n) => {
      for (const data of bundlesWith(n, "application/vnd.plotly.v1+json"))
        delete data["application/vnd.plotly.v1+json"];
    },
  ],
  [
    "figures",
    /a figure has no image\/png/,
    (n) => {
      delete figure(n)["image/png"];
    },
  ],
  [
    "figures",
    /a figure has no caption/,
    (n) => {
      delete figure(n)["application/vnd.plotly.v1+json"].layout.title.subtitle;
    },
  ],
  [
    "figures",
    /a figure has no title of x/,
    (n) => {
      figure(n)["application/vnd.plotly.v1+json"].layout.xaxis.title.text = " ";
    },
  ],
  [
    "figures",
    /the outputs have \d+ kB/,
    (n) => {
      figure(n)["image/png"] = "x".repeat(600_000);
    },
  ],
  [
    "change",
    /no table puts a baseline/,
    (n) => {
      for (const data of bundlesWith(n, "text/html"))
        data["text/html"] = data["text/html"].replaceAll(/\[[kM]B\]/g, "");
    },
  ],
  [
    "claims",
    /that check something/,
    (n) => {
      for (const cell of n.cells.filter(isCode))
        cell.source = cell.source.replaceAll(/\b(claim|check|observed)\(/g, "look(");
    },
  ],
  [
    "claims",
    /it has no claim/,
    (n) => {
      for (const data of bundlesWith(n, "application/vnd.claim+json")) delete data["application/vnd.claim+json"];
    },
  ],
  ["claims", /does not hold/, (n) => Object.assign(stored(n), { pass: false, kind: "exact" })],
  [
    "claims",
    /has no kind/,
    (n) => {
      delete stored(n).kind;
    },
  ],
  [
    "claims",
    /has no title/,
    (n) => {
      delete stored(n).title;
    },
  ],
  ["claims", /is of a quick run/, (n) => Object.assign(stored(n), { mode: "quick" })],
  ["exercises", /^0 exercises, 2 are wanted/, (n) => edit(withText(n, "## Exercises"), "## Exercises", "## Tasks")],
  [
    "exercises",
    /exercise 1 has no kind and no minutes/,
    (n) => edit(withText(n, "## Exercises"), / \(\d+ minutes\)/, ""),
  ],
  [
    "exercises",
    /two exercises are of the same kind/,
    (n) => edit(withText(n, "## Exercises"), "**3. Find the bug", "**3. Turn a value"),
  ],
  [
    "exercises",
    /exercise 1 has no folded solution/,
    (n) => edit(withText(n, "## Exercises"), "<summary>Solution", "<summary>Result"),
  ],
  ["exercises", /no exercise has a hint/, (n) => edit(withText(n, "## Exercises"), "<summary>Hint", "<summary>Note")],
  [
    "exercises",
    /solution-1 does not compile: line 1: TS2304/,
    (n) =>
      edit(
        withText(n, "## Exercises"),
        "<details><summary>Solution</summary>",
        "<details><summary>Solution</summary>\n\n```ts\nnothingOfTheSort();\n```\n",
      ),
  ],
  [
    "failure",
    /nothing fails on purpose/,
    (n) => {
      tagged(n, "raises-exception").metadata = {};
    },
  ],
  [
    "failure",
    /which error is expected/,
    (n) => {
      tagged(n, "raises-exception").metadata = { tags: ["raises-exception"] };
    },
  ],
  [
    "failure",
    /no repair follows/,
    (n) => {
      codeAfter(n, tagged(n, "raises-exception")).metadata = { tags: ["raises-exception", "expect:Error"] };
    },
  ],
  [
    "copy",
    /nothing to copy/,
    (n) => {
      tagged(n, "copy").metadata = {};
    },
  ],
  [
    "copy",
    /it imports \.\/kit\/index\.ts/,
    (n) => {
      tagged(n, "copy").source = `import { claim } from "./kit/index.ts";\n${tagged(n, "copy").source}`;
    },
  ],
  [
    "copy",
    /alone it does not compile: line \d+: TS2304/,
    (n) => {
      tagged(n, "copy").source += "\nseed;";
    },
  ],
  ["closing", /key points, 3 are wanted/, (n) => edit(withText(n, "## Key points"), "## Key points", "## Summary")],
  ["closing", /references with a year/, (n) => edit(withText(n, "**References.**"), "**References.**", "References.")],
  [
    "closing",
    /link to nowhere\.ipynb leads/,
    (n) => {
      top(n).source += " [x](nowhere.ipynb)";
    },
  ],
  [
    "closing",
    /what comes next/,
    (n) => {
      for (const cell of n.cells) cell.source = cell.source.replaceAll("**Next", "Next");
    },
  ],
  ["closing", /no table of their symbols/, (n) => edit(withText(n, "| symbol |"), /^\|.*$/gm, "")],
  [
    "closing",
    /names `vocabularySize`, which no cell has/,
    (n) => edit(withText(n, "| symbol |"), "`vocab`", "`vocabularySize`"),
  ],
  [
    "order",
    /not run once, from top to bottom/,
    (n) => {
      n.cells.filter(isCode)[2]!.execution_count = 99;
    },
  ],
  [
    "order",
    /it shows an error/,
    (n) => {
      tagged(n, "parameters").outputs = [{ output_type: "error", ename: "Error", evalue: "", traceback: [] }];
    },
  ],
  [
    "order",
    /error that is expected is not among/,
    (n) => {
      tagged(n, "raises-exception").outputs = [];
    },
  ],
  [
    "order",
    /code has changed since/,
    (n) => {
      tagged(n, "parameters").source += "\nconst more = 1;";
    },
  ],
  [
    "order",
    /a cell is named 0a1b2c3d/,
    (n) => {
      n.cells[3]!.id = "0a1b2c3d";
    },
  ],
  [
    "finished",
    /"TODO: say why" is left to do/,
    (n) => {
      top(n).source += "\n\nTODO: say why";
    },
  ],
];

describe("npm run lint:notebooks", () => {
  const folder = temporaryFolder();

  for (const path of notebooksIn(notebooks)) {
    it(`${basename(path)} scores 90 or more`, () => {
      const result = lint(path);
      assert.ok(result.score >= 90, scoreLines(result).join("\n"));
    }).timeout(120_000);
  }

  it("a notebook that is whole loses nothing by these rules", () => {
    const { deductions } = lint(good, { types: false });
    assert.deepEqual(
      deductions.filter(({ rule, what }) => breaks.some(([name, text]) => name === rule && text.test(what))),
      [],
    );
  });

  for (const [rule, what, how, options] of breaks) {
    it(`${rule}: ${what.source}`, () => {
      const notebook = readNotebook(good);
      how(notebook);
      // What the compiler has to say is asked only where it is the point.
      const { score, deductions } = lint(good, { types: /compile/.test(what.source), ...options }, notebook);
      const found = deductions.find((each) => each.rule === rule && what.test(each.what));
      assert.ok(found, JSON.stringify(deductions, null, 1));
      assert.ok(found.points > 0 && found.mend.length > 10 && score < 100);
    }).timeout(120_000);
  }

  it("each rule is broken above, and together they are 100 points", () => {
    assert.deepEqual(
      [...new Set(breaks.map(([rule]) => rule))],
      rules.map(({ name }) => name),
    );
    assert.equal(
      rules.reduce((sum, { points }) => sum + points, 0),
      100,
    );
  });

  it("no rule takes more than its points; an empty notebook has nearly none", () => {
    const path = folder.make("02-empty", ["# nothing", "1"]);
    const { score, deductions } = lint(path);
    for (const { name, points } of rules) {
      const taken = deductions.filter(({ rule }) => rule === name).reduce((sum, each) => sum + each.points, 0);
      assert.ok(taken <= points, `${name} takes ${taken} of ${points}`);
    }
    assert.ok(score < 35, String(score));
  }).timeout(120_000);

  it("00 has its own measure: no table of times, one prediction", () => {
    const path = join(notebooks, "00-start-here.ipynb");
    const notebook = readNotebook(path);
    const rulesOf = (file: string) => lint(file, { types: false }, notebook).deductions.map(({ rule }) => rule);
    assert.ok(!rulesOf(path).includes("change"));
    assert.ok(rulesOf(join(notebooks, "02-other.ipynb")).includes("change"));
  });

  it("as a course they need each other in one direction only, and are quick together", () => {
    assert.deepEqual(lintSet(notebooksIn(notebooks)), []);
    const needing = (name: string, other: string) =>
      folder.make(name, [`# ${name}\n\n**Needs**: [x](${other}.ipynb), [y](01-nowhere.ipynb).`]);
    const chain = [needing("40-a", "41-b"), needing("41-b", "42-c"), needing("42-c", "00-start-here")];
    assert.deepEqual(lintSet(chain), []);
    const circle = [...chain.slice(0, 2), needing("43-c", "40-a"), needing("42-c", "40-a")];
    assert.deepEqual(lintSet(circle), [
      '40-a.ipynb -> 41-b.ipynb -> 42-c.ipynb -> 40-a.ipynb need each other: say "**Needs**" in one direction only',
    ]);
    const times = new Map(chain.map((path) => [path, 301]));
    assert.match(lintSet([], times)[0]!, /^the quick forms take 903 s together, 900 are the limit/);
  });

  it("`npm run notebooks -- --write` marks a notebook with the code that was run", () => {
    const path = folder.make("44-ran", ["# text", "1 + 1"]);
    assert.equal(isStale(readNotebook(path)), true);
    const args = [join(root, "kernel/run/cli.ts"), "--write", "--reports", join(folder.path, "reports"), path];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
    const notebook = readNotebook(path);
    assert.equal(isStale(notebook), false);
    notebook.cells[0]!.source = "# another text";
    assert.equal(isStale(notebook), false);
    notebook.cells[1]!.source = "1 + 2";
    assert.equal(isStale(notebook), true);
  }).timeout(120_000);

  it("outputs that were made by other code are stale", () => {
    const notebook = readNotebook(good);
    const isTold = () =>
      lint(good, { types: false }, notebook).deductions.some(({ what }) => /has changed since/.test(what));
    assert.equal(isTold(), false);
    edit(cellOf(notebook, "parameters"), /$/, " // again");
    assert.equal(isTold(), true);
    Object.assign(notebook, markRan(notebook));
    assert.equal(isTold(), false);
  });

  it("the command tells scores, deductions and how to mend them, and its exit code is the verdict", () => {
    const report = join(folder.path, "notebooks.json");
    const slow = [{ name: "02-empty", seconds: 61 }];
    writeFileSync(report, JSON.stringify({ mode: "quick", notebooks: slow }));
    const run = (...args: string[]) => {
      const tool = join(notebooks, "tools/lint.ts");
      const { stdout, stderr, status } = spawnSync(process.execPath, [tool, ...args], { encoding: "utf8" });
      return { text: stdout + stderr, status };
    };
    const empty = folder.make("02-empty", ["# nothing", "1"]);
    const low = run(empty, "--report", report);
    assert.equal(low.status, 1);
    assert.match(low.text, /^02-empty\.ipynb: [\d.]+ of 100\n {2}-2 opening \(c1\): no question/);
    assert.match(low.text, /-6 time: the quick form took 61 s\. To mend: give `quick` less to do/);
    assert.match(low.text, /1 notebook, [\d.]+ on average, 1 below 90\nquick runs: 61 s in all/);
    writeFileSync(report, JSON.stringify({ mode: "full", notebooks: slow }));
    const full = run(empty, "--report", report);
    assert.equal(full.status, 2);
    assert.match(full.text, /is of a full run; npm run notebooks -- --quick writes one of a quick run/);
    const missing = run("99-nothing");
    assert.equal(missing.status, 2);
    assert.match(missing.text, /there is no notebook 99-nothing; looked for /);
  }).timeout(180_000);
});
