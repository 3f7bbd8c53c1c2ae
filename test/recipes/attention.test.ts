// Attention in its forms and rotary positions: they are the same function, computed otherwise.
import assert from "node:assert/strict";
import { tf } from "@whetstone/engine";
import { rng } from "../../recipes/core/rng.ts";
import { type Attention, attend, causal, online, windowed } from "../../recipes/model/attention.ts";
import { forward, type GPTConfig, initGPT } from "../../recipes/model/gpt.ts";
import { frequencies, rotate, rotation } from "../../recipes/model/rope.ts";

const [B, H, T, d] = [2, 4, 37, 8];
const draw = (name: string, heads = H) => rng(1).fork(name).normal([B, heads, T, d]);
const [q, k, v] = ["q", "k", "v"].map((name) => draw(name));
const full = causal({ length: T });
const furthest = (a: tf.Tensor, b: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);
const repeat = (x: tf.Tensor, times: number) =>
  tf.reshape(tf.tile(tf.expandDims(x, 2), [1, 1, times, 1, 1]), [B, x.shape[1]! * times, T, d]);

describe("attention", () => {
  it("is the formula, in double precision here", () => {
    const out = attend(q, k, v, full, 0).arraySync() as number[][][][];
    const [Q, K, V] = [q, k, v].map((x) => x.arraySync() as number[][][][]);
    for (let h = 0; h < H; h++)
      for (let t = 0; t < T; t++) {
        const s = K[1][h]
          .slice(0, t + 1)
          .map((key) => key.reduce((sum, x, i) => sum + x * Q[1][h][t][i], 0) / Math.sqrt(d));
        const top = Math.max(...s);
        const e = s.map((x) => Math.exp(x - top));
        const sum = e.reduce((a, b) => a + b);
        for (let i = 0; i < d; i++) {
          const wanted = e.reduce((total, x, j) => total + (x / sum) * V[1][h][j][i], 0);
          assert.ok(Math.abs(out[1][h][t][i] - wanted) < 1e-5);
        }
      }
  });

  it("grouped: as many groups as heads is plain attention to the bit; fewer is plain attention on repeated keys", () => {
    const cfg: GPTConfig = { layers: 2, dim: 32, heads: 4, ctx: 16, vocab: 20, positions: "rotary" };
    const params = initGPT(cfg, rng(3));
    const ids = tf.tensor2d([1, 2, 3, 4, 5, 6, 7, 8], [2, 4], "int32");
    assert.equal(furthest(forward(params, { ...cfg, kvHeads: 4 }, ids), forward(params, cfg, ids)), 0);
    for (const groups of [1, 2]) {
      const [fewK, fewV] = [draw("k", groups), draw("v", groups)];
      const off = furthest(
        attend(q, fewK, fewV, full, 0),
        attend(q, repeat(fewK, H / groups), repeat(fewV, H / groups), full, 0),
      );
      assert.ok(off <= 1e-6, `${groups}: ${off}`);
    }
  });

  it("windowed: a window over everything is full attention to the bit; a smaller one is the masked one", () => {
    for (const window of [T, T + 1, 1000]) {
      assert.equal(furthest(windowed(window)(q, k, v, full, 0), attend(q, k, v, full, 0)), 0);
      assert.equal(furthest(causal({ length: T, window }), full), 0);
    }
    for (const window of [1, 2, 5, 8, 36]) {
      const wanted = attend(q, k, v, causal({ length: T, window }), 0);
      const off = furthest(windowed(window)(q, k, v, full, 0), wanted);
      assert.ok(off <= 1e-6, `${window}: ${off}`);
    }
    assert.ok(furthest(windowed(1)(q, k, v, full, 0), v) <= 1e-6); // sees itself only
    assert.ok(furthest(windowed(5)(q, k, v, full, 0), attend(q, k, v, full, 0)) > 0.1);
  });

  it("online softmax: forward to 1e-6 of plain, gradients too, for any block, grouped, also with scores of hundreds", () => {
    const weights = rng(2).normal([B, H, T, d]);
    const run = (attention: Attention, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, mask = full) => {
      const f = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) => tf.sum(tf.mul(attention(q, k, v, mask, 0), weights));
      return { out: attention(q, k, v, mask, 0), grads: tf.grads(f as (...x: tf.Tensor[]) => tf.Tensor)([q, k, v]) };
    };
    const few = [draw("k", 2), draw("v", 2)] as const;
    const cases = [
      [q, k, v],
      [q, ...few],
      [tf.mul(q, 30), k, v],
    ];
    for (const [q, k, v] of cases) {
      const exactness = q === cases[2][0] ? 1e-4 : 1e-6; // the last bit of a score of 100 is 1e-5
      for (const mask of [full, causal({ length: T, window: 6 })]) {
        const wanted = run(attend, q, k, v, mask);
        for (const block of [1, 8, 10, 64]) {
          const found = run(online(block), q, k, v, mask);
          assert.ok(furthest(found.out, wanted.out) <= exactness, `${block}: ${furthest(found.out, wanted.out)}`);
          found.grads.forEach((grad, i) => {
            const size = Math.max(1, tf.max(tf.abs(wanted.grads[i])).dataSync()[0]);
            assert.ok(
              furthest(grad, wanted.grads[i]) <= exactness * size,
              `${block}, ${i}: ${furthest(grad, wanted.grads[i])}`,
            );
          });
        }
      }
    }
  }).timeout(60_000);

  it("says which shapes do not fit", () => {
    assert.throws(() => attend(q, draw("k", 3), draw("v", 3), full, 0), /q is \[2,4,37,8\], k \[2,3,37,8\]; wanted/);
    assert.throws(() => windowed(0), /the window is 0/);
    assert.throws(() => windowed(4)(q, tf.slice(k, [0, 0, 1, 0]), v, full, 0), /q has 37 positions, k 36/);
  });
});

