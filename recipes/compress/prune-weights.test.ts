// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test prune-weights.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { compose } from "../core/linear.ts";
import {
  applyMasks,
  cubic,
  globalMagnitude,
  inputNorms,
  magnitude,
  maskLinear,
  packBitmask,
  unpackBitmask,
  wanda,
} from "./prune-weights.ts";

await tf.ready();
const w = tf.tensor2d([1, -4, 2, 3, 0.5, -0.1, 6, -5], [2, 4]);
const numbers = (x: tf.Tensor) => Array.from(x.dataSync(), (value) => value + 0); // -0 is 0

test("the smallest weights go: of a matrix, of many, of each row by its inputs", () => {
  assert.deepEqual(numbers(magnitude(w, 0.5)), [0, 1, 0, 1, 0, 0, 1, 1]);
  assert.deepEqual(numbers(magnitude(tf.ones([4]), 0.25)), [0, 1, 1, 1]); // of equal ones the first
  const masks = globalMagnitude({ w, v: tf.tensor1d([0.2, 9]) }, ["w", "v"], 0.3);
  assert.deepEqual(
    [numbers(masks.w), numbers(masks.v)],
    [
      [1, 1, 1, 1, 0, 0, 1, 1],
      [0, 1],
    ],
  );
  assert.deepEqual(numbers(wanda(w, tf.tensor1d([10, 1, 1, 1]), 0.5)), [1, 1, 0, 0, 0, 0, 1, 1]);
  assert.throws(() => wanda(w, tf.ones([3]), 0.5), /norms are \[3\], w is \[2,4\]/);
  assert.throws(() => magnitude(w, 1.5), /sparsity is 1.5/);
});

test("the norms of a layer's inputs are those over all passes", () => {
  const x = tf.tensor2d([3, 0, 1, 2, 4, 0, 1, 2], [2, 4]);
  const norms = inputNorms((linear) => [linear("up", x, w), linear("up", x, w)]);
  const wanted = [5, 0, Math.SQRT2, Math.sqrt(8)].map((norm) => norm * Math.SQRT2);
  for (const [i, norm] of numbers(norms["up.weight"]).entries()) assert.ok(Math.abs(norm - wanted[i]) < 1e-5);
});

test("masks make weights zero, in the parameters or on the way through the model", () => {
  const mask = magnitude(w, 0.5);
  const pruned = applyMasks({ "up.weight": w, "up.bias": tf.ones([2]) }, { "up.weight": mask });
  assert.deepEqual(numbers(pruned["up.weight"]), [0, -4, 0, 3, 0, 0, 6, -5]);
  assert.deepEqual(numbers(pruned["up.bias"]), [1, 1]);
  const y = compose(maskLinear({ "up.weight": mask }))("up", tf.ones([1, 4]), w);
  assert.deepEqual(numbers(y), [-1, 1]);
  assert.throws(() => applyMasks({ w }, { v: mask }), /No parameter "v"/);
});

test("the schedule rises from start to end, and a pruned matrix is packed without loss", () => {
  const share = (step: number) => cubic(step, { final: 0.75, initial: 0.25, start: 10, end: 20 });
  assert.deepEqual([0, 10, 15, 25].map(share), [0.25, 0.25, 0.6875, 0.75]);
  const packed = packBitmask(tf.mul(w, magnitude(w, 0.5)));
  assert.equal(packed.length, 1 + 4 * 4);
  assert.deepEqual(numbers(unpackBitmask(packed, [2, 4])), [0, -4, 0, 3, 0, 0, 6, -5]);
  assert.throws(() => unpackBitmask(packed.subarray(1), [2, 4]), /16 bytes; wanted/);
});
