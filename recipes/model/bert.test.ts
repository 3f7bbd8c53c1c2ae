// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test bert.test.ts
// In Whetstone the hidden states are compared with transformers; here, that this backend gives the same ones.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import type { Params } from "../core/params.ts";
import { rng } from "../core/rng.ts";
import {
  type BertConfig,
  bertConfig,
  classLogits,
  embed,
  forward,
  hfConfig,
  meanPool,
  mlmLogits,
  shapes,
} from "./bert.ts";

await tf.ready();
const cfg: BertConfig = { layers: 2, dim: 8, heads: 2, ffn: 16, ctx: 6, vocab: 11, types: 2, eps: 1e-12 };
const draw = (wanted: Record<string, number[]>): Params =>
  Object.fromEntries(Object.entries(wanted).map(([name, shape]) => [name, rng(1).fork(name).normal(shape, 0.5)]));
const params = draw(shapes(cfg, { classes: 3 }));
const ids = tf.tensor2d([[1, 2, 3, 4]], [1, 4], "int32");
const off = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0];

test("the hidden states of any backend", () => {
  const seen: number[] = [];
  const hidden = forward(params, cfg, ids, { hidden: (layer) => seen.push(layer) });
  assert.deepEqual(
    [hidden.shape, seen],
    [
      [1, 4, 8],
      [0, 1, 2],
    ],
  );
  assert.ok(
    off(tf.slice(hidden, [0, 3, 0], [1, 1, 4]), tf.tensor3d([[[-1.20187, 0.5134, 0.20728, -0.92845]]])) < 1e-4,
    `${hidden}`,
  );
});

test("padding changes nothing, the kind of a text does", () => {
  const padded = tf.tensor2d([[1, 2, 3, 4, 9, 9]], [1, 6], "int32");
  const mask = tf.tensor2d([[1, 1, 1, 1, 0, 0]]);
  const hidden = forward(params, cfg, padded, { mask });
  assert.ok(off(tf.slice(hidden, [0, 0, 0], [1, 4, 8]), forward(params, cfg, ids)) < 1e-5);
  assert.ok(off(meanPool(hidden, mask), tf.mean(forward(params, cfg, ids), 1)) < 1e-5);
  const vector = embed(params, cfg, padded, mask);
  assert.ok(Math.abs(tf.sum(tf.square(vector)).dataSync()[0] - 1) < 1e-5);
  const tokenTypes = tf.tensor2d([[0, 0, 1, 1]], [1, 4], "int32");
  assert.ok(off(forward(params, cfg, ids, { tokenTypes }), forward(params, cfg, ids)) > 0.1);
  assert.throws(() => forward(params, cfg, ids, { mask }), /mask is \[1,6\]/);
});

test("heads have the shapes of their answers, and configurations go to config.json and back", () => {
  const hidden = forward(params, cfg, ids);
  assert.deepEqual(classLogits(params, hidden).shape, [1, 3]);
  assert.deepEqual(mlmLogits(draw(shapes(cfg, "mlm")), cfg, hidden).shape, [1, 4, 11]);
  assert.deepEqual(bertConfig(hfConfig(cfg)), cfg);
  assert.throws(() => bertConfig({ ...hfConfig(cfg), hidden_act: "relu" }), /computes "gelu" only/);
});
