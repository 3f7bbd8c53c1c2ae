// BERT against transformers on PyTorch: a small random one, in double precision there (test/fixtures/bert.py).
// The real MiniLM is in test/data/minilm.test.ts.
import assert from "node:assert/strict";
import { join } from "node:path";
import { jit, tf, valueAndGrad } from "@whetstone/engine";
import { valueAndGrads } from "../../recipes/core/grad.ts";
import { load } from "../../recipes/core/io.ts";
import { compose } from "../../recipes/core/linear.ts";
import type { Params } from "../../recipes/core/params.ts";
import {
  bertConfig,
  classLogits,
  embed,
  forward,
  fromHF,
  headOf,
  meanPool,
  mlmLogits,
  normalize,
  pooler,
  shapes,
  toHF,
} from "../../recipes/model/bert.ts";

const { params: fixture, metadata } = load(join(import.meta.dirname, "../fixtures/bert.safetensors"));
const config = JSON.parse(metadata.config);
const cfg = bertConfig(config);
const part = (prefix: string): Params =>
  Object.fromEntries(
    Object.entries(fixture).flatMap(([name, t]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), t]] : [])),
  );
const params = fromHF(part("start."), cfg);
const { ids, mask, types: tokenTypes } = fixture;
const furthest = (a: tf.Tensor, b: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);
const largest = (a: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(a)).dataSync()[0]);
const list = (x: tf.Tensor) => Array.from(x.dataSync());

