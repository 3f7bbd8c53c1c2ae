// Tensors that nobody holds are freed when they are collected.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { setTimeout } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { jit, memory, tf, useDevice } from "@whetstone/engine";

describe("memory", function () {
  this.timeout(60_000);
  before(() => useDevice("auto"));

  it("counts tensors and bytes", () => {
    const before = memory();
    const x = tf.add(tf.zeros([256]), 1);
    assert.ok(memory().bytes >= before.bytes + 1024);
    assert.ok(memory().numTensors > before.numTensors);
    x.dispose();
  });

  it("refuses what is over the limit, with the shape, and goes on", () => {
    const run = spawnSync(process.execPath, [`${import.meta.dirname}/memory-child.ts`], {
      encoding: "utf8",
      env: { ...process.env, WHETSTONE_MEMORY_LIMIT: "2.5GB" },
    });
    assert.equal(run.status, 0, `${run.signal} ${run.stderr}`);
    const { message, peak, after, limit, impossible } = JSON.parse(run.stdout);
    assert.match(message, /^(add|fill): no memory for float32\[1024,1024,16\] \(0\.1 GB\).*memory-child\.ts:\d+/);
    assert.equal(limit, 2.5 * 2 ** 30);
    assert.ok(peak < limit, `${peak} bytes held`);
    assert.equal(after, 2 * 2 ** 20);
    const size = "float32\\[1000000,1000000\\] \\(4000.0 GB\\)";
    for (const name of ["zeros", "ones", "fill", "randomNormal", "randomUniform", "truncatedNormal", "eye", "buffer"])
      assert.match(impossible[name], new RegExp(`^${name}: no memory for ${size} .*memory-child\\.ts:\\d+`));
    assert.match(impossible.imported, new RegExp(`^zeros: no memory for ${size} .*memory-child\\.ts:\\d+`));
    assert.match(impossible.linspace, /^linspace: no memory for \[1000000000000\]: .*memory-child\.ts:\d+/);
    assert.match(impossible.tile, /^tile: no memory for \[3000000000000\]: .*memory-child\.ts:\d+/);
    assert.match(
      impossible.results,
      /^jit\(outer\): no memory for 37\.25GiB of its results .* float32\[100000,100000\] \(40\.0 GB\) at .*memory-child/,
    );
    assert.match(
      impossible.intermediate,
      /^jit\(inside\): no memory for [\d.]+GiB of .*intermediate values; the largest result is float32\[\] .*memory-child/,
    );
    assert.match(impossible.asynchronous, /^jit\(outer\): no memory for 37\.25GiB .*memory-child\.ts:\d+/);
  });

  it("collects before abandoned tensors fill the machine, in a loop that only yields", async () => {
    // A training loop whose old state is dropped: 4 GB in all, a megabyte of JavaScript.
    const step = jit((x: tf.Tensor) => tf.add(x, 1));
    let most = 0;
    let state: tf.Tensor = tf.zeros([1024, 1024, 2]);
    const before = memory().bytes;
    for (let i = 0; i < 500; i++) {
      state = step(state);
      most = Math.max(most, memory().bytes - before);
      await tf.nextFrame();
    }
    assert.equal(state.slice([0, 0, 0], [1, 1, 1]).dataSync()[0], 500);
    state.dispose();
    assert.ok(most < 1.5 * 2 ** 30, `${(most / 1e9).toFixed(1)} GB were alive at once`);
  });

  it("frees native tensors that nobody holds once they are collected", async () => {
    setFlagsFromString("--expose-gc");
    const gc = runInNewContext("gc") as () => void;
    const double = jit((x: tf.Tensor) => tf.mul(x, 2));
    const held = tf.add(tf.ones([100]), 1);
    const before = memory().numHandles!;
    for (let i = 0; i < 200; i++) double(tf.add(tf.tensor(new Float32Array(100).fill(i)), held));
    assert.ok(memory().numHandles! >= before + 600);
    for (let i = 0; i < 20 && memory().numHandles! > before + 20; i++) {
      gc();
      await setTimeout(5);
    }
    assert.ok(memory().numHandles! <= before + 20, `${memory().numHandles} handles, ${before} before`);
    assert.equal(held.dataSync()[0], 2);
  });
});
