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

  it("multiplies matrices eagerly, in all forms, at odd and empty sizes, and carries NaN", () => {
    for (const [M, K, N] of [
      [1, 1, 1],
      [7, 5, 3],
      [33, 17, 65],
      [130, 129, 31],
      [0, 3, 2],
      [2, 0, 3],
    ]) {
      const left = Array.from({ length: M }, (_, i) => Array.from({ length: K }, (_, k) => Math.sin(7 * i + k)));
      const right = Array.from({ length: K }, (_, k) => Array.from({ length: N }, (_, j) => Math.cos(k - 5 * j)));
      if (M > 1 && K && N) left[1][0] = Number.NaN;
      const wanted = left.flatMap((row) =>
        Array.from({ length: N }, (_, j) => row.reduce((sum, x, k) => sum + x * right[k][j], 0)),
      );
      for (const [turnA, turnB] of [
        [false, false],
        [false, true],
        [true, false],
        [true, true],
      ]) {
        // biome-ignore format: a table
        const found = tf.tidy(() => {
          const a = tf.tensor2d(left.flat(), [M, K]);
          const b = tf.tensor2d(right.flat(), [K, N]);
          return tf.matMul(turnA ? tf.transpose(a) : a, turnB ? tf.transpose(b) : b, turnA, turnB);
        });
        assert.deepEqual(found.shape, [M, N]);
        found.dataSync().forEach((value, i) => {
          if (Number.isNaN(wanted[i])) assert.ok(Number.isNaN(value), `${M}x${K}x${N}: ${value} is no NaN`);
          else assert.ok(Math.abs(value - wanted[i]) < 1e-4, `${M}x${K}x${N}: ${value} is not ${wanted[i]}`);
        });
        found.dispose();
      }
    }
  });

  it("multiplies batches eagerly, in all forms, also where the leading sizes differ", () => {
    for (const [lead, M, K, N, other = lead] of [
      [[3], 5, 7, 2],
      [[2, 3], 33, 17, 9],
      [[2, 2], 64, 1, 130],
      [[1, 1], 1, 1, 1],
      [[2, 1, 2], 4, 3, 5],
      [[2, 3], 4, 5, 6, [1, 3]],
      [[2, 0], 4, 5, 6],
      [[2], 4, 0, 6],
    ] as [number[], number, number, number, number[]?][]) {
      const a = random.normal(random.key(1), [...lead, M, K]);
      const b = random.normal(random.key(2), [...other, K, N]);
      // Each sum written out.
      const wanted = tf.sum(tf.mul(tf.expandDims(a, -1), tf.expandDims(b, -3)), -2);
      const turned = (x: tf.Tensor) => {
        const axes = x.shape.map((_, i) => i);
        return tf.transpose(x, [...axes.slice(0, -2), x.rank - 1, x.rank - 2]);
      };
      for (const turnA of [false, true]) {
        for (const turnB of [false, true]) {
          const found = tf.matMul(turnA ? turned(a) : a, turnB ? turned(b) : b, turnA, turnB);
          assert.deepEqual(found.shape, wanted.shape);
          const off = found.size ? tf.max(tf.abs(tf.sub(found, wanted))).dataSync()[0] : 0;
          assert.ok(off < 1e-4, `[${lead}] ${M}x${K}x${N} ${turnA} ${turnB}: ${off}`);
        }
      }
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
