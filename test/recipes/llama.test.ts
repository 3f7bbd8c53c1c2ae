// Llama against transformers on PyTorch (test/fixtures/llama.py): grouped keys, own head, biases, stretched positions.
import assert from "node:assert/strict";
import { join } from "node:path";
import { jit, tf, valueAndGrad } from "@whetstone/engine";
import { countFlops } from "../../recipes/core/bench.ts";
import { load } from "../../recipes/core/io.ts";
import { compose } from "../../recipes/core/linear.ts";
import { crossEntropy } from "../../recipes/core/ops.ts";
import { count, type Params } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import { gptConfig, hfConfig } from "../../recipes/model/config.ts";
import {
  type Cache,
  countParams,
  emptyCache,
  flops,
  forward,
  fromHF,
  type GPTConfig,
  initGPT,
  shapes,
  step,
  toHF,
} from "../../recipes/model/gpt.ts";

const { params: fixture, metadata } = load(join(import.meta.dirname, "../fixtures/llama.safetensors"));
const configs: Record<string, Record<string, any>> = JSON.parse(metadata.configs);
const part = (prefix: string): Params =>
  Object.fromEntries(
    Object.entries(fixture).flatMap(([name, t]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), t]] : [])),
  );
const models = Object.fromEntries(
  Object.entries(configs).map(([name, config]) => [name, fromHF(part(`${name}.start.`), gptConfig(config))]),
);
const furthest = (a: tf.Tensor, b: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);
const largest = (a: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(a)).dataSync()[0]);
const gpt2: GPTConfig = { layers: 2, dim: 24, heads: 4, ctx: 32, vocab: 47 };