describe("rope", () => {
  it("scores depend on the distance alone: the same at every shift, to 1e-6", () => {
    const one = (name: string) => rng(5).fork(name).normal([1, 1, 1, 16]);
    const score = (m: number, n: number) => {
      const at = (t: number) => rotation(tf.tensor1d([t], "int32"), frequencies(16));
      return tf.sum(tf.mul(rotate(one("q"), at(m)), rotate(one("k"), at(n)))).dataSync()[0];
    };
    for (const distance of [0, 1, 7, 30])
      for (const shift of [1, 5, 64]) {
        const off = Math.abs(score(distance + shift, shift) - score(distance, 0));
        assert.ok(off <= 2e-6 * Math.max(1, Math.abs(score(distance, 0))), `${distance} + ${shift}: ${off}`);
      }
    assert.ok(Math.abs(score(9, 0) - score(0, 0)) > 0.1);
  });

  it("turns, and so keeps lengths; position 0 stays", () => {
    const x = rng(6).normal([2, 3, 5, 8]);
    const turned = rotate(x, rotation(tf.range(0, 5, 1, "int32"), frequencies(8)));
    assert.ok(furthest(tf.norm(turned, 2, -1), tf.norm(x, 2, -1)) < 1e-6);
    assert.equal(furthest(tf.slice(turned, [0, 0, 0, 0], [2, 3, 1, 8]), tf.slice(x, [0, 0, 0, 0], [2, 3, 1, 8])), 0);
    assert.throws(() => frequencies(7), /heads are 7 wide; wanted an even width/);
  });

  it("stretches: linear divides every angle, llama3 only the slow ones", () => {
    const [plain, linear] = [frequencies(16), frequencies(16, 10_000, { type: "linear", factor: 4 })];
    plain.forEach((f, i) => {
      assert.equal(linear[i], Math.fround(f / 4));
    });
    const llama = frequencies(16, 10_000, { type: "llama3", factor: 8, low: 1, high: 4, original: 64 });
    assert.equal(llama[0], plain[0]);
    assert.ok(Math.abs(llama[7] - plain[7] / 8) < 1e-9);
  });
});
