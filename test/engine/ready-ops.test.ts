// Ops that are kept for the next call: right results for other inputs, dtypes and attributes, after errors, and no inputs kept.
import assert from "node:assert/strict";
import { tf, useDevice, valueAndGrad } from "@whetstone/engine";
import { tensorflowBackend } from "../../engine/backend.ts";

describe("ops that are kept", () => {
  before(() => useDevice("auto"));

  it("give each call the results of its own inputs", () => {
    tf.tidy(() => {
      for (let i = 0; i < 40; i++) {
        const shape = [1 + (i % 3), 2];
        assert.deepEqual([...tf.add(tf.fill(shape, i), i + 1).dataSync()], Array(2 * shape[0]).fill(2 * i + 1));
        const ints = tf.add(tf.scalar(i, "int32"), tf.scalar(-2, "int32"));
        assert.deepEqual([ints.dtype, ints.dataSync()[0]], ["int32", i - 2]);
      }
    });
  });

  it("are told apart by attributes, also where there are more than are kept", () => {
    tf.tidy(() => {
      const x = tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]);
      for (let round = 0; round < 2; round++) {
        assert.deepEqual(tf.matMul(x, x, false, true).arraySync(), [[14, 32], [32, 77]]); // biome-ignore format: a matrix
        assert.deepEqual(tf.matMul(x, x, true, false).arraySync(), [[17, 22, 27], [22, 29, 36], [27, 36, 45]]); // biome-ignore format: a matrix
        assert.deepEqual(tf.sum(x, 0, true).shape, [1, 3]);
        assert.deepEqual(tf.sum(x, 0, false).shape, [3]);
        for (let size = 1; size <= 12; size++) {
          const image = tf.ones<tf.Rank.R4>([1, 12, 12, 1]);
          assert.deepEqual(tf.avgPool(image, size, 1, "valid").shape, [1, 13 - size, 13 - size, 1]);
          assert.equal(tf.concat(Array.from({ length: size }, (_, i) => tf.scalar(i).reshape([1]))).size, size);
        }
      }
    });
  });

  it("do not keep their inputs", function () {
    // Of glibc; elsewhere nothing says what is freed.
    const heap = tensorflowBackend()?.native.lib.memory;
    if (!heap) return this.skip();
    const held = () => process.memoryUsage.rss() - heap.keptBytes();
    const ops = [
      "abs",
      "ceil",
      "cos",
      "exp",
      "floor",
      "neg",
      "relu",
      "round",
      "sigmoid",
      "sin",
      "square",
      "tanh",
    ] as const;
    const bytes = 2 ** 25;
    const run = (size: number) => {
      for (const op of ops) tf.tidy(() => void (tf[op] as (x: tf.Tensor) => tf.Tensor)(tf.fill([size], 0.5)));
    };
    run(1);
    const before = held();
    run(bytes / 4);
    const more = held() - before;
    assert.ok(more < (bytes * ops.length) / 2, `${more} bytes more`);
  });

  it("work again after an error", () => {
    tf.tidy(() => {
      const gather = (at: number) => tf.gather(tf.tensor1d([1, 2, 3]), tf.tensor1d([at], "int32")).dataSync()[0];
      for (const at of [0, 1, 7, 2, -1, 0]) {
        if (at < 0 || at > 2) assert.throws(() => gather(at), /gather/);
        else assert.equal(gather(at), at + 1);
      }
    });
  });

  it("leave gradients as they are", () => {
    const f = (x: tf.Tensor) => tf.sum(tf.mul(tf.square(x), 3));
    for (const value of [1, 2, 5]) {
      const x = tf.tensor1d([value]);
      const { value: y, grads } = valueAndGrad(f)(x) as unknown as { value: tf.Tensor; grads: tf.Tensor };
      assert.deepEqual([y.dataSync()[0], grads.dataSync()[0]], [3 * value ** 2, 6 * value]);
      tf.dispose([x, y, grads]);
    }
  });
});
