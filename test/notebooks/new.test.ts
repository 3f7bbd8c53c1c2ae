// A new notebook from the template: in a copy of the clone it runs, its test passes, and the lint names what is left to do.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { readNotebook, writeNotebook } from "../../kernel/run/notebook.ts";
import { markRan } from "../../kernel/run/ran.ts";
import { runNotebook } from "../../kernel/run/runner.ts";
import { checkStyle, checkTypes } from "../../notebooks/tools/cells.ts";
import { lint } from "../../notebooks/tools/lint.ts";
import { told } from "../../notebooks/tools/nb.ts";
import { newNotebook } from "../../notebooks/tools/new.ts";
import { temporaryFolder } from "../made.ts";

const root = join(import.meta.dirname, "../..");

describe("npm run nb -- new", () => {
  const folder = temporaryFolder();
  const copy = join(folder.path, "clone");
  const notebook = join(copy, "notebooks/12-pruning-structure.ipynb");

  before(() => {
    for (const name of ["notebooks", "recipes", "test/recipes"]) mkdirSync(join(copy, name), { recursive: true });
    // What the new files import is the clone's own.
    for (const name of ["node_modules", "data", "engine", "recipes/core", "recipes/model", "notebooks/kit"])
      symlinkSync(join(root, name), join(copy, name), "dir");
    for (const name of ["package.json", "notebooks/00-start-here.ipynb"]) cpSync(join(root, name), join(copy, name));
  });

  it("refuses names that are none, are taken, or planned otherwise", () => {
    const bad: [name: string, recipe: string | undefined, message: RegExp][] = [
      ["Pruning", undefined, /"Pruning" is no name; wanted NN-slug, such as 12-pruning-structure/],
      ["my-idea", undefined, /"my-idea" is not planned, so it needs a number: 37-my-idea/],
      ["13-pruning-structure", undefined, /pruning-structure is planned as 12-pruning-structure/],
      ["12-my-idea", undefined, /12 is planned as 12-pruning-structure; from 37 on numbers are free/],
      ["00-my-idea", undefined, /notebook 00 is there: 00-start-here\.ipynb/],
      ["37-my-idea", "../up", /"\.\.\/up" is no place of a recipe; wanted track\/name/],
      ["37-my-idea", "core/grad", /recipes\/core\/grad\.ts is there already; name another recipe/],
    ];
    for (const [name, recipe, message] of bad) assert.throws(() => newNotebook(name, recipe, copy), message);
  });

  it("writes a notebook, a recipe and a test that pass as they are; what is left to do costs points, and nothing else does", async () => {
    const lines = newNotebook("pruning-structure", undefined, copy);
    assert.deepEqual(lines.slice(0, 3), [
      "notebooks/12-pruning-structure.ipynb: written",
      "recipes/compress/pruning-structure.ts: written",
      "test/recipes/pruning-structure.test.ts: written",
    ]);
    assert.match(
      readFileSync(join(copy, "recipes/compress/pruning-structure.ts"), "utf8"),
      /export function pruningStructure\(/,
    );
    assert.deepEqual([...checkTypes(notebook), ...checkStyle([notebook])].map(told), []);

    const { result, notebook: run } = await runNotebook(notebook, { quick: true });
    assert.equal(result.isPassed, true, JSON.stringify(result.cells.filter(({ verdict }) => verdict !== "ok")));
    writeNotebook(
      notebook,
      markRan({ ...run!, cells: run!.cells.filter(({ metadata }) => !metadata.tags?.includes("injected-parameters")) }),
    );
    const { deductions } = lint(notebook);
    // The run was a quick one, and on a busy machine the kernel gives a picture up: neither is the template's doing.
    const left = deductions.filter(({ what }) => !/is of a quick run$|no image\/png/.test(what));
    assert.ok(left.length > 0 && left.every(({ rule }) => rule === "finished"), JSON.stringify(left, null, 1));

    const mocha = join(root, "node_modules/mocha/bin/mocha.js");
    const args = [mocha, "--timeout", "60000", join(copy, "test/recipes/pruning-structure.test.ts")];
    const test = spawnSync(process.execPath, args, { cwd: copy, encoding: "utf8" });
    assert.equal(test.status, 0, test.stdout + test.stderr);
    assert.match(test.stdout, /3 passing/);
    assert.throws(() => newNotebook("pruning-structure", undefined, copy), /notebook 12 is there/);
    assert.equal(readNotebook(notebook).cells.at(-1)!.id, "key-points");
  }).timeout(600_000);
});
