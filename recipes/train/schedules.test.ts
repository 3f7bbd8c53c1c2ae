// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test schedules.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { warmupCosine } from "./schedules.ts";

await tf.ready();

test("rises in a line to the peak, falls as half a cosine to the end, and stays there", () => {
  const rate = warmupCosine({ peak: 2, warmup: 4, steps: 24, end: 0.4 });
  const wanted = { 0: 0.4, 1: 0.8, 3: 1.6, 4: 2, 9: 1.2 + 0.8 * Math.SQRT1_2, 14: 1.2, 24: 0.4, 99: 0.4 };
  for (const [t, value] of Object.entries(wanted)) {
    const found = rate(tf.scalar(Number(t))).dataSync()[0];
    assert.ok(Math.abs(found - value) < 1e-6, `step ${t}: ${found}; wanted ${value}`);
  }
  const tenth = warmupCosine({ peak: 1, warmup: 0, steps: 5 })(tf.scalar(5)).dataSync()[0];
  assert.ok(Math.abs(tenth - 0.1) < 1e-6);
  assert.throws(() => warmupCosine({ peak: 1, warmup: 5, steps: 5 }), /warmup is 5 of 5 steps/);
});
