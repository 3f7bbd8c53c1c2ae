import assert from "node:assert/strict";
import { isCode, type Notebook, tagsOf } from "../../kernel/run/notebook.ts";
import { declaresParameter, ParameterError, setParameters } from "../../kernel/run/parameters.ts";
import { notebookOf } from "../made.ts";

const declared = `// what can be changed
const steps = 200, lr = 1e-3;
let name = "adam";
const quick = Boolean(process.env.WHETSTONE_QUICK);
const mode: "sum" | "mean" = "sum";
const widths = [64, 128];
const seed: number | null = null;
const pair: [number, number] = [1, 2];
const half = steps / 2;
const label = \`\${name} \${half}\`;
const { length } = widths;
const other = { steps: 1 }.steps;`;

const label = declared.split("\n").find((line) => line.startsWith("const label"))!;
const notebook = () => notebookOf(["# text", { source: declared, tags: ["parameters"] }, "steps"]);
const injected = (made: Notebook) => made.cells.filter((cell) => tagsOf(cell).includes("injected-parameters"));
const set = (values: Record<string, string>) => injected(setParameters(notebook(), values))[0]!.source.split("\n");

describe("runner: parameters", () => {
  it("sets values of the type that the notebook's own have", () => {
    assert.deepEqual(set({ lr: "0.01" }), ["const lr: number = 0.01;"]);
    assert.deepEqual(set({ name: "sgd" }), ['let name: string = "sgd";', label]);
    assert.deepEqual(set({ name: "12" })[0], 'let name: string = "12";');
    assert.deepEqual(set({ quick: "true" }), ["const quick: boolean = true;"]);
    assert.deepEqual(set({ mode: "mean" }), ['const mode: "sum" | "mean" = "mean";']);
    assert.deepEqual(set({ widths: "[8, 9]" }), ["const widths: number[] = [8,9];", "const { length } = widths;"]);
    assert.deepEqual(set({ pair: "[3, 4]" }), ["const pair: [number, number] = [3,4];"]);
    assert.deepEqual(set({ seed: "7" }), ["const seed: number | null = 7;"]);
    assert.deepEqual(set({ seed: "null" }), ["const seed: number | null = null;"]);
  });

  it("makes again what is computed from them, and not what only looks like it", () => {
    assert.deepEqual(set({ steps: "10" }), ["const steps: number = 10;", "const half = steps / 2;", label]);
    assert.deepEqual(set({ half: "3", steps: "10" })[1], "const half: number = 3;");
  });

  it("puts one cell after that of the parameters, also when it is done again", () => {
    const once = setParameters(notebook(), { lr: "1" });
    const twice = setParameters(once, { lr: "2" });
    assert.deepEqual(
      twice.cells.map(({ id }) => id),
      ["c1", "c2", "injected-parameters", "c3"],
    );
    assert.equal(injected(twice)[0]!.source, "const lr: number = 2;");
    assert.ok(isCode(injected(twice)[0]!));
    assert.deepEqual(setParameters(once, {}), notebook());
  });

  it("refuses what does not fit, and says what would", () => {
    const refused = (values: Record<string, string>, message: RegExp, of = notebook()) =>
      assert.throws(
        () => setParameters(of, values),
        (error) => error instanceof ParameterError && message.test(error.message),
      );
    refused({ step: "1" }, /no parameter "step"; it declares: steps, lr, name, quick, mode/);
    refused({ length: "1" }, /no parameter "length"/);
    refused({ steps: "many" }, /"steps" is number; "many" is not/);
    refused({ steps: "null" }, /"steps" is number/);
    refused({ quick: "1" }, /"quick" is boolean; "1" is not/);
    refused({ mode: "max" }, /"mode" is "sum" \| "mean"; "max" is not/);
    refused({ widths: '["a"]' }, /"widths" is number\[\]/);
    refused(
      { a: "1" },
      /takes no parameters: none of its cells has the tag "parameters" \(asked for: a\)/,
      notebookOf(["1"]),
    );
    refused({ a: "1" }, /it declares none/, notebookOf([{ source: "f()", tags: ["parameters"] }]));
    refused(
      { a: "1" },
      /written in python/,
      notebookOf([{ source: "a = 1", tags: ["parameters"] }], { name: "python3", language: "python" }),
    );
  });

  it("sees whether a notebook reads the quick mode itself", () => {
    assert.equal(declaresParameter(notebook(), "quick", "WHETSTONE_QUICK"), false);
    assert.equal(declaresParameter(notebook(), "steps", "WHETSTONE_QUICK"), true);
    const plain = notebookOf([{ source: "const quick = false;", tags: ["parameters"] }]);
    assert.equal(declaresParameter(plain, "quick", "WHETSTONE_QUICK"), true);
    assert.equal(declaresParameter(notebookOf(["const quick = false;"]), "quick", "WHETSTONE_QUICK"), false);
  });
});
