// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test seq2seq.test.ts
// In Whetstone the logits are compared with transformers; here, that this backend gives the same ones.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { rng } from "../core/rng.ts";
import {
  bucket,
  emptyCache,
  encode,
  forward,
  fromHF,
  hfConfig,
  initT5,
  step,
  type T5Config,
  t5Config,
} from "./seq2seq.ts";

await tf.ready();
const cfg: T5Config = {
  layers: 2,
  decoderLayers: 2,
  dim: 8,
  heads: 2,
  headDim: 6,
  ffn: 12,
  vocab: 11,
  mlp: "gated-gelu",
  tied: false,
  scaled: false,
  buckets: 8,
  farthest: 20,
  eps: 1e-6,
  start: 0,
};
const params = initT5(cfg, rng(1));
const source = tf.tensor2d([[1, 2, 3, 4, 5]], [1, 5], "int32");
const target = tf.tensor2d([[0, 6, 7, 8]], [1, 4], "int32");
const off = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0];

test("the logits of any backend, also one id at a time", () => {
  const whole = forward(params, cfg, source, target);
  assert.deepEqual(whole.shape, [1, 4, 11]);
  assert.ok(
    off(tf.slice(whole, [0, 3, 0], [1, 1, 4]), tf.tensor3d([[[0.05082, 1.28179, 0.48797, 2.2519]]])) < 1e-4,
    `${whole}`,
  );
  let cache = emptyCache(params, cfg, encode(params, cfg, source), { length: 4 });
  for (let t = 0; t < 4; t++) {
    const done = step(params, cfg, tf.slice(target, [0, t], [1, 1]), cache);
    assert.ok(off(done.logits, tf.slice(whole, [0, t, 0], [1, 1, 11])) < 1e-4, `position ${t}`);
    cache = done.cache;
  }
});

test("padding of the source changes nothing", () => {
  const padded = tf.tensor2d([[1, 2, 3, 4, 5, 9, 9]], [1, 7], "int32");
  const mask = tf.tensor2d([[1, 1, 1, 1, 1, 0, 0]]);
  assert.ok(off(forward(params, cfg, padded, target, { mask }), forward(params, cfg, source, target)) < 1e-5);
  assert.throws(() => forward(params, cfg, source, target, { mask }), /mask is \[1,7\]; wanted \[1,5\]/);
});

test("near distances have a number each, far ones share, and what comes later is apart", () => {
  const of = (both: boolean) => [-30, -3, -1, 0, 1, 3, 30].map((distance) => bucket(distance, 8, 20, both));
  assert.deepEqual(
    [of(true), of(false)],
    [
      [3, 2, 1, 0, 5, 6, 7],
      [7, 3, 1, 0, 0, 0, 0],
    ],
  );
});

test("version 1.0: ReLU, a tied head that is scaled; configurations and names go to Hugging Face's and back", () => {
  const old: T5Config = { ...cfg, mlp: "relu", tied: true, scaled: true };
  const weights = initT5(old, rng(2));
  const scaled = forward(weights, old, source, target);
  const plain = forward(weights, { ...old, scaled: false }, source, target);
  assert.ok(off(tf.mul(plain, 8 ** -0.5), scaled) < 1e-5);
  for (const one of [cfg, old]) assert.deepEqual(t5Config(hfConfig(one)), one);
  assert.deepEqual(Object.keys(fromHF(params, cfg)).sort(), Object.keys(params).sort());
  assert.throws(() => fromHF({ ...params, other: tf.zeros([1]) }, cfg), /"other" is not a parameter/);
});
