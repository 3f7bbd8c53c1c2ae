// GGUF as llama.cpp's own Python package writes and dequantizes it (test/fixtures/small_gguf.py).
import assert from "node:assert/strict";
import { join } from "node:path";
import { tf } from "@whetstone/engine";
import { FormatError, load } from "../../recipes/core/io.ts";
import { rng } from "../../recipes/core/rng.ts";
import { loadGGUF } from "../../recipes/export/gguf.ts";
import { fromGGUF } from "../../recipes/model/gguf.ts";
import { forward, type GPTConfig, initGPT } from "../../recipes/model/gpt.ts";
import { tokenizerOfGGUF } from "../../recipes/model/tokenizer.ts";

const fixtures = join(import.meta.dirname, "../fixtures");

describe("gguf", () => {
  it("reads every type to the bit, and the metadata", () => {
    const { params, meta, types } = loadGGUF(join(fixtures, "small.gguf"));
    const { params: wanted } = load(join(fixtures, "small_gguf.safetensors"));
    assert.deepEqual(Object.keys(params).sort(), Object.keys(wanted).sort());
    for (const [name, tensor] of Object.entries(wanted)) {
      assert.deepEqual(params[name].shape, tensor.shape);
      assert.deepEqual(params[name].dataSync(), tensor.dataSync(), name);
      assert.equal(types[name], name === "vector" ? "F32" : name.replace(".weight", ""));
    }
    const { "test.u64": long, ...rest } = meta;
    assert.equal(long, 2n ** 63n + 1n);
    assert.deepEqual(
      { ...rest },
      {
        "general.architecture": "test",
        "test.u32": 2 ** 32 - 1,
        "test.i64": -(2 ** 40),
        "test.f32": 0.5,
        "test.yes": true,
        "test.text": "größe 数",
        "test.list": ["a", "", "ü"],
        "test.numbers": [1, -2, 3],
      },
    );
  });

  it("names and turns a GPT-2's tensors, and says what a Llama's file lacks", () => {
    const cfg: GPTConfig = { layers: 1, dim: 8, heads: 2, ctx: 5, vocab: 11, ffn: 32, tied: true, eps: 1e-5 };
    const p = initGPT(cfg, rng(1));
    const names: Record<string, string> = { wte: "token_embd", wpe: "position_embd", ln_f: "output_norm" };
    const inner: Record<string, string> = { ln_1: "attn_norm", ln_2: "ffn_norm" };
    Object.assign(inner, { "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output" });
    Object.assign(inner, { "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down" });
    const file = Object.fromEntries(
      Object.entries(p).map(([name, tensor]) => {
        const [, part, kind] = /^(?:h\.0\.)?(.*)\.(weight|bias)$/.exec(name)!;
        return [names[part] ? `${names[part]}.${kind}` : `blk.0.${inner[part]}.${kind}`, tensor];
      }),
    );
    const meta = {
      "general.architecture": "gpt2",
      "gpt2.block_count": 1,
      "gpt2.embedding_length": 8,
      "gpt2.attention.head_count": 2,
      "gpt2.context_length": 5,
      "gpt2.feed_forward_length": 32,
      "gpt2.attention.layer_norm_epsilon": Math.fround(1e-5),
    };
    const made = fromGGUF(file, meta);
    assert.deepEqual(made.cfg, cfg);
    const ids = tf.tensor2d([1, 2, 3], [1, 3], "int32");
    const off = tf.max(tf.abs(tf.sub(forward(made.params, made.cfg, ids), forward(p, cfg, ids)))).dataSync()[0];
    assert.equal(off, 0);
    assert.throws(
      () => fromGGUF(file, { ...meta, "general.architecture": "mamba" }),
      /architecture "mamba"; known are/,
    );
    assert.throws(() => fromGGUF(file, { ...meta, "gpt2.block_count": 1e9 }), /block_count is 1000000000; wanted/);
    assert.throws(() => fromGGUF(file, { ...meta, "gpt2.rope.scaling.type": "yarn" }), FormatError);
    assert.throws(() => fromGGUF({ ...file, more: ids }, meta), /has a tensor "more", which is not one of gpt2/);
    const { "blk.0.ffn_up.bias": _, ...less } = file;
    assert.throws(() => fromGGUF(less, meta), /No parameter "blk.0.ffn_up.bias"/);
  });

  it("refuses a tokenizer that it would get wrong", () => {
    const meta = { "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["a", "b"], "tokenizer.ggml.merges": [] };
    assert.equal(tokenizerOfGGUF({ ...meta, "tokenizer.ggml.eos_token_id": 1 }).config.eos_token, "b");
    assert.throws(() => tokenizerOfGGUF({ ...meta, "tokenizer.ggml.model": "bert" }), /tokenizer is "bert"; known are/);
    assert.throws(() => tokenizerOfGGUF({ ...meta, "tokenizer.ggml.pre": "tekken" }), /cuts words as "tekken"/);
    assert.throws(() => tokenizerOfGGUF({ ...meta, "tokenizer.ggml.tokens": ["a", "a"] }), /has a token twice/);
    assert.throws(() => tokenizerOfGGUF({ ...meta, "tokenizer.ggml.eos_token_id": 9 }), /eos_token_id is 9; it has 2/);
  });
});
