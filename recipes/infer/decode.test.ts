// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test decode.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { rng } from "../core/rng.ts";
import { beam, distribution, generate, pieces, type Step } from "./decode.ts";

await tf.ready();
// A model of 4 ids in which only the last one counts: row i has the probabilities of what follows i.
const follows = [
  [0.1, 0.5, 0.4, 1e-9],
  [0.4, 0.3, 0.2, 0.1],
  [0.01, 0.01, 0.01, 0.97],
  [0.25, 0.25, 0.25, 0.25],
];
const model: Step<tf.Tensor> = (ids, cache) => {
  const last = tf.reshape(tf.slice(ids, [0, ids.shape[1] - 1], [-1, 1]), [-1]) as tf.Tensor1D;
  return {
    logits: tf.expandDims(tf.gather(tf.log(tf.tensor2d(follows)), tf.cast(last, "int32")), 1),
    cache: tf.add(cache, 1),
  };
};
const start = () => tf.zeros([1, 1]);

test("greedy takes the likeliest id until a stop; what it used is freed", () => {
  const before = tf.memory().numTensors;
  const ids = [...generate(model, start(), [0], { length: 4, room: 8, temperature: 0 })];
  assert.deepEqual(ids, [1, 0, 1, 0]);
  assert.deepEqual([...generate(model, start(), [2], { length: 4, room: 8, temperature: 0, stop: [3] })], []);
  assert.equal(tf.memory().numTensors, before);
  assert.throws(() => [...generate(model, start(), [0], { length: 9, room: 8, temperature: 0 })], /do not fit/);
  assert.throws(() => [...generate(model, start(), [0], { length: 1, room: 8 })], /give it an rng/);
});

test("ids are drawn as often as they are likely", () => {
  const count = [0, 0, 0, 0];
  const draw = rng(3);
  for (let i = 0; i < 800; i++)
    for (const id of generate(model, start(), [1], { length: 1, room: 2, rng: draw })) count[id]++;
  for (const [id, p] of follows[1].entries()) assert.ok(Math.abs(count[id] / 800 - p) < 0.06, `${count}`);
});

test("top-k, top-p and the temperature cut and bend the distribution", () => {
  const logits = follows[1].map(Math.log);
  const near = (found: { ids: number[]; probabilities: number[] }, ids: number[], probabilities: number[]) => {
    assert.deepEqual(found.ids, ids);
    for (const [i, p] of probabilities.entries()) assert.ok(Math.abs(found.probabilities[i] - p) < 1e-9);
  };
  near(distribution(logits), [0, 1, 2, 3], follows[1]);
  near(distribution(logits, { topK: 2 }), [0, 1], [4 / 7, 3 / 7]);
  near(distribution(logits, { topP: 0.75 }), [0, 1, 2], [4 / 9, 3 / 9, 2 / 9]);
  near(
    distribution(logits, { temperature: 0.5 }),
    [0, 1, 2, 3],
    [16, 9, 4, 1].map((x) => x / 30),
  );
  assert.throws(() => distribution(logits, { topK: 0 }), /topK 0/);
});

test("a beam finds the likelier text that greedy misses", () => {
  // 1 is likelier than 2 at first, but 2 3 (0.4 · 0.97) is likelier than 1 0 (0.5 · 0.4).
  const { ids, score } = beam(model, start(), [0], { length: 2, room: 4, width: 2 });
  assert.deepEqual(ids, [2, 3]);
  assert.ok(Math.abs(score - Math.log(0.4 * 0.97) / 2) < 1e-5);
});

test("texts come in whole letters and end before a stop text", () => {
  const bytes = new TextEncoder().encode("a€b. END c");
  const decode = (ids: number[]) => new TextDecoder().decode(Uint8Array.from(ids));
  assert.deepEqual([...pieces(bytes, decode)].join(""), "a€b. END c");
  assert.ok([...pieces(bytes, decode)].every((piece) => !piece.includes("\ufffd")));
  assert.equal([...pieces(bytes, decode, { stop: [" END"] })].join(""), "a€b.");
});
