// Tensors that nobody holds are freed when they are collected.
import assert from "node:assert/strict";
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
