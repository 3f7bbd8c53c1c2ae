// Runs with any backend of TensorFlow.js that has gradients: see core/grad.ts.
//   node --import @tensorflow/tfjs-layers --import @tensorflow/tfjs-backend-wasm --test probe.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { bagOfWords, classify, fitProbe } from "./probe.ts";

await tf.ready();
const skip = tf.getGradient("Add") ? false : "tfjs-core alone has no gradients: --import @tensorflow/tfjs-layers";

test("a probe on counted words learns which words tell the class", { skip }, () => {
  const texts = [
    "win money now",
    "free money",
    "meeting at noon",
    "notes of the meeting",
    "win a prize",
    "lunch at noon",
  ];
  const labels = [1, 1, 0, 0, 1, 0];
  const features = bagOfWords(texts);
  const x = features(texts);
  const probe = fitProbe(x, labels);
  assert.deepEqual(classify(probe, x), labels);
  assert.deepEqual(classify(probe, features(["money and a prize", "the meeting at lunch"])), [1, 0]);
  assert.throws(() => fitProbe(x, [1]), /1 labels for features/);
});