describe("llama", function () {
  this.timeout(60_000);

  for (const [name, { params, cfg }] of Object.entries(models)) {
    it(`${name}: gives the logits of transformers, to 1e-5 of their size`, () => {
      const [ids, wanted] = [fixture[`${name}.ids`], fixture[`${name}.logits`]];
      const run = (p: Params, ids: tf.Tensor) => forward(p, cfg, ids);
      for (const f of name === "single" ? [run, jit(run)] : [run]) {
        const off = furthest(f(params, ids), wanted);
        assert.ok(off <= 1e-5 * Math.max(1, largest(wanted)), `${off}`);
      }
      const loss = crossEntropy(forward(params, cfg, ids), fixture[`${name}.targets`]);
      assert.ok(furthest(loss, fixture[`${name}.loss`]) <= 1e-5);
    });
  }

  it("gives every gradient of PyTorch, to 1e-4 of its size", () => {
    const { params, cfg } = models.grouped;
    const loss = (p: Params) => crossEntropy(forward(p, cfg, fixture["grouped.ids"]), fixture["grouped.targets"]);
    const { grads } = jit(valueAndGrad(loss))(params);
    const wanted = part("grouped.grad.");
    assert.deepEqual(Object.keys(grads), Object.keys(shapes(cfg)));
    for (const [name, grad] of Object.entries(grads)) {
      const off = furthest(grad, wanted[name]) / largest(wanted[name]);
      assert.ok(off <= 1e-4, `${name}: ${off}`);
    }
  });

  it("continues greedily as transformers does, with its cache and without", () => {
    for (const [name, { params, cfg }] of Object.entries(models)) {
      const wanted = Array.from(fixture[`${name}.greedy`].dataSync());
      const one = (ids: tf.Tensor, cache: Cache) => step(params, cfg, ids, cache, { last: true });
      const compiled = name === "grouped" ? jit(one) : undefined;
      const next = compiled ?? one;
      const seen = wanted.slice(0, 4);
      let cache = emptyCache(cfg);
      let ids = tf.tensor2d(seen, [1, 4], "int32");
      while (seen.length < wanted.length) {
        const done = next(ids, cache);
        cache = done.cache;
        seen.push(tf.argMax(done.logits, -1).dataSync()[0]);
        ids = tf.tensor2d(seen.slice(-1), [1, 1], "int32");
      }
      assert.deepEqual(seen, wanted, name);
      const all = tf.argMax(forward(params, cfg, tf.tensor2d(wanted, [1, wanted.length], "int32")), -1).dataSync();
      assert.deepEqual(Array.from(all).slice(3, -1), wanted.slice(4), name);
      if (compiled) assert.equal(compiled.cacheSize(), 2, "one program for the prompt, one for every further token");
    }
  });

  it("has the same logits at every position from the cache, in pieces of any length, as from the whole", () => {
    const mixed: Record<string, { cfg: GPTConfig; params: Params }> = {
      ...models,
      gpt2: { cfg: gpt2, params: initGPT(gpt2, rng(1)) },
    };
    const windowed: GPTConfig = { ...gpt2, positions: "rotary", norm: "rms", mlp: "relu2", kvHeads: 2, window: 5 };
    mixed.windowed = { cfg: windowed, params: initGPT(windowed, rng(2)) };
    for (const [name, { cfg, params }] of Object.entries(mixed)) {
      const ids = tf.tensor2d(
        Array.from({ length: 38 }, (_, i) => (i * i * 7 + 3) % 47),
        [2, 19],
        "int32",
      );
      const whole = forward(params, cfg, ids);
      for (const cuts of [[6, 1, 1, 4, 1, 6], Array(19).fill(1), [19]]) {
        let cache = emptyCache(cfg, { batch: 2, length: 24 });
        let at = 0;
        for (const length of cuts) {
          const done = step(params, cfg, tf.slice(ids, [0, at], [2, length]), cache);
          const wanted = tf.slice(whole, [0, at, 0], [2, length, -1]);
          const off = furthest(done.logits, wanted);
          assert.ok(off <= 1e-5 * Math.max(1, largest(whole)), `${name} at ${at}: ${off}`);
          ({ cache } = done);
          at += length;
        }
        assert.equal(cache.at.dataSync()[0], 19);
      }
    }
  });

  it("counts parameters and FLOPs of both families, and of what lies between", async () => {
    const cfgs = [...Object.values(models).map(({ cfg }) => cfg), gpt2];
    cfgs.push({ ...gpt2, positions: "rotary", norm: "rms", mlp: "relu2", bias: false, tied: false, kvHeads: 2 });
    for (const cfg of cfgs) {
      const p = initGPT(cfg, rng(1));
      assert.equal(countParams(cfg), count(p));
      const counted = await countFlops(() => forward(p, cfg, tf.zeros([3, 7], "int32")));
      assert.equal(flops(cfg, { batch: 3, length: 7 }), counted);
    }
    const smollm2: GPTConfig = {
      ...models.grouped.cfg,
      layers: 30,
      dim: 576,
      heads: 9,
      kvHeads: 3,
      headDim: 64,
      ffn: 1536,
    };
    assert.equal(countParams({ ...smollm2, vocab: 49152 }), 134_515_008); // as its card says
  });

  it("passes every matrix through the seam, by the name of its parameter", () => {
    const { params, cfg } = models.own;
    const seen: string[] = [];
    const linear = compose((next) => (name, x, w, b) => {
      seen.push(`${name}.weight`);
      assert.equal(w, params[`${name}.weight`]);
      return next(name, x, w, b);
    });
    forward(params, cfg, fixture["own.ids"], { linear });
    const matrices = Object.entries(shapes(cfg)).flatMap(([name, { length }]) => (length === 2 ? [name] : []));
    assert.deepEqual(new Set(seen), new Set(matrices.filter((name) => !/embed/.test(name))));
    assert.equal(seen.length, matrices.length - 1);
  });

  it("keeps configurations and names: what goes to Hugging Face's form comes back", () => {
    for (const [name, { cfg, params }] of Object.entries(models)) {
      assert.deepEqual({ headDim: cfg.dim / cfg.heads, ...gptConfig(hfConfig(cfg)) }, cfg, name);
      const back = fromHF(toHF(params), cfg).params;
      for (const [key, tensor] of Object.entries(params)) assert.equal(back[key], tensor);
    }
    assert.deepEqual(gptConfig(hfConfig({ ...gpt2, ffn: 50 })), { ...gpt2, ffn: 50, eps: 1e-5 });
    assert.throws(() => hfConfig({ ...gpt2, norm: "rms" }), /rms norm, gelu are not what transformers has as "gpt2"/);
  });

  it("says what is wrong with configurations and shapes", () => {
    const { grouped: json } = configs;
    const wrong: [object, RegExp][] = [
      [{ model_type: "mamba" }, /model_type is "mamba"; wanted "gpt2" or "llama"/],
      [{ hidden_act: "gelu" }, /hidden_act is "gelu"; gpt.ts computes silu only/],
      [{ num_hidden_layers: 1e9 }, /num_hidden_layers is 1000000000; wanted a whole number from 1 to 10000/],
      [{ num_key_value_heads: 3 }, /heads 4 is not a multiple of kvHeads 3/],
      [{ rope_parameters: { rope_type: "yarn" } }, /rope_type is "yarn"; known are/],
      [{ rms_norm_eps: 0 }, /rms_norm_eps is 0; wanted a number above 0/],
      [{ mlp_bias: true }, /attention_bias and mlp_bias differ/],
    ];
    for (const [change, message] of wrong) assert.throws(() => gptConfig({ ...json, ...change }), message);
    const { params, cfg } = models.grouped;
    assert.throws(
      () => fromHF({ ...params, "model.norm.weight": tf.ones([3]) }, cfg),
      /norm.weight is \[3\]; wanted \[24\]/,
    );
    assert.throws(() => fromHF({ ...params, extra: tf.ones([3]) }, cfg), /"extra" is not a parameter of this Llama/);
    assert.throws(() => step(params, cfg, tf.zeros([2, 1], "int32"), emptyCache(cfg)), /the cache is for 1 rows of 64/);
  });
});
