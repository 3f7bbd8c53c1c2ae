// The mutants: what they are, and that the share which the tests notice is measured, not assumed.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { recipes } from "../../setup/copy.mjs";
import { draw, judge, notebooksOf, testsOf, type Verdict } from "./judge.ts";
import { apply, diff, mutants } from "./mutate.ts";
import { root, Tree } from "./tree.ts";

/** What a line becomes, one text for each mutant. */
const broken = (line: string) => mutants(line).map((mutant) => apply(line, mutant));
const same = (line: string, wanted: string[]) => assert.deepEqual(broken(line).sort(), wanted.sort());
const options = { seed: 1, count: 8, notebooks: false, workers: 2 };
const trees = () => readdirSync(join(root, "reports")).filter((name) => name.startsWith("mutants-"));

describe("mutants", function () {
  this.timeout(600_000); // on a busy machine; it takes less than one

  it("are operators, constants, swapped arguments and dropped lines, everywhere", () => {
    same("const a = b < c && !d ? 2 : e;", [
      "const a = b < c || !d ? 2 : e;",
      "const a = b <= c && !d ? 2 : e;",
      "const a = b >= c && !d ? 2 : e;",
      "const a = b < c && d ? 2 : e;",
      "const a = b < c && !d ? 3 : e;",
      "const a = b < c && !d ? 0 : e;",
      "const a = b < c && !d ? (e) : (2);",
    ]);
    same("f(a, b);", ["f(b, a);", ";"]);
    same("const y = tf.add(x, tf.sum(z, -1));", [
      "const y = tf.sub(x, tf.sum(z, -1));",
      "const y = tf.add(x, tf.mean(z, -1));",
      "const y = tf.add(x, tf.sum(-1, z));",
      "const y = tf.add(x, tf.sum(z, 1));",
      "const y = tf.add(x, tf.sum(z, -2));",
      "const y = tf.add(x, tf.sum(z, -0));",
    ]);
  });

  it("leave types, imports and messages alone", () => {
    for (const line of [
      'import { a } from "b";',
      "type T = [1, 2] | true;",
      "interface T { a: 1 }",
      "const a: 1 | 2 = b;",
      "const e = new Error(f(a, b) + 2);",
    ])
      assert.deepEqual(broken(line), [], line);
    assert.deepEqual(broken("if (a) throw new FormatError(f(1, 2));"), [
      "if (true) throw new FormatError(f(1, 2));",
      "if (false) throw new FormatError(f(1, 2));",
      "if (a) ;",
    ]);
  });

  it("there are many of each recipe, of every kind, and a diff shows what was changed", () => {
    const kinds = new Set<string>();
    for (const recipe of recipes()) {
      const source = readFileSync(join(root, "recipes", `${recipe}.ts`), "utf8");
      const all = mutants(source);
      assert.ok(all.length >= 4, `${recipe} has ${all.length}`);
      for (const mutant of all) {
        kinds.add(mutant.kind);
        const [first, ...more] = diff(source, mutant).split("\n");
        assert.equal(first, `- ${source.split("\n")[mutant.line - 1]}`);
        assert.ok(more.some((line) => line.startsWith("+ ")));
      }
    }
    assert.deepEqual([...kinds].sort(), ["constant", "dropped line", "operator", "swapped arguments"]);
  });

  it("the seed draws them, and all that are drawn compile", () => {
    const source = readFileSync(join(root, "recipes/train/scaling-law.ts"), "utf8");
    const of = (seed: number, count: number) => draw("train/scaling-law", source, { seed, count });
    const all = of(1, 1000);
    assert.ok(all.length > 40 && all.length < mutants(source).length, `${all.length} compile`);
    const five = of(1, 5);
    assert.ok(five.every((one) => all.some((other) => JSON.stringify(one) === JSON.stringify(other))));
    assert.notDeepEqual(five, of(2, 5));
  });

  it("the tests of a recipe are those that import it, its own first", () => {
    assert.deepEqual(testsOf("train/scaling-law"), [
      "recipes/train/scaling-law.test.ts",
      "test/recipes/scaling-law.test.ts",
    ]);
    assert.ok(testsOf("data/parquet-pages").includes("test/recipes/read.test.ts"));
    const without = recipes().filter((recipe) => testsOf(recipe).length === 0);
    assert.deepEqual(without, []);
    assert.ok(notebooksOf("compress/prune-weights").includes("notebooks/11-pruning-weights.ipynb"));
  });

  it("its tests notice them; without its tests nobody does, and the clone stays as it is", async () => {
    const path = join(root, "recipes/train/scaling-law.ts");
    const [before, others] = [readFileSync(path), trees()];
    const noticed = async (more: object) => {
      const verdicts = await Array.fromAsync(judge(["train/scaling-law"], { ...options, ...more }));
      assert.equal(verdicts.length, options.count);
      return verdicts.filter(({ by }) => by !== undefined).length;
    };
    assert.ok((await noticed({})) > options.count / 2); // some change nothing: it is symmetric in places
    assert.equal(await noticed({ tests: [] }), 0);
    // A test of something else, too.
    assert.equal(await noticed({ tests: ["recipes/train/mup.test.ts"] }), 0);
    assert.deepEqual(readFileSync(path), before);
    assert.deepEqual(
      trees().filter((name) => !others.includes(name)),
      [],
    );
  });

  it("a test that fails without a mistake is not asked, and that is told", async () => {
    const told: string[] = [];
    const verdicts = await Array.fromAsync(
      judge(["train/scaling-law"], {
        ...{ ...options, count: 1 },
        tests: ["recipes/train/no-such.test.ts"],
        unsure: (test) => told.push(test),
      }),
    );
    assert.deepEqual([verdicts[0]!.by, told], [undefined, ["recipes/train/no-such.test.ts"]]);
  });

  it("what goes round for ever is ended with all that it started", async () => {
    const tree = new Tree();
    const forever = "setInterval(() => {}, 1e6)";
    const child = `require("node:child_process").spawn(process.execPath, ["-e", '${forever}'], { stdio: "inherit" });`;
    const { failed } = await tree.run(["-e", `${child} for (;;);`], 1).finally(() => tree.remove());
    assert.equal(failed, null);
  });

  it("as a command, names the recipe that was meant", () => {
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [join(import.meta.dirname, "run.ts"), ...args], { encoding: "utf8" });
    assert.match(run("prune-weight").stderr, /no recipe "prune-weight"; did you mean compress\/prune-weights/);
    assert.match(run("optim", "--count", "x").stderr, /--count x: a whole number from 1 on is wanted/);
    assert.equal(run("optim", "--seed", "-1").status, 2);
  });

  (process.env.WHETSTONE_SLOW ? it : it.skip)("8 of 10 are noticed, over all recipes (slow)", async function () {
    this.timeout(0);
    const verdicts: Verdict[] = [];
    for await (const verdict of judge(recipes(), { ...options, count: 12 })) verdicts.push(verdict);
    const share = verdicts.filter(({ by }) => by !== undefined).length / verdicts.length;
    assert.ok(share >= 0.8, `${share.toFixed(3)} of ${verdicts.length}; npm run mutants shows the others`);
  });
});
