// The engine is loaded a second time into one process, as a notebook does when a file of the engine was edited.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

describe("loading the engine again", function () {
  this.timeout(60_000);
  // Inside the clone: node_modules and TensorFlow are found from there.
  const engine = join(import.meta.dirname, "../../engine");
  const folder = mkdtempSync(join(engine, "../.setup/engine-again-"));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("works on with tensors, variables and programs of both", () => {
    cpSync(engine, folder, { recursive: true, filter: (file) => !file.includes("node_modules") });
    const child = spawnSync(
      process.execPath,
      [join(import.meta.dirname, "reload-child.ts"), join(folder, "index.ts")],
      { encoding: "utf8" },
    );
    assert.deepEqual([child.status, child.signal], [0, null], child.stderr);
    assert.equal(child.stderr, "", "nothing is complained about");
    const { message, assign, ...found } = JSON.parse(child.stdout);
    assert.deepEqual(found, {
      first: [5, 5, 5],
      another: true,
      oldTensor: [4, 4, 4],
      oldVariable: [3, 3, 3],
      oldFunction: [9, 9, 9],
      asynchronous: [4, 4, 4],
      grads: [2, 2, 2],
      einsum: [4],
    });
    assert.match(message, /^add: Incompatible shapes: \[2,3\] vs\. \[4\] .*reload-child\.ts:\d+\)?$/);
    assert.match(assign, /cannot assign to the variable/);
  });
});
