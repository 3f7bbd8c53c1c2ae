// The checker that lives on, over TypeScript's internals, against ordinary programs through TypeScript's public API: the same cells must give the
// same diagnostics at the same places. In the ordinary program each cell is an async function inside the function of the cell before: names may be
// declared again, `await` is allowed, and what is narrowed in one cell is not in the next.
import { deepEqual, ok } from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ts from "typescript";
import { type Cells, createCells } from "../../kernel/compile/cells.ts";
import { createGenerator } from "./cell-sequences.ts";

let folder: string;
let living: Cells;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "cells-"));
  mkdirSync(join(folder, "lib"));
  writeFileSync(join(folder, "lib/shapes.ts"), shapes);
  living = createCells(folder);
});
after(() => rmSync(folder, { recursive: true, force: true }));

const shapes = `export interface Shape { area(): number }
export class Square implements Shape { constructor(readonly side: number) {} area() { return this.side ** 2 } }
export type Pair<T> = [T, T];
export enum Axis { X, Y }
export const origin: Pair<number> = [0, 0];
export default function swap<A, B>([a, b]: [A, B]): [B, A] { return [b, a] }
`;

interface Found {
  /** `TS2322 1:5`, sorted. */
  findings: string[];
  refused: boolean;
}

function throughLivingChecker(cells: string[]): Found[] {
  living.reset();
  return cells.map((code, i) => {
    const { diagnostics } = living.check(`In[${i + 1}]`, code);
    const findings = diagnostics.map((each) => `TS${each.code} ${each.line}:${each.column}`).sort();
    return { findings, refused: diagnostics.some(({ category }) => category === "error") };
  });
}

const libraries = new Map<string, ts.SourceFile | undefined>();

// Only what it has resolved is used again; its checker is not.
let previous: ts.Program | undefined;

/** Diagnostics of the last cell in a program of its own. */
function throughFreshProgram(earlier: string[], code: string): string[] {
  const { compiler } = living.project.options;
  const path = join(folder, "fresh.ts");
  const { text, line } = nest([...earlier, code]);
  const host = ts.createCompilerHost(compiler, true);
  const { getSourceFile } = host;
  host.getCurrentDirectory = () => folder;
  host.fileExists = (file) => file === path || ts.sys.fileExists(file);
  host.getSourceFile = (file, version, ...rest) => {
    if (file === path) return ts.createSourceFile(file, text, version, true);
    if (!libraries.has(file)) libraries.set(file, getSourceFile.call(host, file, version, ...rest));
    return libraries.get(file);
  };
  const types = join(import.meta.dirname, "../../node_modules/@types/node/index.d.ts");
  const globals = join(import.meta.dirname, "../../kernel/compile/globals.d.ts");
  const rootNames = [types, globals, path];
  const program = ts.createProgram({ rootNames, options: compiler, host, oldProgram: previous });
  previous = program;
  const file = program.getSourceFile(path)!;
  const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
  return found
    .filter(({ category }) => category === ts.DiagnosticCategory.Error)
    .map(({ code, start }) => ({ code, at: file.getLineAndCharacterOfPosition(start!) }))
    .filter(({ at }) => at.line >= line)
    .map(({ code, at }) => `TS${code} ${at.line - line + 1}:${at.character + 1}`)
    .sort();
}

const importLine = /^import\b[^\n]*$/gm;

/** The cells in one text, each in a function inside the one before, and the line where the last begins. Imports may stand at the top only. */
function nest(cells: string[]): { text: string; line: number } {
  const imports = new Set(cells.flatMap((code) => code.match(importLine) ?? []));
  const bodies = cells.map((code) => code.replace(importLine, "").replace(/\bexport /g, "       "));
  const opened = bodies.map((body, i) => `async function cell${i}$() {\n${body}`).join("\n");
  const text = `export {}; ${[...imports].join("; ")}\n${opened}\n${"}".repeat(cells.length)}\n`;
  return { text, line: text.slice(0, text.lastIndexOf(bodies.at(-1)!)).split("\n").length - 1 };
}

