// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test gguf.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import type { Params } from "../core/params.ts";
import { rng } from "../core/rng.ts";
import { dequantize } from "../export/gguf.ts";
import { fromGGUF, toGGUF } from "./gguf.ts";
import { complete, type GPTConfig, initGPT } from "./gpt.ts";

await tf.ready();
const base = { layers: 2, dim: 32, heads: 4, ctx: 8, vocab: 11, ffn: 64 };
const models: Record<string, GPTConfig> = {
  gpt2: { ...base, eps: 1e-5 },
  llama: { ...base, family: "llama", kvHeads: 2 },
};
const off = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0];
const stored = (params: Params, cfg: GPTConfig, type: "F32" | "Q8_0") => {
  const { tensors, meta } = toGGUF(params, cfg, type);
  const file = Object.fromEntries(tensors.map((t) => [t.name, tf.tensor(dequantize(t.bytes, t.type), t.shape)]));
  return { file, meta: Object.fromEntries(Object.entries(meta).map(([key, { value }]) => [key, value])) as any };
};

for (const [name, cfg] of Object.entries(models))
  test(`${name}: under llama.cpp's names and back, the same weights and sizes`, () => {
    const params = initGPT(cfg, rng(1));
    const { file, meta } = stored(params, cfg, "F32");
    assert.ok(file["blk.1.attn_norm.weight"] && file["token_embd.weight"]);
    const back = fromGGUF(file, meta);
    assert.deepEqual(complete(back.cfg), complete(cfg));
    for (const [key, w] of Object.entries(params)) assert.equal(off(back.params[key], w), 0, key);
  });

test("rows of queries and keys lie as llama.cpp turns them: neighbours, not halves", () => {
  const params = initGPT(models.llama, rng(1));
  const { file } = stored(params, models.llama, "F32");
  const ours = params["model.layers.0.self_attn.q_proj.weight"];
  const theirs = file["blk.0.attn_q.weight"];
  // Of a head of 8 rows, row 4 (the second half begins) is theirs at 1.
  const row = (w: tf.Tensor, i: number) => tf.slice(w, [i, 0], [1, 32]);
  for (const [from, to] of [
    [0, 0],
    [4, 1],
    [1, 2],
    [12, 9],
  ])
    assert.equal(off(row(ours, from), row(theirs, to)), 0);
});

test("matrices are quantized, vectors are not, and what llama.cpp does not know is refused", () => {
  const params = initGPT(models.llama, rng(1));
  const types = Object.fromEntries(toGGUF(params, models.llama, "Q4_0").tensors.map(({ name, type }) => [name, type]));
  assert.deepEqual(
    [types["blk.0.ffn_up.weight"], types["blk.0.ffn_norm.weight"], types["output.weight"]],
    ["Q4_0", "F32", "Q8_0"],
  );
  const learned = toGGUF(initGPT(models.gpt2, rng(1)), models.gpt2, "Q8_0").tensors;
  assert.equal(learned.find(({ name }) => name === "position_embd.weight")!.type, "F32");
  assert.throws(() => toGGUF(params, { ...models.llama, window: 3 }, "F32"), /a window are not written/);
  assert.throws(() => fromGGUF({}, { "general.architecture": "mamba" }), /known are "llama" and "gpt2"/);
  const { file, meta } = stored(params, models.llama, "F32");
  assert.throws(() => fromGGUF({ ...file, extra: tf.zeros([1]) }, meta), /a tensor "extra"/);
});
