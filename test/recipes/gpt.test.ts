// GPT-2 against transformers on PyTorch: the same weights give the same logits, gradients and training (test/fixtures/gpt.py).
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jit, tf, valueAndGrad } from "@whetstone/engine";
import { countFlops } from "../../recipes/core/bench.ts";
import { valueAndGrads } from "../../recipes/core/grad.ts";
import { load, save } from "../../recipes/core/io.ts";
import { compose, linear } from "../../recipes/core/linear.ts";
import { crossEntropy } from "../../recipes/core/ops.ts";
import { bytes, clone, count, map, type Params } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import {
  countParams,
  flops,
  forward,
  fromHF,
  type GPTConfig,
  initGPT,
  paramBytes,
  sample,
  shapes,
  toHF,
} from "../../recipes/model/gpt.ts";
import { type AdamWState, adamw } from "../../recipes/train/optim.ts";

const { params: fixture, metadata } = load(join(import.meta.dirname, "../fixtures/gpt.safetensors"));
const cfg: GPTConfig = JSON.parse(metadata.cfg);
const part = (prefix: string): Params =>
  Object.fromEntries(
    Object.entries(fixture).flatMap(([name, t]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), t]] : [])),
  );
const { params } = fromHF(part("start."), cfg.heads);
const { ids, targets } = fixture;
const loss = (p: Params, ids: tf.Tensor, targets: tf.Tensor) => crossEntropy(forward(p, cfg, ids), targets);
const furthest = (a: tf.Tensor, b: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);
const largest = (a: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(a)).dataSync()[0]);