/** Cells that were refused are left out of the later ones, as in a notebook. */
function compare(cells: string[]): Found[] {
  const found = throughLivingChecker(cells);
  const accepted: string[] = [];
  for (const [i, code] of cells.entries()) {
    const { findings, refused } = found[i]!;
    deepEqual(
      findings,
      throughFreshProgram(accepted, code),
      `cell ${i + 1} of\n${cells.slice(0, i + 1).join("\n---\n")}`,
    );
    if (!refused) accepted.push(code);
  }
  return found;
}

/** Sequences with what each must find at least, so that two checkers that find nothing do not agree on it. */
const written: [cells: string[], wanted: string[][]][] = [
  [
    ["let rate = 0.1", "rate = 'fast'", "const rate = 'fast'", "rate.length", "rate = 2"],
    [[], ["TS2322 1:1"], [], [], ["TS2588 1:1"]],
  ],
  [
    ["function step(x: number) { return x + 1 }", "step('a')", "step(1).toFixed()", "step(1).length"],
    [[], ["TS2345 1:6"], [], ["TS2339 1:9"]],
  ],
  [
    [
      "class Layer { units = 1 }",
      "const old = new Layer()",
      "class Layer { size = 2 }",
      "old.units",
      "old.size",
      "new Layer().units",
      "let l: Layer = old",
    ],
    [[], [], [], [], ["TS2339 1:5"], ["TS2339 1:13"], ["TS2741 1:5"]],
  ],
  [
    [
      "interface Point { x: number }",
      "const Point = { x: 1 }",
      "const p: Point = Point",
      "Point.y",
      "let q: Point = { x: 'a' }",
    ],
    [[], [], [], ["TS2339 1:7"], ["TS2322 1:18"]],
  ],
  [
    ["class Both { a = 1 }", "const Both = 5", "let b: Both = { a: 2 }", "new Both()", "Both.toFixed()"],
    [[], [], [], ["TS2351 1:5"], []],
  ],
  [
    ["type Id = string", "type Id = number", "const id: Id = 'a'", "const Id = (x: Id) => x", "Id(3)", "Id('b')"],
    [[], [], ["TS2322 1:7"], [], [], ["TS2345 1:4"]],
  ],
  [
    ["enum Mode { On, Off }", "let m = Mode.On", "enum Mode { Slow = 'slow' }", "m === Mode.Slow", "Mode.On"],
    [[], [], [], ["TS2367 1:1"], ["TS2339 1:6"]],
  ],
  [
    ["let maybe: string | null = null", "maybe.length", "if (maybe) maybe.length", "maybe = 'a'", "maybe.length"],
    [[], ["TS18047 1:1"], [], [], ["TS18047 1:1"]],
  ],
  [
    ["const fixed: string | null = Math.random() > 2 ? 'a' : null", "fixed!.length", "fixed.length"],
    [[], [], ["TS18047 1:1"]],
  ],
  [
    ["let later", "later = 5", "later.toFixed()"],
    [[], [], ["TS7005 1:1"]],
  ],
  [
    ["let a = 1; let a = 2", "a"],
    [["TS2451 1:16", "TS2451 1:5"], ["TS2304 1:1"]],
  ],
  [
    ["const late = await Promise.resolve([1])", "for await (const x of late) x.toFixed()", "late[0].length"],
    [[], [], ["TS2339 1:9"]],
  ],
  [
    [
      "function over(x: string): string\nfunction over(x: number): number\nfunction over(x: any) { return x }",
      "over(1).toFixed()",
      "over(true)",
    ],
    [[], [], ["TS2769 1:6"]],
  ],
  [
    ["function id<T>(x: T): T { return x }", "id('a').length", "id(1).length", "const id = 5", "id('a')"],
    [[], [], ["TS2339 1:7"], [], ["TS2349 1:1"]],
  ],
  [
    [
      "interface Box<T> { value: T }",
      "const box: Box<number> = { value: 1 }",
      "interface Box<T> { other: T }",
      "box.value",
      "const again: Box<number> = box",
    ],
    [[], [], [], [], ["TS2741 1:7"]],
  ],
  [
    [
      "type Record = { only: 1 }",
      "const r: Record = { only: 1 }",
      "const s: Record<string, number> = {}",
      "Object.fromEntries([['a', 1]]).a",
    ],
    [[], [], ["TS2315 1:10"], []],
  ],
  [
    ["const Array = 3", "Array.from([1])", "[1].map((x) => x).length"],
    [[], ["TS2339 1:7"], []],
  ],
  [
    ["var shared = 1", "if (true) { var shared = 'a' }", "shared.length"],
    [[], [], []],
  ],
  [
    ["function implicit(x) { return x }", "implicit(1).anything"],
    [["TS7006 1:19"], []],
  ],
  [
    ["let unknownThing = nothing + 1", "console.lag('a')", "Math.flor(1)"],
    [["TS2304 1:20"], ["TS2339 1:9"], ["TS2551 1:6"]],
  ],
  [
    ["const { a, b: [c] } = { a: 1, b: ['x'] }", "a.length", "c.length", "const [a, ...rest] = [c, a]", "rest"],
    [[], ["TS2339 1:3"], [], ["TS2448 1:26", "TS7022 1:8"], ["TS2304 1:1"]],
  ],
  [
    [
      "import * as shapes from './lib/shapes'",
      "import { sep } from 'node:path'\nconst made = new shapes.Square(sep.length)",
      "made.nothing",
      "shapes.nothing",
      "const no: typeof shapes = made",
      "let yes: shapes.Pair<shapes.Axis> = [1, 0]; yes.push('a')",
    ],
    [[], [], ["TS2339 1:6"], ["TS2339 1:8"], ["TS2739 1:7"], ["TS2345 1:54"]],
  ],
  [
    [
      "import { Square, type Shape, origin } from './lib/shapes'",
      "const s: Shape = new Square(2)",
      "s.side",
      "origin[0].length",
      "new Square('a')",
    ],
    [[], [], ["TS2339 1:3"], ["TS2339 1:11"], ["TS2345 1:12"]],
  ],
  [
    [
      "import swap, * as all from './lib/shapes.ts'",
      "swap([1, 'a'])[0].length",
      "all.Axis.Z",
      "const pair: all.Pair<string> = [1, 'a']",
    ],
    [[], [], ["TS2339 1:10"], ["TS2322 1:33"]],
  ],
  [
    [
      "import { join } from 'node:path'",
      "join(1)",
      "import { readFileSync } from 'node:fs'",
      "join('a', 'b').length; readFileSync(join('a')).toFixed",
      "const join = 1",
      "join.length",
    ],
    [[], ["TS2345 1:6"], [], ["TS2339 1:48"], [], ["TS2339 1:6"]],
  ],
  [
    ["async function* gen() { yield 1 }", "for await (const g of gen()) g.length", "for (const g of gen()) g"],
    [[], ["TS2339 1:32"], ["TS2488 1:17"]],
  ],
  [
    [
      "abstract class Base { abstract f(): number }",
      "class Sub extends Base { f() { return 'a' } }",
      "class Sub extends Base { f() { return 1 } }",
      "class Base { g = 1 }",
      "new Sub().g",
    ],
    [[], ["TS2416 1:26"], [], [], ["TS2339 1:11"]],
  ],
  [
    [
      "function narrow(x: unknown): x is string { return typeof x === 'string' }",
      "let some: unknown = 1",
      "some.length",
      "if (narrow(some)) some.length",
    ],
    [[], [], ["TS18046 1:1"], []],
  ],
  [
    ["const frozen = { a: 1 } as const", "frozen.a = 2", "frozen satisfies { a: string }"],
    [[], ["TS2540 1:8"], ["TS1360 1:8"]],
  ],
  [
    ["type Tree = { kids: Tree[] }", "const t: Tree = { kids: [{ kids: [] }] }", "t.kids[0].kids[0].leaf"],
    [[], [], ["TS2339 1:19"]],
  ],
];

describe("the checker of cells", () => {
  for (const [cells, wanted] of written) {
    it(`finds what an ordinary program finds: ${cells[0]!.split("\n")[0]!.slice(0, 50)}`, () => {
      deepEqual(
        compare(cells).map(({ findings }) => findings),
        wanted,
      );
    });
  }

  it("finds what an ordinary program finds in 60 generated sequences", () => {
    const generate = createGenerator(7);
    let withFindings = 0;
    let without = 0;
    for (let i = 0; i < 60; i++) {
      for (const { findings } of compare(generate(5))) findings.length > 0 ? withFindings++ : without++;
    }
    // Neither all wrong nor all right: the sequences say something.
    ok(withFindings > 80 && without > 80, `${withFindings} cells with findings, ${without} without`);
  }).timeout(120_000);
});
