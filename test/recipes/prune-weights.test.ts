// Pruning: exact counts, ties, Wanda's formula, the seam, the bitmask.
import assert from "node:assert/strict";
import { jit, memory, tf, valueAndGrad } from "@whetstone/engine";
import fc from "fast-check";
import {
  applyMasks,
  cubic,
  globalMagnitude,
  inputNorms,
  magnitude,
  maskLinear,
  packBitmask,
  unpackBitmask,
  wanda,
} from "../../recipes/compress/prune-weights.ts";
import { compose, type Linear } from "../../recipes/core/linear.ts";
import { crossEntropy } from "../../recipes/core/ops.ts";
import { clone, map, type Params } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import { forward, type GPTConfig, initGPT } from "../../recipes/model/gpt.ts";
import { type AdamWState, adamw } from "../../recipes/train/optim.ts";

const cfg: GPTConfig = { layers: 2, dim: 16, heads: 2, ctx: 8, vocab: 13 };
const params = initGPT(cfg, rng(1));
const prunable = Object.keys(params).filter((name) => /(attn|mlp)\..*weight$/.test(name));
const ids = tf.tensor2d(
  Array.from({ length: 32 }, (_, i) => (7 * i + (i >> 2)) % cfg.vocab),
  [4, 8],
  "int32",
);
const zeros = (mask: tf.Tensor) => Array.from(mask.dataSync()).filter((value) => value === 0).length;
const list = (x: tf.Tensor) => Array.from(x.dataSync());
const furthest = (a: tf.Tensor, b: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);
const w = rng(3).normal([12, 20]);

