// Matrix products that are computed in another form inside jit: the same numbers, and XLA leaves the form as it is.
import assert from "node:assert/strict";
import { jit, lowered, random, tf, useDevice } from "@whetstone/engine";

describe("products", function () {
  this.timeout(60_000);

  before(() => useDevice("cpu"));
  after(() => useDevice("auto"));

  it("gives aᵀ b in jit as eagerly, whichever is the wider, for odd sizes too", () => {
    for (const [M, K, N] of [
      [7, 5, 3],
      [2, 4, 1],
      [3, 5, 7],
      [4, 6, 4],
    ]) {
      const a = random.normal(random.key(M), [K, M]);
      const b = random.normal(random.key(N), [K, N]);
      const product = (a: tf.Tensor, b: tf.Tensor) => tf.matMul(a, b, true);
      const [found, wanted] = [jit(product)(a, b), product(a, b)];
      assert.deepEqual(found.shape, [M, N]);
      const off = tf.max(tf.abs(tf.sub(found, wanted))).dataSync()[0];
      assert.ok(off < 1e-5, `${M}x${K}x${N}: ${off}`);
    }
  });

  it("takes the smaller factor first: the gradient by a weight that makes its input narrower", () => {
    const { hlo } = lowered(
      (a: tf.Tensor, b: tf.Tensor) => tf.matMul(a, b, true),
      random.normal(random.key(1), [64, 48]),
      random.normal(random.key(2), [64, 16]),
    );
    assert.match(hlo, /f32\[16,48\]\S* dot\(/);
  });
});
