// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test mup.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import * as mup from "./mup.ts";
import { adamw } from "./optim.ts";

await tf.ready();
const width = mup.widths({ embed: [11, 8], inner: [8, 8], bias: [8] }, { embed: [11, 2], inner: [2, 2], bias: [2] });
const params = { embed: tf.ones([11, 8]), inner: tf.ones([8, 8]), bias: tf.ones([8]) };
const first = (x: tf.Tensor) => +x.dataSync()[0].toFixed(5);

test("inner matrices start smaller by √m and take steps smaller by m; the rest is as it was", () => {
  assert.deepEqual(width, { embed: 1, inner: 4, bias: 1 });
  const start = mup.init(params, width);
  assert.deepEqual([first(start.embed), first(start.inner), first(start.bias)], [1, 0.5, 1]);
  const optim = mup.scaled(adamw({ lr: 0.1 }), width);
  const next = optim.update(params, optim.init(start), start).params; // gradients of 1: a step of lr
  assert.deepEqual([first(next.embed), first(next.inner), first(next.bias)], [0.9, 0.475, 0.9]);
});

test("logits are divided by m, scores of attention come out as q·k √(base d) / d", () => {
  const x = tf.ones([1, 8]);
  const head = mup.head(4);
  assert.deepEqual([first(head("lm_head", x, params.inner)), first(head("other", x, params.inner))], [2, 8]);
  const query = mup.attention(2, (q: tf.Tensor) => q)(tf.ones([1, 1, 1, 8]));
  assert.equal(first(query), 0.5);
});

test("names what does not fit", () => {
  assert.throws(() => mup.widths({ w: [2] }, { v: [2] }), /"w" is in one of the two/);
  assert.throws(() => mup.widths({ w: [2] }, { w: [2, 2] }), /w is \[2\], in the base \[2,2\]/);
  assert.throws(() => mup.init({ other: tf.ones([1]) }, width), /no width is known for "other"/);
});