describe("prune-weights: which weights go", () => {
  it("magnitude drops exactly round(s n), the smallest in size, of whichever sign", () => {
    const mask = magnitude(tf.tensor2d([-5, 1, 4, -2, 3, -0.5], [2, 3]), 0.5);
    assert.deepEqual(mask.shape, [2, 3]);
    assert.deepEqual(list(mask), [1, 0, 1, 0, 1, 0]);
    for (let percent = 0; percent <= 100; percent++)
      assert.equal(zeros(magnitude(w, percent / 100)), Math.round((percent / 100) * w.size), `${percent} %`);
    const sorted = list(tf.abs(w)).sort((a, b) => a - b);
    const mask30 = magnitude(w, 0.3);
    const kept = list(tf.abs(w)).filter((_, i) => mask30.dataSync()[i] === 1);
    assert.equal(Math.min(...kept), sorted[Math.round(0.3 * w.size)]);
  });

  it("counts are exact with ties too: of equal weights the first go", () => {
    assert.deepEqual(list(magnitude(tf.ones([8]), 0.5)), [0, 0, 0, 0, 1, 1, 1, 1]);
    assert.deepEqual(list(magnitude(tf.tensor1d([2, -1, 1, 1, 3]), 0.4)), [1, 0, 0, 1, 1]);
    const few = fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(few, fc.double({ min: 0, max: 1, noNaN: true }), (values, s) => {
        const mask = list(magnitude(tf.tensor1d(values), s));
        const dropped = values.filter((_, i) => mask[i] === 0).map(Math.abs);
        const kept = values.filter((_, i) => mask[i] === 1).map(Math.abs);
        assert.equal(dropped.length, Math.round(s * values.length));
        assert.ok(Math.max(-1, ...dropped) <= Math.min(3, ...kept));
      }),
      { numRuns: 100 },
    );
  });

  it("globalMagnitude has one threshold: the total is exact, small matrices lose more", () => {
    const two = { small: tf.mul(w, 0.5), large: w, other: tf.ones([3]) };
    const masks = globalMagnitude(two, ["small", "large"], 0.5);
    assert.deepEqual(Object.keys(masks), ["small", "large"]);
    assert.deepEqual(masks.small.shape, w.shape);
    assert.equal(zeros(masks.small) + zeros(masks.large), w.size);
    assert.ok(zeros(masks.small) > zeros(masks.large) + 20);
    const largestGone = tf.max(tf.abs(tf.mul(two.small, tf.sub(1, masks.small)))).dataSync()[0];
    const smallestKept = Math.min(...list(tf.abs(tf.mul(two.large, masks.large))).filter((value) => value > 0));
    assert.ok(largestGone <= smallestKept);
    assert.deepEqual(list(globalMagnitude({ w }, ["w"], 0.3).w), list(magnitude(w, 0.3)));
  });

  it("wanda scores |w| times the norm of its input, row by row", () => {
    const small = tf.tensor2d([3, -2, 1, 1, 2, -3], [2, 3]);
    assert.deepEqual(list(wanda(small, tf.tensor1d([1, 1, 10]), 1 / 3)), [1, 0, 1, 0, 1, 1]);
    assert.deepEqual(list(wanda(small, tf.tensor1d([0, 1, 10]), 2 / 3)), [0, 0, 1, 0, 0, 1]);
    for (const s of [0.25, 0.5, 0.9])
      assert.deepEqual(
        list(tf.sum(wanda(w, rng(4).uniform([20]), s), 1)),
        Array(12).fill(20 - Math.round(20 * s)),
        "every row keeps as many",
      );
  });

  it("wanda with equal norms is magnitude within each row", () => {
    const byRow = tf.stack(tf.unstack(w).map((row) => magnitude(row, 0.45)));
    assert.deepEqual(list(wanda(w, tf.fill([20], 2), 0.45)), list(byRow));
  });

  it("no zeros keep everything, all zeros nothing", () => {
    const norms = tf.ones([20]);
    for (const mask of [magnitude(w, 0), wanda(w, norms, 0), globalMagnitude({ w }, ["w"], 0).w])
      assert.equal(zeros(mask), 0);
    for (const mask of [magnitude(w, 1), wanda(w, norms, 1), globalMagnitude({ w }, ["w"], 1).w])
      assert.equal(zeros(mask), w.size);
  });

  it("says which shape or share is wrong", () => {
    assert.throws(() => wanda(w, tf.ones([7]), 0.5), /norms are \[7\], w is \[12,20\]; wanted norms \[in\]/);
    assert.throws(() => wanda(tf.ones([20]), tf.ones([20]), 0.5), /w is \[20\]; wanted .* w \[out, in\]/);
    for (const s of [-0.1, 1.1, Number.NaN, 50])
      assert.throws(() => magnitude(w, s), new RegExp(`magnitude: sparsity is ${s}; wanted a share of zeros`));
    assert.throws(() => magnitude(tf.tensor1d([1, Number.NaN]), 0.5), /a score is NaN/);
    assert.throws(() => globalMagnitude({ w }, ["v"], 0.5), /No parameter "v"/);
  });
});

describe("prune-weights: norms of the inputs", () => {
  it("are those of every input that each linear layer sees, over all passes", () => {
    const squares: Record<string, tf.Tensor> = {};
    const by = inputNorms((linear) => {
      for (const half of tf.split(ids, 2)) forward(params, cfg, half, { linear });
    });
    forward(params, cfg, ids, {
      linear: (name, x, w, b) => {
        squares[name] = tf.sqrt(tf.sum(tf.square(x), 0));
        return compose()(name, x, w, b);
      },
    });
    assert.deepEqual(Object.keys(by), [...prunable, "lm_head.weight"]);
    for (const [layer, wanted] of Object.entries(squares)) {
      assert.equal(by[`${layer}.weight`].shape[0], wanted.shape[0]);
      assert.ok(furthest(by[`${layer}.weight`], wanted) < 1e-5 * tf.max(wanted).dataSync()[0], layer);
    }
  });

  it("fit wanda, and keep a layer's output better than magnitude where inputs differ in size", () => {
    const x = tf.mul(rng(5).normal([64, 20]), tf.exp(tf.linspace(-2, 2, 20)));
    const norms = inputNorms((linear) => linear("layer", x, w))["layer.weight"];
    const error = (mask: tf.Tensor) =>
      tf.sum(tf.square(tf.matMul(x, tf.sub(w, tf.mul(w, mask)), false, true))).dataSync()[0];
    assert.ok(error(wanda(w, norms, 0.5)) < 0.5 * error(magnitude(w, 0.5)));
  });

  it("free what they measured with, after an error too", () => {
    const twice = (linear: Linear) => [1, 2].map(() => forward(params, cfg, ids, { linear }));
    const pass = () => tf.dispose(inputNorms(twice));
    const broken = () =>
      inputNorms((linear) => {
        twice(linear);
        throw new Error("broken");
      });
    pass();
    const before = tf.memory().numTensors;
    pass();
    assert.throws(broken, /broken/);
    assert.equal(tf.memory().numTensors, before);
  });
});

