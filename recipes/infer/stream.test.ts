// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test stream.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import type { Step } from "./decode.ts";
import { inPieces, stream } from "./stream.ts";

await tf.ready();

test("a text grows piece by piece; whoever stops asking stops it", async () => {
  let given = 0;
  function* ids() {
    for (const letter of "some words") {
      given++;
      yield letter.charCodeAt(0);
    }
  }
  const seen: string[] = [];
  for await (const { text, tokens } of stream(ids(), (ids) => String.fromCharCode(...ids))) {
    seen.push(text);
    if (tokens === 3) break;
  }
  assert.deepEqual(seen, ["s", "so", "som"]);
  assert.equal(given, 3);
});

test("a prompt is read in pieces of one size and the rest one by one, through the same cache", () => {
  const lengths: number[] = [];
  const step: Step<tf.Tensor> = (ids, cache) => {
    lengths.push(ids.shape[1]);
    return {
      logits: tf.cast(tf.slice(ids, [0, ids.shape[1] - 1], [1, 1]), "float32"),
      cache: tf.add(cache, tf.sum(ids)),
    };
  };
  const done = inPieces(step, 4)(tf.tensor2d([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]], undefined, "int32"), tf.scalar(0));
  assert.deepEqual(lengths, [4, 4, 1, 1]);
  assert.deepEqual([done.cache.dataSync()[0], done.logits.dataSync()[0]], [55, 10]);
});
