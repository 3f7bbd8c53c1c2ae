// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test optim.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import type { Params } from "../core/params.ts";
import { adamw, type Optimizer, sgd } from "./optim.ts";

await tf.ready();

/** Weights after two steps with the gradients 0.5 and -0.2, from 1; w is a matrix, b a bias. */
function twoSteps<S>(optim: Optimizer<S>): number[] {
  let params: Params = { w: tf.ones([1, 1]), b: tf.ones([1]) };
  let state = optim.init(params);
  for (const g of [0.5, -0.2])
    ({ params, state } = optim.update({ w: tf.fill([1, 1], g), b: tf.fill([1], g) }, state, params));
  return [params.w, params.b].map((x) => x.dataSync()[0]);
}

function near(found: number[], wanted: number[]) {
  for (const [i, value] of found.entries()) assert.ok(Math.abs(value - wanted[i]) < 1e-6, `${found}; wanted ${wanted}`);
}

test("SGD: plain, with momentum, with Nesterov's, with decay", () => {
  near(twoSteps(sgd({ lr: 0.1 })), [0.97, 0.97]);
  near(twoSteps(sgd({ lr: 0.1, momentum: 0.9 })), [0.925, 0.925]); // m: 0.5, 0.25
  near(twoSteps(sgd({ lr: 0.1, momentum: 0.9, nesterov: true })), [0.9025, 0.9025]);
  near(twoSteps(sgd({ lr: 0.1, decay: 0.1 })), [0.9506, 0.9506]);
});

test("AdamW: the first step is lr, matrices decay and biases do not", () => {
  // m: 0.05, 0.025 over 0.1, 0.19; v: 2.5e-4, 2.8975e-4 over 0.001, 0.001999
  const second = 0.1 * (0.025 / 0.19 / Math.sqrt(2.8975e-4 / 0.001999));
  near(twoSteps(adamw({ lr: 0.1 })), [0.9 - second, 0.9 - second]);
  near(twoSteps(adamw({ lr: 0.1, decay: 0.5 })), [0.85 * 0.95 - second, 0.9 - second]);
});

test("a rate that is given holds, and what has no gradient stays", () => {
  const optim = sgd({ lr: 0.1 });
  const params = { w: tf.ones([1]), v: tf.ones([1]) };
  const next = optim.update({ w: tf.ones([1]) }, optim.init(params), params, tf.scalar(0.5));
  assert.deepEqual([next.params.w.dataSync()[0], next.params.v.dataSync()[0]], [0.5, 1]);
  assert.throws(() => adamw().update({ v: tf.ones([1]) }, adamw().init({ w: tf.ones([1]) }), params), /no state for v/);
});
