// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test likelihood.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { bitsPerByteEach, type CausalModel, choose } from "./likelihood.ts";

await tf.ready();
// A model of 3 letters in which only the last one counts: row i has the probabilities of what follows i.
const follows = [
  [0.1, 0.6, 0.3],
  [0.5, 0.25, 0.25],
  [0.05, 0.9, 0.05],
];
const model: CausalModel = {
  logits: (ids) =>
    tf.reshape(tf.gather(tf.log(tf.tensor2d(follows)), tf.reshape(ids, [-1]) as tf.Tensor1D), [...ids.shape, 3]),
  encode: (text) => Array.from(text, (letter) => "abc".indexOf(letter)),
  ctx: 4,
  batch: 2,
};

test("bits a byte are the mean of -log2 of what followed, in texts longer than the context too", () => {
  const [short, long] = bitsPerByteEach(model, [
    { lead: "a", text: "ba" },
    { lead: "a", text: "ba".repeat(8) },
  ]);
  const wanted = -(Math.log2(0.6) + Math.log2(0.5)) / 2;
  assert.ok(Math.abs(short - wanted) < 1e-5 && Math.abs(long - wanted) < 1e-5, `${short}, ${long}`);
});

test("a choice that is common after anything wins only without a neutral prompt", () => {
  const question = { prompt: "a", choices: ["b", "c"] };
  assert.deepEqual(choose(model, [question, { ...question, neutral: "c" }]), [0, 1]);
});
