// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test rnn.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { rng } from "../core/rng.ts";
import { emptyState, forward, fromTorch, initRNN, type RNNConfig, recur, step, toTorch } from "./rnn.ts";

await tf.ready();
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const off = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0];

test("one unit computes what the formulas say", () => {
  // Gates in PyTorch's order; input 2, state h 0.5, c 0.3.
  const one = (kind: RNNConfig["kind"], gates: number) => {
    const rows = (values: number[]) => tf.tensor2d(values.slice(0, gates), [gates, 1]);
    const params = {
      "rnn.0.ih.weight": rows([0.1, 0.2, 0.3, 0.4]),
      "rnn.0.ih.bias": tf.tensor1d([0.5, 0.6, 0.7, 0.8].slice(0, gates)),
      "rnn.0.hh.weight": rows([-0.1, -0.2, -0.3, -0.4]),
      "rnn.0.hh.bias": tf.tensor1d([0.01, 0.02, 0.03, 0.04].slice(0, gates)),
    };
    const cfg: RNNConfig = { kind, layers: 1, dim: 1, hidden: 1, vocab: 1 };
    const state = { h: [tf.tensor2d([[0.5]])], c: kind === "lstm" ? [tf.tensor2d([[0.3]])] : [] };
    return recur(params, cfg, tf.tensor3d([[[2]]]), state).out.dataSync()[0];
  };
  const x = [0.7, 1, 1.3, 1.6];
  const h = [-0.04, -0.08, -0.12, -0.16];
  const [i, f, g, o] = x.map((value, n) => value + h[n]);
  const c = sigmoid(f) * 0.3 + sigmoid(i) * Math.tanh(g);
  assert.ok(Math.abs(one("lstm", 4) - sigmoid(o) * Math.tanh(c)) < 1e-6);
  const z = sigmoid(x[1] + h[1]);
  const n = Math.tanh(x[2] + sigmoid(x[0] + h[0]) * h[2]);
  assert.ok(Math.abs(one("gru", 3) - ((1 - z) * n + z * 0.5)) < 1e-6);
});

test("new parameters lie within 1/√hidden around 0, and an LSTM's forget gates one higher", () => {
  const start = initRNN({ kind: "lstm", layers: 1, dim: 64, hidden: 16, vocab: 3 }, rng(1));
  const quarters = tf.unstack(tf.reshape(start["rnn.0.ih.bias"], [4, 16])).map((x) => Array.from(x.dataSync()));
  for (const [i, values] of quarters.entries()) {
    const from = values.map((value) => value - Number(i === 1));
    assert.ok(from.every((value) => Math.abs(value) <= 0.25) && Math.min(...from) < 0 && Math.max(...from) > 0, `${i}`);
  }
  const { mean, variance } = tf.moments(start["rnn.0.ih.weight"]);
  assert.ok(Math.abs(mean.dataSync()[0]) < 0.01 && Math.abs(variance.dataSync()[0] - 0.25 ** 2 / 3) < 0.001);
  const embedded = tf.moments(start["embed.weight"]).variance.dataSync()[0];
  assert.ok(embedded > 0.015 ** 2 && embedded < 0.025 ** 2);
});

test("reading in pieces is reading at once; names go to PyTorch and back", () => {
  for (const kind of ["lstm", "gru"] as const) {
    const cfg: RNNConfig = { kind, layers: 2, dim: 6, hidden: 8, vocab: 11 };
    const params = initRNN(cfg, rng(1));
    const ids = tf.tensor2d([[1, 2, 3, 4, 5]], [1, 5], "int32");
    const whole = forward(params, cfg, ids);
    assert.deepEqual(whole.shape, [1, 5, 11]);
    const first = step(params, cfg, tf.slice(ids, [0, 0], [1, 2]), emptyState(cfg));
    const rest = step(params, cfg, tf.slice(ids, [0, 2], [1, 3]), first.cache, { last: true });
    assert.ok(off(rest.logits, tf.slice(whole, [0, 4, 0], [1, 1, 11])) < 1e-5);
    assert.ok(toTorch(params)["rnn.weight_ih_l0"]);
    assert.deepEqual(Object.keys(fromTorch(toTorch(params))).sort(), Object.keys(params).sort());
  }
  assert.throws(
    () => forward({}, { kind: "gru", layers: 1, dim: 1, hidden: 1, vocab: 1 }, tf.zeros([3])),
    /ids are \[3\]/,
  );
});
