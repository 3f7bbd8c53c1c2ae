// LSTM and GRU against PyTorch (test/fixtures/rnn.py), to 1e-5.
import assert from "node:assert/strict";
import { join } from "node:path";
import { tf } from "@whetstone/engine";
import { valueAndGrads } from "../../recipes/core/grad.ts";
import { load } from "../../recipes/core/io.ts";
import { compose } from "../../recipes/core/linear.ts";
import { crossEntropy } from "../../recipes/core/ops.ts";
import type { Params } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import { generate } from "../../recipes/infer/decode.ts";
import {
  emptyState,
  forward,
  fromTorch,
  initRNN,
  type RNNConfig,
  recur,
  type State,
  shapes,
  step,
  toTorch,
} from "../../recipes/model/rnn.ts";

const { params: fixture } = load(join(import.meta.dirname, "../fixtures/rnn.safetensors"));
const part = (prefix: string): Params =>
  Object.fromEntries(
    Object.entries(fixture).flatMap(([name, t]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), t]] : [])),
  );
const furthest = (a: tf.Tensor, b: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);
const largest = (a: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(a)).dataSync()[0]);
const kinds = ["lstm", "gru"] as const;
const config = (kind: "lstm" | "gru"): RNNConfig => ({ kind, layers: 2, dim: 12, hidden: 20, vocab: 9 });

describe("rnn", function () {
  this.timeout(60_000);

  for (const kind of kinds) {
    const params = fromTorch(part(`${kind}.start.`));

    it(`${kind}: gives the outputs and the last state of PyTorch, to 1e-5, whole or in pieces`, () => {
      const [x, y] = [fixture[`${kind}.x`], fixture[`${kind}.y`]];
      const { out, state } = recur(params, config(kind), x);
      assert.ok(furthest(out, y) <= 1e-5, `${furthest(out, y)}`);
      assert.ok(furthest(tf.stack(state.h), fixture[`${kind}.h`]) <= 1e-5);
      if (kind === "lstm") assert.ok(furthest(tf.stack(state.c), fixture["lstm.c"]) <= 1e-5);
      let [at, kept] = [0, undefined as State | undefined];
      for (const length of [1, 7, 22]) {
        const piece = recur(params, config(kind), tf.slice(x, [0, at, 0], [-1, length, -1]), kept);
        assert.ok(furthest(piece.out, tf.slice(y, [0, at, 0], [-1, length, -1])) <= 1e-5);
        [at, kept] = [at + length, piece.state];
      }
    });

    it(`${kind}: gives every gradient of PyTorch, to 1e-4 of its size`, () => {
      const loss = (p: Params) =>
        tf.sum(tf.mul(recur(p, config(kind), fixture[`${kind}.x`]).out, fixture[`${kind}.weights`]));
      const { grads } = valueAndGrads(loss)(params);
      const wanted = fromTorch(part(`${kind}.grad.`));
      assert.equal(Object.keys(grads).length, 8);
      for (const [name, grad] of Object.entries(grads)) {
        const off = furthest(grad, wanted[name]) / largest(wanted[name]);
        assert.ok(off <= 1e-4, `${name}: ${off}`);
      }
    });

    it(`${kind}: as a language model starts at guessing, learns, and continues from its state as from the whole text`, () => {
      for (const cfg of [config(kind), { ...config(kind), dim: 20 }]) {
        const p = initRNN(cfg, rng(1));
        assert.deepEqual(
          Object.entries(p).map(([name, { shape }]) => [name, shape]),
          Object.entries(shapes(cfg)),
        );
        const ids = tf.tensor2d([1, 5, 2, 7, 3, 3, 8, 0], [1, 8], "int32");
        const logits = forward(p, cfg, ids);
        assert.deepEqual(logits.shape, [1, 8, 9]);
        assert.ok(Math.abs(crossEntropy(logits, ids).dataSync()[0] - Math.log(9)) < 0.1);
        const next = (ids: tf.Tensor, state: State) => step(p, cfg, ids, state, { last: true });
        const greedy = [...generate(next, emptyState(cfg), [1, 5], { length: 6, room: 8, temperature: 0 })];
        const whole = tf.argMax(forward(p, cfg, tf.tensor2d([[1, 5, ...greedy]], undefined, "int32")), -1).dataSync();
        assert.deepEqual(greedy, Array.from(whole).slice(1, -1));
      }
    });
  }

  it("passes every matrix through the seam, by the name of its parameter, and keeps PyTorch's names", () => {
    const cfg = config("lstm");
    const p = initRNN(cfg, rng(1));
    const seen = new Set<string>();
    const linear = compose((next) => (name, x, w, b) => {
      seen.add(`${name}.weight`);
      assert.equal(w, p[`${name}.weight`]);
      return next(name, x, w, b);
    });
    forward(p, cfg, tf.zeros([2, 3], "int32"), { linear });
    assert.deepEqual(
      [...seen].sort(),
      Object.keys(p)
        .filter((name) => name.endsWith("weight") && name !== "embed.weight")
        .sort(),
    );
    assert.deepEqual(fromTorch(toTorch(p)), p);
    assert.ok("rnn.weight_hh_l1" in toTorch(p));
    assert.throws(() => forward(p, cfg, tf.zeros([3], "int32")), /ids are \[3\]; wanted \[B, T\]/);
  });
});
