// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test gpt.test.ts
// In Whetstone the logits are compared with transformers; here, that this backend gives the same ones.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { valueAndGrads } from "../core/grad.ts";
import { crossEntropy } from "../core/ops.ts";
import type { Params } from "../core/params.ts";
import { rng } from "../core/rng.ts";
import { countParams, emptyCache, flops, forward, fromHF, type GPTConfig, initGPT, step, toHF } from "./gpt.ts";

await tf.ready();
const base = { layers: 2, dim: 16, heads: 4, ctx: 8, vocab: 11 };
const models: Record<string, GPTConfig> = {
  gpt2: base,
  llama: { ...base, family: "llama", kvHeads: 2, ffn: 24 },
  mixed: { ...base, mlp: "relu2", norm: "rms", positions: "rotary", bias: false, window: 3 },
};
const ids = tf.tensor2d([[1, 2, 3, 4, 5, 6, 7, 8]], [1, 8], "int32");
const skip = tf.getGradient("Add") ? false : "tfjs-core alone has no gradients: --import @tensorflow/tfjs-layers";
const off = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0];
/** Weights far from the start, so that no part is lost beside the others. */
const large = (cfg: GPTConfig): Params =>
  Object.fromEntries(Object.entries(initGPT(cfg, rng(1))).map(([name, w]) => [name, w.rank === 2 ? tf.mul(w, 10) : w]));

const logits: Record<string, number[]> = {
  gpt2: [-1.02926, -0.28936, 1.91164, -0.17368],
  llama: [0.59816, 1.2057, 0.18192, -1.07738],
  mixed: [0.28536, 1.06829, 0.80723, 1.14745],
};

for (const [name, cfg] of Object.entries(models)) {
  const params = large(cfg);
  test(`${name}: the logits of any backend, also one id at a time`, () => {
    const whole = forward(params, cfg, ids);
    assert.deepEqual(whole.shape, [1, 8, 11]);
    const last = tf.slice(whole, [0, 7, 0], [1, 1, 11]);
    assert.ok(off(tf.slice(last, [0, 0, 0], [1, 1, 4]), tf.tensor3d([[logits[name]]])) < 1e-4, `${last}`);
    let cache = emptyCache(cfg);
    for (let t = 0; t < 8; t++) {
      const done = step(params, cfg, tf.slice(ids, [0, t], [1, 1]), cache);
      assert.ok(off(done.logits, tf.slice(whole, [0, t, 0], [1, 1, 11])) < 1e-4, `position ${t}`);
      cache = done.cache;
    }
  });

  test(`${name}: every parameter has a gradient, and a step along it lowers the loss`, { skip }, () => {
    const loss = (p: Params) => crossEntropy(forward(p, cfg, ids), ids);
    const { value, grads } = valueAndGrads(loss)(params);
    assert.deepEqual(Object.keys(grads), Object.keys(params));
    for (const [name, grad] of Object.entries(grads)) assert.ok(tf.max(tf.abs(grad)).dataSync()[0] > 0, name);
    const stepped = Object.fromEntries(
      Object.entries(params).map(([name, w]) => [name, tf.sub(w, tf.mul(grads[name], 1e-2))]),
    );
    assert.ok(loss(stepped).dataSync()[0] < value.dataSync()[0]);
  });
}

test("sizes are those of the parameters, names go to Hugging Face's and back", () => {
  const params = initGPT(base, rng(1));
  assert.equal(countParams(base), 11 * 16 + 8 * 16 + 2 * (12 * 256 + 13 * 16) + 32);
  assert.equal(flops(base, { length: 8 }), 2 * 8 * (2 * 12 * 256 + 11 * 16) + 4 * 2 * 64 * 16);
  const file = toHF(params);
  const { params: back, cfg } = fromHF(file, 4);
  assert.equal(cfg.layers, 2);
  for (const [name, w] of Object.entries(params)) assert.equal(off(back[name], w), 0, name);
  assert.throws(() => forward(params, base, tf.zeros([1, 9])), /T <= ctx = 8/);
  assert.throws(() => forward(params, { ...base, heads: 3 }, ids), /dim 16 is not a multiple of heads 3/);
});
