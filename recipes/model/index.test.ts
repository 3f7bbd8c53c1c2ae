// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test index.test.ts
import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { FormatError } from "../core/io.ts";
import { rng } from "../core/rng.ts";
import * as bert from "./bert.ts";
import * as gpt from "./gpt.ts";
import { type Bert, fromPretrained, type GPT, save, type T5 } from "./index.ts";
import * as t5 from "./seq2seq.ts";

await tf.ready();
const top = mkdtempSync(join(tmpdir(), "pretrained-"));
after(() => rmSync(top, { recursive: true }));
const ids = tf.tensor2d([[1, 2, 3]], [1, 3], "int32");
const off = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0];
const cfg: gpt.GPTConfig = { family: "llama", layers: 1, dim: 32, heads: 4, kvHeads: 2, ffn: 64, ctx: 8, vocab: 11 };
const params = gpt.initGPT(cfg, rng(1));

test("a Llama goes to a folder and to a GGUF file, and comes back with the same logits", async () => {
  for (const path of [join(top, "llama"), join(top, "llama.gguf")]) {
    save(path, { family: "llama", cfg, params, meta: { eos: [3] } });
    const back = (await fromPretrained(path)) as GPT;
    assert.deepEqual([back.family, back.meta.format], ["llama", path.endsWith("f") ? "gguf" : "safetensors"]);
    assert.ok(off(back.forward(ids), gpt.forward(params, cfg, ids)) < 1e-6);
  }
  save(join(top, "small.gguf"), { family: "llama", cfg, params }, { dtype: "Q8_0" });
  const small = (await fromPretrained(join(top, "small.gguf"))) as GPT;
  assert.equal(small.meta.stored[0], "Q8_0");
  assert.ok(off(small.forward(ids), gpt.forward(params, cfg, ids)) < 0.01);
});

test("BERT and T5 too", async () => {
  const encoder: bert.BertConfig = { layers: 1, dim: 8, heads: 2, ffn: 16, ctx: 6, vocab: 11, types: 2, eps: 1e-12 };
  const weights = Object.fromEntries(
    Object.entries(bert.shapes(encoder)).map(([name, shape]) => [name, rng(1).fork(name).normal(shape)]),
  );
  save(join(top, "bert"), { family: "bert", cfg: encoder, params: weights });
  const read = (await fromPretrained(join(top, "bert"))) as Bert;
  assert.ok(off(read.forward(ids), bert.forward(weights, encoder, ids)) < 1e-6);

  const both = {
    ...{ layers: 1, decoderLayers: 1, dim: 8, heads: 2, headDim: 4, ffn: 12, vocab: 11, mlp: "relu", tied: true },
    ...{ scaled: true, buckets: 8, farthest: 20, eps: 1e-6, start: 0 },
  } as t5.T5Config;
  const own = t5.initT5(both, rng(1));
  save(join(top, "t5"), { family: "t5", cfg: both, params: own });
  const translator = (await fromPretrained(join(top, "t5"))) as T5;
  assert.ok(off(translator.forward(ids, { target: ids }), t5.forward(own, both, ids, ids)) < 1e-6);
});

test("what was changed, cut off or is a program is refused", async () => {
  save(join(top, "torn"), { family: "llama", cfg, params });
  appendFileSync(join(top, "torn/config.json"), " ");
  await assert.rejects(fromPretrained(join(top, "torn")), (error) => error instanceof FormatError);
  writeFileSync(join(top, "x.pt"), "");
  await assert.rejects(fromPretrained(join(top, "x.pt")), /is a pickle: a program that would run/);
  await assert.rejects(fromPretrained(join(top, "nothing")), /is not there/);
  assert.throws(
    () => save(join(top, "q"), { family: "llama", cfg, params }, { dtype: "Q8_0" }),
    /Q8_0 is of GGUF files/,
  );
});