describe("gpt", () => {
  it("gives the logits of transformers, to 1e-5 of their size", () => {
    const run = (p: Params, ids: tf.Tensor) => forward(p, cfg, ids);
    for (const f of [run, jit(run)]) {
      const off = furthest(f(params, ids), fixture.logits);
      assert.ok(off <= 1e-5 * Math.max(1, largest(fixture.logits)), `${off}`);
    }
  });

  it("gives every gradient of PyTorch, to 1e-4 of its size", () => {
    const wanted = fromHF(part("grad."), cfg.heads).params;
    for (const gradient of [valueAndGrads(loss), jit(valueAndGrads(loss)), jit(valueAndGrad(loss))]) {
      const { value, grads } = gradient(params, ids, targets);
      assert.ok(furthest(value, fixture.loss) <= 1e-5);
      assert.deepEqual(Object.keys(grads), Object.keys(shapes(cfg)));
      for (const [name, grad] of Object.entries(grads)) {
        const off = furthest(grad, wanted[name]) / largest(wanted[name]);
        assert.ok(off <= 1e-4, `${name}: ${off}`);
      }
    }
  });

  it("trains as PyTorch does: 50 losses with AdamW, the first to 1e-6 of its size, all to 1e-3", () => {
    const optim = adamw({ lr: 3e-3, b2: 0.99, decay: 0.1 });
    const step = jit(
      (p: Params, state: AdamWState, ids: tf.Tensor, targets: tf.Tensor) => {
        const { value, grads } = valueAndGrad(loss)(p, ids, targets);
        return { value, ...optim.update(grads, state, p) };
      },
      { donate: [0, 1] },
    );
    let [p, state] = [clone(params), optim.init(params)];
    const wanted = fixture.losses.dataSync();
    const [, batch, length] = fixture.walk.shape;
    for (let i = 0; i < wanted.length; i++) {
      const walk = fixture.walk.slice(i, 1).reshape([batch, length]);
      const done = step(p, state, walk.slice([0, 0], [batch, cfg.ctx]), walk.slice([0, 1], [batch, cfg.ctx]));
      ({ params: p, state } = done);
      const off = Math.abs(done.value.dataSync()[0] - wanted[i]);
      assert.ok(off <= (i ? 1e-3 : 1e-6 * wanted[0]), `step ${i + 1}: ${off}`);
    }
    assert.ok(wanted.at(-1)! < wanted[0] - 1, "the fixture must be one in which something is learned");
  });

  it("counts parameters, bytes and FLOPs by formulas that equal counting, GPT-2's own number too", async () => {
    for (const cfg of [
      { layers: 2, dim: 64, heads: 4, ctx: 64, vocab: 96 },
      { layers: 3, dim: 24, heads: 2, ctx: 10, vocab: 31 },
    ]) {
      const p = initGPT(cfg, rng(1));
      assert.equal(countParams(cfg), count(p));
      assert.equal(paramBytes(cfg), bytes(p));
      const counted = await countFlops(() => forward(p, cfg, tf.zeros([3, 7], "int32")));
      assert.equal(flops(cfg, { batch: 3, length: 7 }), counted);
    }
    assert.equal(countParams({ layers: 12, dim: 768, heads: 12, ctx: 1024, vocab: 50257 }), 124_439_808);
  });

  it("passes every matrix through the seam, by its name", () => {
    const names: string[] = [];
    const seen = compose((next) => (name, x, w, b) => {
      names.push(name);
      assert.equal(x.shape.at(-1), w.shape[1]);
      return next(name, x, w, b);
    });
    const layer = (l: number) =>
      ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"].map((name) => `h.${l}.${name}`);
    const logits = forward(params, cfg, ids, { linear: seen });
    assert.deepEqual(names, [...layer(0), ...layer(1), "lm_head"]);
    assert.equal(furthest(logits, forward(params, cfg, ids)), 0);
    const silent = forward(params, cfg, ids, {
      linear: (name, x, w, b) => (name === "lm_head" ? tf.zeros([x.shape[0], w.shape[0]]) : linear(name, x, w, b)),
    });
    assert.equal(largest(silent), 0);
  });

  it("shows the residual stream, and takes another attention", () => {
    const stream: tf.Tensor[] = [];
    forward(params, cfg, ids, { hidden: (_, x) => stream.push(x) });
    assert.deepEqual(
      stream.map(({ shape }) => shape),
      Array(3).fill([...ids.shape, cfg.dim]),
    );
    const blind = forward(params, cfg, ids, { attention: (_q, _k, v) => tf.zerosLike(v) });
    const swapped = forward(params, cfg, tf.reverse(ids, 1), { attention: (_q, _k, v) => tf.zerosLike(v) });
    assert.notEqual(furthest(blind, swapped), 0);
  });

  it("does not see the future", () => {
    const changed = tf.concat(
      [ids.slice([0, 0], [-1, cfg.ctx - 1]), tf.sub(tf.scalar(60, "int32"), ids.slice([0, cfg.ctx - 1]))],
      1,
    );
    const past = (x: tf.Tensor) => forward(params, cfg, x).slice([0, 0, 0], [-1, cfg.ctx - 1, -1]);
    assert.equal(furthest(past(ids), past(changed)), 0);
    assert.notEqual(furthest(forward(params, cfg, ids), forward(params, cfg, changed)), 0);
  });

  it("keeps Hugging Face's names and layout on disk: what is saved is loaded, transposed there and back", () => {
    const folder = mkdtempSync(join(tmpdir(), "gpt-"));
    try {
      const path = join(folder, "model.safetensors");
      const file = map(toHF(params), (t) => t);
      save(path, Object.fromEntries(Object.entries(file).map(([name, t]) => [`transformer.${name}`, t])));
      const { params: onDisk } = load(path);
      assert.deepEqual(onDisk["transformer.h.0.attn.c_attn.weight"].shape, [cfg.dim, 3 * cfg.dim]); // Conv1D: [in, out]
      const back = fromHF(
        { ...onDisk, "h.0.attn.bias": tf.ones([1]), "lm_head.weight": params["wte.weight"] },
        cfg.heads,
      );
      assert.deepEqual(back.cfg, cfg);
      for (const [name, t] of Object.entries(params)) assert.equal(furthest(t, back.params[name]), 0, name);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("says what is wrong with ids, names and shapes", () => {
    assert.throws(() => forward(params, cfg, tf.zeros([1, 17], "int32")), /ids are \[1,17\]; wanted .* ctx = 16/);
    const { "h.1.ln_2.bias": _, ...rest } = params;
    assert.throws(() => forward(rest, cfg, ids), /No parameter "h.1.ln_2.bias" among 27; there are .*ln_1.bias/);
    assert.throws(
      () => fromHF({ ...toHF(params), "h.0.mlp.c_fc.bias": tf.zeros([3]) }, 4),
      /c_fc.bias is \[3\]; wanted \[128\]/,
    );
    assert.throws(() => fromHF({ ...toHF(params), extra: tf.zeros([3]) }, 4), /"extra" is not a parameter/);
    assert.throws(() => linear("h.0.x", tf.zeros([2, 3]), tf.zeros([4, 5])), /h.0.x: x is \[2,3\], w is \[4,5\]/);
  });

  it("samples: greedy is the likeliest id each time, and a seed gives the same text again", () => {
    const logits = jit((ids: tf.Tensor) => forward(params, cfg, ids));
    const prompt = [1, 2, 3];
    const greedy = sample(logits, cfg, prompt, { length: 20, temperature: 0, rng: rng(1) });
    assert.equal(greedy.length, 23); // past ctx: the window moves on
    const [next] = tf
      .argMax(forward(params, cfg, tf.tensor2d(prompt, [1, 3], "int32")).slice([0, 2], [1, 1]), -1)
      .dataSync();
    assert.equal(greedy[3], next);
    const draw = (seed: number) => sample(logits, cfg, prompt, { length: 20, rng: rng(seed) });
    assert.deepEqual(draw(1), draw(1));
    assert.notDeepEqual(draw(1), draw(2));
  });

  it("starts at the loss of guessing, the same on every machine", () => {
    const p = initGPT(cfg, rng(7));
    assert.ok(Math.abs(loss(p, ids, targets).dataSync()[0] - Math.log(cfg.vocab)) < 0.2);
    const other = initGPT({ ...cfg, layers: 1 }, rng(7)); // a name's numbers do not depend on the other names
    assert.equal(furthest(p["h.0.attn.c_attn.weight"], other["h.0.attn.c_attn.weight"]), 0);
  });
});
