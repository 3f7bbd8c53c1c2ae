// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test rope.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { frequencies, rotate, rotation } from "./rope.ts";

await tf.ready();
const close = (found: ArrayLike<number>, wanted: number[]) => {
  assert.equal(found.length, wanted.length);
  for (const [i, value] of wanted.entries()) assert.ok(Math.abs(found[i] - value) < 1e-5, `${found}; wanted ${wanted}`);
};

test("point i turns by theta^(-2i/d) a position; stretched, slow points turn slower", () => {
  close(frequencies(4, 100), [1, 0.1]);
  close(frequencies(4, 100, { type: "linear", factor: 2 }), [0.5, 0.05]);
  const llama3 = { type: "llama3", factor: 8, low: 1, high: 4, original: 100 } as const;
  // turns in 100 positions: 15.9 (fast, as it is), 1.59 (between: (1.59 - 1) / 3 of it stays), 0.159 (slow, divided by 8)
  const share = (10 / (2 * Math.PI) - 1) / 3;
  close(frequencies(6, 1000, llama3), [1, 0.1 * ((1 - share) / 8 + share), 0.00125]);
  assert.throws(() => frequencies(3), /heads are 3 wide/);
});

test("a query and a key meet by their distance alone, and lengths stay", () => {
  const turn = rotation(tf.tensor1d([0, 1, 2, 5], "int32"), frequencies(4, 100));
  const x = tf.tile(tf.tensor4d([1, 2, 3, 4], [1, 1, 1, 4]), [1, 1, 4, 1]);
  const y = rotate(x, turn);
  const at = (position: number) => tf.slice(y, [0, 0, position, 0], [1, 1, 1, 4]).dataSync();
  close(at(0), [1, 2, 3, 4]);
  // position 1: the points (1, 3) and (2, 4) turned by 1 and 0.1
  const [c, s, c2, s2] = [Math.cos(1), Math.sin(1), Math.cos(0.1), Math.sin(0.1)];
  close(at(1), [c - 3 * s, 2 * c2 - 4 * s2, 3 * c + s, 4 * c2 + 2 * s2]);
  const products = tf.reshape(tf.matMul(y, y, false, true), [4, 4]).arraySync() as number[][];
  close([products[0][1], products[3][3]], [products[1][2], 30]);
});