describe("prune-weights: masks at work", () => {
  const masks = Object.fromEntries(prunable.map((name) => [name, magnitude(params[name], 0.6)]));

  it("through the seam they give what masked parameters give", () => {
    const masked = applyMasks(params, masks);
    const wanted = forward(masked, cfg, ids);
    assert.equal(furthest(forward(params, cfg, ids, { linear: compose(maskLinear(masks)) }), wanted), 0);
    assert.ok(furthest(forward(params, cfg, ids), wanted) > 1e-3);
    assert.equal(masked["wte.weight"], params["wte.weight"]);
    for (const name of prunable) assert.equal(zeros(masked[name]), Math.round(0.6 * params[name].size));
  });

  it("through the seam, masked weights get no gradient", () => {
    const loss = (p: Params) => crossEntropy(forward(p, cfg, ids, { linear: compose(maskLinear(masks)) }), ids);
    const { grads } = valueAndGrad(loss)(params);
    for (const name of prunable) {
      assert.equal(furthest(tf.mul(grads[name], masks[name]), grads[name]), 0, name);
      assert.ok(tf.max(tf.abs(grads[name])).dataSync()[0] > 0, name);
    }
  });

  it("zeros stay zeros over 50 steps of a compiled training, and the number of tensors stays", async () => {
    const optim = adamw({ lr: 1e-2, decay: 0.1 });
    const loss = (p: Params) => crossEntropy(forward(p, cfg, ids), ids);
    const step = jit(
      (p: Params, state: AdamWState, masks: Params) => {
        const { value, grads } = valueAndGrad(loss)(p);
        const next = optim.update(grads, state, p);
        return { value, state: next.state, params: applyMasks(next.params, masks) };
      },
      { donate: [0, 1] },
    );
    let [p, state] = [clone(applyMasks(params, masks)), optim.init(params)];
    const losses: number[] = [];
    const counts: number[] = [];
    for (let i = 0; i < 50; i++) {
      const done = step(p, state, masks);
      ({ params: p, state } = done);
      losses.push(done.value.dataSync()[0]);
      done.value.dispose();
      counts.push(memory().numTensors);
    }
    assert.ok(losses[49] < 0.8 * losses[0], `${losses[0]} -> ${losses[49]}`);
    assert.equal(counts[49], counts[0]);
    for (const name of prunable) assert.equal(zeros(p[name]), Math.round(0.6 * p[name].size), name);
  });

  it("refuses a mask that would be stretched, and one for no parameter", () => {
    const name = "h.0.mlp.c_fc.weight";
    const wrong = { [name]: tf.ones([1, 16]) };
    const text = /h.0.mlp.c_fc.weight: the mask is \[1,16\], the parameter \[64,16\]; wanted the same shape/;
    assert.throws(() => applyMasks(params, wrong), text);
    assert.throws(() => forward(params, cfg, ids, { linear: compose(maskLinear(wrong)) }), text);
    assert.throws(() => applyMasks(params, { "h.0.mlp.c_fx.weight": tf.ones([2]) }), /No parameter "h.0.mlp.c_fx/);
  });
});

describe("prune-weights: cubic schedule", () => {
  it("rises from initial to final, fast first, and stays", () => {
    const at = (step: number) => cubic(step, { final: 0.9, initial: 0.1, start: 10, end: 110 });
    for (const [step, wanted] of [
      [0, 0.1],
      [10, 0.1],
      [60, 0.9 - 0.8 / 8],
      [110, 0.9],
      [500, 0.9],
    ])
      assert.ok(Math.abs(at(step) - wanted) < 1e-12, `${step}: ${at(step)}`);
    const steps = Array.from({ length: 101 }, (_, i) => at(10 + i));
    const rises = steps.slice(1).map((s, i) => s - steps[i]);
    assert.ok(rises.every((rise, i) => rise > 0 && (i === 0 || rise < rises[i - 1])));
    assert.equal(cubic(50, { final: 0.8, end: 100 }), 0.8 * (1 - 0.5 ** 3));
    assert.throws(() => cubic(1, { final: 0.5, start: 5, end: 5 }), /start is 5, end is 5/);
  });
});

describe("prune-weights: bitmask", () => {
  it("takes ceil(n/8) + 4k bytes and gives every weight back", () => {
    const float = fc.oneof(fc.constant(0), fc.float(), fc.constantFrom(1e-40, Number.NaN, 1 / 0, -1 / 0));
    fc.assert(
      fc.property(fc.array(float, { maxLength: 70 }), (values) => {
        const w = tf.tensor1d(Float32Array.from(values, (value) => value + 0)); // -0 + 0 is 0
        const packed = packBitmask(w);
        const kept = values.filter((value) => value !== 0).length;
        assert.equal(packed.length, Math.ceil(values.length / 8) + 4 * kept);
        assert.deepEqual(unpackBitmask(packed, w.shape).dataSync(), w.dataSync());
      }),
      { numRuns: 200 },
    );
  });

  it("of masked weights gives the masked weights, whatever their sign", () => {
    const masked = tf.mul(w, magnitude(w, 0.7));
    const back = unpackBitmask(packBitmask(masked), w.shape);
    assert.deepEqual(back.shape, w.shape);
    assert.equal(furthest(unpackBitmask(Buffer.from(packBitmask(masked)), w.shape), masked), 0); // as read from a file
    assert.equal(furthest(back, masked), 0);
    assert.equal(packBitmask(masked).length, w.size / 8 + 4 * Math.round(0.3 * w.size));
  });

  it("has a layout that stays: the first weight in the lowest bit, then float32, little end first", () => {
    const packed = packBitmask(tf.tensor1d([0, 1.5, 0, 0, 0, 0, 0, 0, -2, 0]));
    assert.deepEqual([...packed], [0b10, 0b1, 0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0]);
    assert.deepEqual([...packBitmask(tf.zeros([9]))], [0, 0]);
    assert.equal(packBitmask(tf.zeros([0])).length, 0);
  });

  it("refuses bytes of another tensor, cut or too many", () => {
    const packed = packBitmask(w);
    assert.throws(() => unpackBitmask(packed, [12, 19]), /unpackBitmask: 990 bytes; wanted/);
    assert.throws(
      () => unpackBitmask(packed.subarray(0, 989), w.shape),
      /989 bytes; wanted 990 for \[12,20\] with 240 not zero/,
    );
    assert.throws(() => unpackBitmask(Uint8Array.of(0b1000), [3]), /1 bytes; wanted 5/);
    assert.throws(() => packBitmask(tf.scalar(1, "int32")), /w is int32; wanted float32/);
  });

  it("packs a whole record", () => {
    const packed = map(applyMasks(params, { [prunable[0]]: magnitude(params[prunable[0]], 0.5) }), (t) =>
      unpackBitmask(packBitmask(t), t.shape),
    );
    assert.equal(zeros(packed[prunable[0]]), params[prunable[0]].size / 2);
  });
});
