// Notebooks as source: there and back is the same notebook, and errors in cells are found without running them.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import ts from "typescript";
import { type Cell, isCode, type Notebook, readNotebook, writeNotebook } from "../../kernel/run/notebook.ts";
import { checkStyle, checkTypes, formatted, withSolutions } from "../../notebooks/tools/cells.ts";
import { notebooksIn, told } from "../../notebooks/tools/nb.ts";
import { fromSource, placed, SourceError, toSource, withOutputs } from "../../notebooks/tools/source.ts";
import { notebookOf, temporaryFolder } from "../made.ts";

const notebooks = join(import.meta.dirname, "../../notebooks");

/** What a source keeps: all but outputs and execution counts. */
const kept = (notebook: Notebook): Notebook => ({
  ...notebook,
  cells: notebook.cells.map((cell) => (isCode(cell) ? { ...cell, outputs: [], execution_count: null } : cell)),
});
const thereAndBack = (notebook: Notebook) => fromSource(toSource(notebook), "made.ts");

describe("notebooks as source", () => {
  it("there and back is the same notebook, for each of ours", () => {
    for (const path of notebooksIn(notebooks)) {
      const notebook = readNotebook(path);
      assert.deepEqual(thereAndBack(notebook), kept(notebook), path);
    }
  });

  it("there and back is the same notebook, for any cells, tags and metadata", () => {
    const strange = [
      "// %% [markdown]",
      "// %%",
      "//$ x",
      "//$$",
      "%% x",
      "%time f()",
      "!ls -l | head",
      "%%bash",
      "%%js",
      "%%time",
      "// ---",
      "",
      " ",
      "// x",
      "//",
      "const a = `",
      "`;",
      "a\r",
      "\u2028",
      "\\",
      '"',
      "# title",
      "// jupyter: {}",
    ];
    const text = fc.oneof(
      fc
        .array(fc.oneof(fc.constantFrom(...strange), fc.string({ unit: "binary" })), { maxLength: 6 })
        .map((all) => all.join("\n")),
      fc.string({ unit: "grapheme" }),
    );
    const key = fc.oneof(
      fc.constantFrom("id", "source", "metadata", "attachments", "tags-x", "a b", "__proto__"),
      fc.string(),
    );
    // What JSON cannot hold, such as -0, no notebook has.
    const metadata = fc.dictionary(key, fc.jsonValue()).map((made) => JSON.parse(JSON.stringify(made)));
    const cell = fc
      .record({
        type: fc.constantFrom("code", "markdown", "raw"),
        text,
        metadata,
        tags: fc.option(fc.array(fc.string())),
      })
      .map(
        ({ type, text: source, metadata: made, tags }): Cell => ({
          cell_type: type as Cell["cell_type"],
          metadata: tags === null ? made : { ...made, tags },
          source,
          ...(type === "code" ? { outputs: [], execution_count: null } : {}),
          ...(type === "markdown" && source.length % 3 === 0
            ? { attachments: { "a.png": { "image/png": "iVBO\u2028" } } }
            : {}),
        }),
      );
    const whole = fc.record({ cells: fc.array(cell, { maxLength: 5 }), metadata, minor: fc.constantFrom(4, 5) });
    fc.assert(
      fc.property(whole, ({ cells, metadata: made, minor }) => {
        const notebook: Notebook = {
          nbformat: 4,
          nbformat_minor: minor,
          metadata: made,
          cells: cells.map((each, i) => (minor === 5 ? { ...each, id: `c-${i}` } : each)),
        };
        assert.deepEqual(thereAndBack(notebook), notebook);
      }),
      { numRuns: 1000 },
    );
  }).timeout(120_000);

  it("looks as editors know it; magic lines are comments, so that the file is TypeScript", () => {
    const notebook = notebookOf([
      { source: "# Title\n\ntext", id: "title" },
      { source: "%time const x = 1;\n!ls -la /\nx % 2", id: "magic", tags: ["parameters"] },
      { source: "%%bash\nls | wc", id: "shell" },
      { source: "// %% not a cell\n7", id: "last" },
    ]);
    const { text, places } = placed(notebook);
    assert.deepEqual(text.split("\n"), [
      "// ---",
      "// jupyter:",
      '//   {"kernelspec":{"name":"whetstone","language":"typescript"}}',
      "// ---",
      "",
      '// %% [markdown] id="title"',
      "// # Title",
      "//",
      "// text",
      "",
      '// %% id="magic" tags=["parameters"]',
      "//$ %time const x = 1;",
      "//$ !ls -la /",
      "x % 2",
      "",
      '// %% id="shell"',
      "//$ %%bash",
      "//$ ls | wc",
      "",
      '// %% id="last"',
      "//$ // %% not a cell",
      "7",
      "",
    ]);
    assert.deepEqual(
      places.map(({ start, lines }) => [start, lines]),
      [
        [7, 3],
        [12, 3],
        [17, 2],
        [21, 2],
      ],
    );
    const file = ts.createSourceFile("a.ts", text, ts.ScriptTarget.ESNext) as ts.SourceFile & {
      parseDiagnostics: object[];
    };
    assert.deepEqual(file.parseDiagnostics, []);
  });

  it("says at which line a source is no notebook", () => {
    const front = "// ---\n// jupyter:\n//   {}\n// ---\n";
    const bad: [string, RegExp][] = [
      ["1 + 1", /x\.ts:1: a notebook's source begins with two lines/],
      ["// ---\n// nbformat: 4.5\n// ---", /x\.ts:3: there is no line "\/\/ jupyter:" above/],
      ["// ---\n// jupyter:\n// ---", /x\.ts:3: there is no line "\/\/ jupyter:" above, with the metadata below it/],
      ["// ---\n// jupyter:\n//   {}\n// nbformat: 3.0\n// ---", /x\.ts:4: nbformat is "3\.0", not 4\.5/],
      ["// ---\n// jupyter:\n//   {]\n// ---", /x\.ts:3: \{\] is not JSON/],
      [`${front}\nlet a;\n// %%`, /x\.ts:6: "let a;" stands before the first/],
      [`${front}\n// %% [markdown]\ntext`, /x\.ts:7: "text" is in a text cell: each of its lines begins with "\/\/ "/],
      [`${front}\n// %% title`, /x\.ts:6: "title" is not of the form key=value/],
      [`${front}\n// %% tags=[1`, /x\.ts:6: \[1 is not JSON/],
    ];
    for (const [text, message] of bad)
      assert.throws(
        () => fromSource(text, "x.ts"),
        (error: Error) => {
          assert.ok(error instanceof SourceError);
          assert.match(error.message, message);
          return true;
        },
      );
  });

  it("keeps the outputs of cells that have not changed", () => {
    const old = notebookOf(["1", "2"]);
    const output = { output_type: "stream", name: "stdout", text: "x" } as const;
    for (const cell of old.cells) Object.assign(cell, { outputs: [output], execution_count: 3 });
    const fresh = notebookOf(["1", "2 + 0", "3"]);
    const [same, changed, added] = withOutputs(fresh, old).cells;
    assert.deepEqual([same!.outputs, same!.execution_count], [[output], 3]);
    assert.deepEqual([changed!.outputs, added!.outputs], [[], []]);
  });
});

describe("the code of cells", () => {
  const folder = temporaryFolder();

  it("has no type error and nothing for Biome to say, in each of our notebooks", () => {
    const paths = notebooksIn(notebooks);
    // With the solutions, as the lint does: what was checked once is not checked again.
    const types = paths.flatMap((path) => checkTypes(path, withSolutions(readNotebook(path))));
    const found = [...types, ...checkStyle(paths)];
    assert.deepEqual(found.map(told), []);
  }).timeout(300_000);

  it("type errors are found with their cell and line, over cells, magics and names declared again", () => {
    const path = folder.make("types", [
      "# text",
      "const x = 1;\nawait Promise.resolve(x);",
      "!ls\nconst x = 'now a text';\n%time x.length",
      "\nx.toFixed(2);",
      { source: "x.nothing", tags: ["raises-exception", "expect:TS2339"] },
      { source: "x.length", tags: ["raises-exception", "expect:TS2339"] },
      { source: "missing();", tags: ["raises-exception", "expect:Error"] },
      "%%js\nanything.goes()",
    ]);
    const found = checkTypes(path).map(({ cell, position, line, column, message }) => [
      cell,
      position,
      line,
      column,
      message,
    ]);
    assert.deepEqual(found, [
      ["c4", 4, 2, 3, "TS2551: Property 'toFixed' does not exist on type '\"now a text\"'. Did you mean 'fixed'?"],
      ["c6", 6, 1, 1, "TS2339 is expected here and does not come"],
      ["c7", 7, 1, 1, "TS2304: Cannot find name 'missing'."],
    ]);
    assert.match(
      told(checkTypes(path)[0]!),
      /types\.ipynb, cell 4 \(c4\), 2:3: TS2551: [^\n]*\n {2}2 \| x\.toFixed\(2\);\n {4}\| {3}\^+/,
    );
  }).timeout(120_000);

  it("Biome's findings are told by cell and line, and `format` mends what it can", () => {
    const path = folder.make("style", [
      "# text",
      "const a = 1;\nif (a == 1) console.log( a );",
      "let b = 2\nconsole.log(b);",
    ]);
    const told = () => checkStyle([path]).map(({ cell, line, message }) => `${cell}:${line} ${message}`);
    const before = told();
    assert.ok(
      before.some((text) => /^c2:2 lint\/suspicious\/noDoubleEquals/.test(text)),
      before.join("\n"),
    );
    assert.ok(
      before.some((text) => /^c2:2 format: the line should be "if \(a == 1\) console\.log\(a\);"/.test(text)),
      before.join("\n"),
    );
    assert.ok(
      before.some((text) => /^c3:1 lint\/style\/useConst/.test(text)),
      before.join("\n"),
    );
    const [{ notebook, cells }] = formatted([path]) as [ReturnType<typeof formatted>[0]];
    assert.deepEqual(cells, ["c2", "c3"]);
    assert.equal(notebook.cells[2]!.source, "const b = 2;\nconsole.log(b);");
    writeNotebook(path, notebook);
    assert.deepEqual(
      told().filter((text) => text.includes("format")),
      [],
    );
  }).timeout(120_000);

  it("the source of a notebook is read from where git puts it", () => {
    const path = folder.make("diff", ["1"]);
    const nameless = join(folder.path, "a8f3");
    writeFileSync(nameless, readFileSync(path));
    assert.equal(toSource(readNotebook(nameless)), toSource(readNotebook(path)));
  });
});
