// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test attention.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { rng } from "../core/rng.ts";
import { apart, attend, causal, online, windowed } from "./attention.ts";

await tf.ready();
const draw = (name: string, heads: number) => rng(1).fork(name).normal([2, heads, 6, 4]);
const [q, k, v] = [draw("q", 4), draw("k", 2), draw("v", 2)];
const mask = causal({ length: 6 });

/** The formula, in numbers of JavaScript; head h looks at the keys of head h / 2. */
function byHand(seen: (i: number, j: number) => boolean): number[] {
  const [Q, K, V] = [q, k, v].map((x) => x.arraySync() as number[][][][]);
  return Q.flatMap((heads, b) =>
    heads.flatMap((rows, h) =>
      rows.flatMap((row, i) => {
        const weights = K[b][h >> 1].map((key, j) => {
          const score = key.reduce((sum, x, n) => sum + x * row[n], 0) / Math.sqrt(4);
          return seen(i, j) ? Math.exp(score) : 0;
        });
        const all = weights.reduce((a, b) => a + b);
        return [0, 1, 2, 3].map((n) => weights.reduce((sum, w, j) => sum + (w / all) * V[b][h >> 1][j][n], 0));
      }),
    ),
  );
}

function equal(found: tf.Tensor, wanted: ArrayLike<number>) {
  assert.deepEqual(found.shape, q.shape);
  const off = found.dataSync().map((x, i) => Math.abs(x - wanted[i]));
  assert.ok(Math.max(...off) < 1e-5, `${Math.max(...off)} off`);
}

test("plain and online attention are the formula, the window is the formula with a window", () => {
  const all = byHand((i, j) => j <= i);
  equal(attend(q, k, v, mask, 0), all);
  for (const block of [1, 4, 64]) equal(online(block)(q, k, v, mask, 0), all);
  const near = byHand((i, j) => j <= i && j > i - 3);
  equal(windowed(3)(q, k, v, mask, 0), near);
  equal(attend(q, k, v, causal({ length: 6, window: 3 }), 0), near);
});

test("masks: the future, the start of a cache, documents in one row", () => {
  const rows = (x: tf.Tensor) => Array.from(x.dataSync(), (value) => Number(value < 0));
  assert.deepEqual(rows(causal({ length: 2, keys: 4, at: 1 })), [0, 0, 1, 1, 0, 0, 0, 1]);
  assert.deepEqual(rows(apart(tf.tensor2d([[0, 1, 0]], [1, 3], "int32"))), [0, 0, 0, 0, 0, 0, 1, 1, 0]);
  assert.throws(() => attend(draw("q", 3), k, v, mask, 0), /H = n G/);
  assert.throws(() => windowed(0), /window is 0/);
});
