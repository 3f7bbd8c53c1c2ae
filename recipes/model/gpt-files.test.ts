// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test gpt-files.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { shapes } from "./gpt-config.ts";
import { fromHF, toHF } from "./gpt-files.ts";

await tf.ready();
const cfg = { layers: 1, dim: 4, heads: 2, ctx: 3, vocab: 5 };
const params = Object.fromEntries(
  Object.entries(shapes(cfg)).map(([name, shape], i) => [name, tf.add(tf.range(0, 1), tf.fill(shape, i))]),
);
params["h.0.mlp.c_fc.weight"] = tf.reshape(tf.range(0, 64), [16, 4]);

test("GPT-2's turned weights are turned to the file and back; its sizes are read off the file", () => {
  const file = toHF(params);
  assert.deepEqual(file["h.0.mlp.c_fc.weight"].shape, [4, 16]);
  const named = Object.fromEntries(Object.entries(file).map(([name, w]) => [`transformer.${name}`, w]));
  const read = fromHF(named, 2);
  assert.deepEqual(read.cfg, cfg);
  for (const [name, w] of Object.entries(params)) assert.deepEqual(read.params[name].arraySync(), w.arraySync(), name);
});

test("a shape that is wrong, and a parameter that does not belong there, are named", () => {
  const file = toHF(params);
  assert.throws(() => fromHF({ ...file, "ln_f.bias": tf.zeros([5]) }, 2), /ln_f.bias is \[5\]; wanted \[4\]/);
  assert.throws(() => fromHF({ ...file, "x.y": tf.zeros([5]) }, 2), /"x.y" is not a parameter of GPT-2/);
});
