// T5 against transformers on PyTorch (test/fixtures/t5.py): both versions, padding, distances, gradients.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tf } from "@whetstone/engine";
import { valueAndGrads } from "../../recipes/core/grad.ts";
import { load } from "../../recipes/core/io.ts";
import { compose } from "../../recipes/core/linear.ts";
import type { Params } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import { generate } from "../../recipes/infer/decode.ts";
import { fromPretrained, save, type T5 } from "../../recipes/model/index.ts";
import {
  bucket,
  type Cache,
  decode,
  emptyCache,
  encode,
  forward,
  fromHF,
  initT5,
  shapes,
  step,
  t5Config,
} from "../../recipes/model/seq2seq.ts";
import { textTokenizer } from "../../recipes/model/tokenizer.ts";
import { unigramJson } from "../fixtures/tokenizers.ts";

const { params: fixture, metadata } = load(join(import.meta.dirname, "../fixtures/t5.safetensors"));
const configs: Record<string, Record<string, any>> = JSON.parse(metadata.configs);
const part = (prefix: string): Params =>
  Object.fromEntries(
    Object.entries(fixture).flatMap(([name, t]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), t]] : [])),
  );
const furthest = (a: tf.Tensor, b: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);
const largest = (a: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(a)).dataSync()[0]);

