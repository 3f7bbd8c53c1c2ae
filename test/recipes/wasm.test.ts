// The models on TensorFlow.js' own WASM backend, in a process of its own: the same numbers, gradients and cache.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";

describe("models on WASM", function () {
  this.timeout(60_000);

  it("give the numbers of the references, the same continuation, and gradients for every parameter", () => {
    const child = join(import.meta.dirname, "wasm-child.ts");
    const done = spawnSync(process.execPath, [child], { encoding: "utf8", timeout: 50_000 });
    assert.equal(done.status, 0, done.stderr);
    const { backend, off, greedy, wanted, beam, grads } = JSON.parse(done.stdout.trim().split("\n").at(-1)!);
    assert.equal(backend, "wasm");
    for (const [name, value] of Object.entries<number>(off)) assert.ok(value <= 1e-5, `${name}: ${value}`);
    assert.equal(Object.keys(off).length, 7);
    assert.deepEqual(greedy, wanted);
    assert.deepEqual(beam, wanted.slice(0, 4));
    assert.ok(grads.length === 20 && grads.every((g: number) => g > 0 && Number.isFinite(g)), `${grads}`);
  });
});