describe("bert", () => {
  it("gives the hidden states of transformers after every layer, to 1e-5, eager and compiled", () => {
    const layers: tf.Tensor[] = [];
    const seen = forward(params, cfg, ids, { mask, tokenTypes, hidden: (l, x) => (layers[l] = x) });
    assert.equal(layers.length, cfg.layers + 1);
    layers.forEach((x, l) => {
      const wanted = tf.squeeze(tf.slice(fixture.hidden, [l], [1]), [0]);
      assert.ok(furthest(x, wanted) <= 1e-5 * largest(wanted), `layer ${l}: ${furthest(x, wanted)}`);
    });
    assert.equal(furthest(seen, layers[cfg.layers]), 0);
    const run = jit((p: Params, ids: tf.Tensor, mask: tf.Tensor, tokenTypes: tf.Tensor) =>
      forward(p, cfg, ids, { mask, tokenTypes }),
    );
    assert.ok(furthest(run(params, ids, mask, tokenTypes), seen) <= 1e-5 * largest(seen));
  });

  it("without mask and types reads everything as one text, and pools the first token", () => {
    assert.ok(furthest(forward(params, cfg, ids), fixture.plain) <= 1e-5 * largest(fixture.plain));
    const pooled = pooler(params, forward(params, cfg, ids, { mask, tokenTypes }));
    assert.ok(furthest(pooled, fixture.pooler) <= 1e-5, `${furthest(pooled, fixture.pooler)}`);
  });

  it("gives every gradient of PyTorch, to 1e-4 of its size", () => {
    const loss = (p: Params) => {
      const hidden = forward(p, cfg, ids, { mask, tokenTypes });
      return tf.add(tf.sum(tf.mul(hidden, fixture.weights)), tf.sum(tf.square(pooler(p, hidden))));
    };
    const wanted = fromHF(part("grad."), cfg);
    for (const gradient of [valueAndGrads(loss), jit(valueAndGrad(loss))]) {
      const { value, grads } = gradient(params);
      assert.ok(furthest(value, fixture.loss) <= 1e-5 * largest(fixture.loss));
      assert.deepEqual(Object.keys(grads), Object.keys(shapes(cfg)));
      const scale = Math.max(...Object.values(wanted).map(largest));
      for (const [name, grad] of Object.entries(grads)) {
        const off = furthest(grad, wanted[name]) / largest(wanted[name]);
        // A key's bias shifts all scores of a query alike: its true gradient is 0, what is left is rounding.
        if (/key\.bias/.test(name)) assert.ok(furthest(grad, wanted[name]) <= 1e-5 * scale, name);
        else assert.ok(off <= 1e-4, `${name}: ${off}`);
      }
    }
  });

  it("gives the logits of transformers for masked words, and for classes of texts, to 1e-5 of their size", () => {
    const { params: all, metadata } = load(join(import.meta.dirname, "../fixtures/bert_heads.safetensors"));
    const cfg = bertConfig(JSON.parse(metadata.config));
    const of = (prefix: string) =>
      Object.fromEntries(
        Object.entries(all).flatMap(([name, t]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), t]] : [])),
      );
    for (const [name, head] of [["mlm", "mlm"] as const, ["classes", { classes: 3 }] as const]) {
      const p = fromHF(of(`${name}.start.`), cfg, { heads: true });
      assert.deepEqual(headOf(p), head);
      assert.deepEqual(Object.keys(p), Object.keys(shapes(cfg, head)));
      assert.deepEqual(new Set(Object.keys(toHF(p))), new Set(Object.keys(of(`${name}.start.`))));
      assert.equal(headOf(fromHF(of(`${name}.start.`), cfg)), undefined);
      const hidden = forward(p, cfg, all.ids, { mask: all.mask });
      const logits = name === "mlm" ? mlmLogits(p, cfg, hidden) : classLogits(p, hidden);
      const wanted = all[`${name}.logits`];
      assert.ok(
        furthest(logits, wanted) <= 1e-5 * Math.max(1, largest(wanted)),
        `${name}: ${furthest(logits, wanted)}`,
      );
    }
  });

  it("looks in both directions, but never at padding", () => {
    const last = (x: tf.Tensor) => tf.slice(x, [1, 0, 0], [1, 8, -1]); // row 1 has 8 tokens, then padding
    const other = tf.tensor2d(
      list(ids).map((id, i) => (i % 11 >= 8 ? (id + 1) % cfg.vocab : id)),
      [3, 11],
      "int32",
    );
    const a = last(forward(params, cfg, ids, { mask }));
    assert.equal(furthest(a, last(forward(params, cfg, other, { mask }))), 0);
    assert.notEqual(furthest(a, last(forward(params, cfg, ids))), 0);
    const first = (x: tf.Tensor) => tf.slice(x, [0, 0, 0], [1, 1, -1]);
    assert.notEqual(furthest(first(forward(params, cfg, ids)), first(forward(params, cfg, other))), 0);
  });

  it("embeds: mean over the text, length 1; the same padded or not; zeros for an empty mask", () => {
    const e = embed(params, cfg, ids, mask);
    assert.deepEqual(e.shape, [3, cfg.dim]);
    for (const length of list(tf.norm(e, 2, 1))) assert.ok(Math.abs(length - 1) < 1e-6);
    const alone = embed(params, cfg, tf.slice(ids, [2, 0], [1, 3]), tf.ones([1, 3], "int32"));
    assert.ok(furthest(alone, tf.slice(e, [2, 0], [1, -1])) < 1e-6);
    const pooled = meanPool(
      tf.tensor3d([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]),
      tf.tensor2d([1, 1, 0, 0], [2, 2], "int32"),
    );
    assert.deepEqual(list(pooled), [2, 3, 0, 0]);
    assert.deepEqual(
      list(normalize(tf.tensor2d([3, 4, 0, 0], [2, 2]))).map((x) => Math.round(x * 1e6) / 1e6),
      [0.6, 0.8, 0, 0],
    );
  });

  it("passes every matrix through the seam, by the name of its parameter", () => {
    const names: string[] = [];
    const seen = compose((next) => (name, x, w, b) => {
      names.push(name);
      assert.equal(w, params[`${name}.weight`]);
      return next(name, x, w, b);
    });
    pooler(params, forward(params, cfg, ids, { linear: seen }), { linear: seen });
    assert.deepEqual(
      names.map((name) => `${name}.weight`),
      Object.entries(shapes(cfg)).flatMap(([name, shape]) =>
        shape.length === 2 && !/embeddings/.test(name) ? [name] : [],
      ),
    );
  });

  it("says what is wrong with ids, masks, files and configurations", () => {
    assert.throws(() => forward(params, cfg, tf.zeros([1, 17], "int32")), /ids are \[1,17\]; wanted .* ctx = 16/);
    assert.throws(() => forward(params, cfg, ids, { mask: tf.ones([3, 1]) }), /mask is \[3,1\], ids are \[3,11\]/);
    assert.throws(() => meanPool(fixture.plain, tf.ones([3, 10])), /mask \[3,10\]; wanted \[B, T, C\] and \[B, T\]/);
    const name = "encoder.layer.1.output.dense.weight";
    assert.throws(
      () => fromHF({ ...part("start."), [name]: tf.ones([24, 24]) }, cfg),
      /dense.weight is \[24,24\]; wanted \[24,40\]/,
    );
    const { [name]: _, ...rest } = part("start.");
    assert.throws(() => fromHF(rest, cfg), /No parameter "encoder.layer.1.output.dense.weight"/);
    assert.throws(
      () => bertConfig({ ...config, hidden_act: "relu" }),
      /hidden_act is "relu"; bert.ts computes "gelu" only/,
    );
    assert.throws(
      () => bertConfig({ ...config, hidden_size: undefined }),
      /hidden_size is undefined; wanted a whole number/,
    );
    assert.throws(() => bertConfig({ ...config, hidden_size: 25 }), /25 is not a multiple of num_attention_heads 3/);
  });

  it("takes files with the prefix bert., with other heads and without a pooler", () => {
    const { "pooler.dense.weight": _w, "pooler.dense.bias": _b, ...rest } = part("start.");
    const named = Object.fromEntries(Object.entries(rest).map(([name, t]) => [`bert.${name}`, t]));
    const loaded = fromHF({ ...named, "cls.predictions.bias": tf.ones([53]) }, cfg);
    assert.deepEqual(
      Object.keys(loaded),
      Object.keys(params).filter((name) => !/pooler/.test(name)),
    );
    assert.throws(() => pooler(loaded, fixture.plain), /No parameter "pooler.dense.weight"/);
  });
});