describe("seq2seq", function () {
  this.timeout(60_000);

  for (const name of Object.keys(configs)) {
    const cfg = t5Config(configs[name]);
    const params = fromHF(part(`${name}.start.`), cfg);
    const { source, target, mask, logits, plain, encoded } = part(`${name}.`);

    it(`${name}: gives the encoder's states and the logits of transformers, to 1e-5 of their size`, () => {
      const found = encode(params, cfg, source, { mask });
      const text = tf.expandDims(mask, -1); // what padding becomes is nobody's
      assert.ok(furthest(tf.mul(found, text), tf.mul(encoded, text)) <= 1e-5 * largest(encoded));
      for (const [wanted, options] of [[logits, { mask }] as const, [plain, {}] as const]) {
        const off = furthest(forward(params, cfg, source, target, options), wanted);
        assert.ok(off <= 1e-5 * Math.max(1, largest(wanted)), `${off}`);
      }
    });

    it(`${name}: the cache changes nothing, whatever is read at once, and decode.ts writes the likeliest ids with it`, () => {
      for (const hide of [mask, undefined]) {
        const wanted = decode(params, cfg, target, encoded, { mask: hide });
        let cache = emptyCache(params, cfg, encoded, { length: 30, mask: hide });
        let from = 0;
        for (const T of [1, 1, 5, 12, 1, 7]) {
          const next = step(params, cfg, tf.slice(target, [0, from], [-1, T]), cache);
          const off = furthest(next.logits, tf.slice(wanted, [0, from, 0], [-1, T, -1]));
          assert.ok(off <= 1e-5 * Math.max(1, largest(wanted)), `${from}: ${off}`);
          cache = next.cache;
          from += T;
        }
        assert.equal(cache.at.dataSync()[0], target.shape[1]);
      }
      const one = tf.slice(encoded, [0, 0, 0], [1, -1, -1]);
      const next = (ids: tf.Tensor2D, cache: Cache) => step(params, cfg, ids, cache, { last: true });
      const cache = emptyCache(params, cfg, one, { length: 13 });
      const before = tf.memory().numTensors - (4 * cfg.decoderLayers + 2);
      const ids = [...generate(next, cache, [cfg.start], { length: 12, room: 13, temperature: 0 })];
      assert.equal(tf.memory().numTensors, before);
      const all = tf.argMax(decode(params, cfg, tf.tensor2d([[cfg.start, ...ids]], undefined, "int32"), one), -1);
      assert.deepEqual(ids, Array.from(all.dataSync()).slice(0, 12));
      assert.throws(() => step(params, cfg, target, cache), /the target is \[3,27\]; the cache is for 1 rows of 13/);
    });

    it(`${name}: save writes a folder that fromPretrained reads, with a Unigram tokenizer`, async () => {
      const folder = mkdtempSync(join(tmpdir(), "t5-"));
      try {
        const tokenizer = await textTokenizer(unigramJson, { tokenizer_class: "T5TokenizerFast" });
        save(folder, { family: "t5", cfg, params, tokenizer, meta: { eos: [1] } });
        const model = (await fromPretrained(folder)) as T5;
        assert.deepEqual([model.family, model.cfg, model.meta.eos], ["t5", cfg, [1]]);
        assert.equal(
          furthest(model.forward(source, { target, mask }), forward(params, cfg, source, target, { mask })),
          0,
        );
        assert.equal(furthest(model.forward(source), encode(params, cfg, source)), 0);
        assert.deepEqual([...model.tokenizer!.encode("abc")], [3, 4]);
        assert.throws(() => save(join(folder, "x.gguf"), model), /a T5 is not written as GGUF/);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    it(`${name}: the decoder does not see what comes, the encoder nothing of padding`, () => {
      const other = tf.concat([tf.slice(target, [0, 0], [-1, 20]), tf.reverse(tf.slice(target, [0, 20]), 1)], 1);
      const past = (x: tf.Tensor) => tf.slice(decode(params, cfg, x, encoded, { mask }), [0, 0, 0], [-1, 20, -1]);
      assert.equal(furthest(past(target), past(other)), 0);
      const changed = tf.where(tf.cast(mask, "bool"), source, tf.onesLike(source));
      assert.equal(
        furthest(forward(params, cfg, changed, target, { mask }), forward(params, cfg, source, target, { mask })),
        0,
      );
    });
  }

  it("gives every gradient of PyTorch, to 1e-4 of its size", () => {
    const { source, target, mask, weights } = part("v1.1.");
    const cfg = t5Config(configs["v1.1"]);
    const loss = (p: Params) => tf.sum(tf.mul(forward(p, cfg, source, target, { mask }), weights));
    const { grads } = valueAndGrads(loss)(fromHF(part("v1.1.start."), cfg));
    const wanted = part("v1.1.grad.");
    assert.deepEqual(Object.keys(grads), Object.keys(shapes(cfg)));
    for (const [name, grad] of Object.entries(grads)) {
      const off = furthest(grad, wanted[name]) / largest(wanted[name]);
      assert.ok(off <= 1e-4, `${name}: ${off}`);
    }
  });

  it("numbers distances as transformers does", () => {
    for (const both of [true, false]) {
      const wanted = Array.from(fixture[`buckets.${both ? "True" : "False"}`].dataSync());
      assert.deepEqual(
        wanted.map((_, i) => bucket(i - 200, 32, 128, both)),
        wanted,
      );
    }
  });

  it("passes every matrix through the seam, by the name of its parameter; starts with what shapes says", () => {
    const cfg = t5Config(configs["v1.1"]);
    const p = initT5(cfg, rng(1));
    const seen: string[] = [];
    const linear = compose((next) => (name, x, w, b) => {
      seen.push(`${name}.weight`);
      assert.equal(w, p[`${name}.weight`]);
      return next(name, x, w, b);
    });
    const ids = tf.tensor2d([1, 2, 3], [1, 3], "int32");
    assert.ok(largest(forward(p, cfg, ids, ids, { linear })) < 100);
    const matrices = Object.entries(shapes(cfg)).filter(
      ([name, { length }]) => length === 2 && !/shared|_bias/.test(name),
    );
    assert.deepEqual([...seen].sort(), matrices.map(([name]) => name).sort());
  });

  it("says what is wrong", () => {
    const json = configs["v1.0"];
    assert.throws(() => t5Config({ ...json, model_type: "bart" }), /model_type is "bart"; wanted "t5"/);
    assert.throws(() => t5Config({ ...json, feed_forward_proj: "gated-silu" }), /feed_forward_proj is "gated-silu"/);
    assert.throws(() => t5Config({ ...json, num_layers: 1e9 }), /num_layers is 1000000000; wanted/);
    const cfg = t5Config(json);
    const params = fromHF(part("v1.0.start."), cfg);
    assert.throws(
      () => fromHF({ ...params, "shared.weight": tf.ones([2]) }, cfg),
      /shared.weight is \[2\]; wanted \[41,24\]/,
    );
    const ids = tf.tensor2d([1, 2], [1, 2], "int32");
    assert.throws(() => encode(params, cfg, ids, { mask: tf.ones([1, 3]) }), /mask is \[1,3\]; wanted \[1,2\]/);
    assert.throws(() => encode(params, cfg, tf.ones([2], "int32")), /the source is \[2\]; wanted \[B, T\]/);
  });
});
