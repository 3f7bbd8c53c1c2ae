// Runs as it is, with @huggingface/tokenizers: node --test tokenizer.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import { FormatError } from "../core/io.ts";
import { textTokenizer, tokenizerOfGGUF, tokenizerToGGUF } from "./tokenizer.ts";

const pieces = [..."abc", "Ġ", "ab", "abc", "Ġab"];
const token = { single_word: false, lstrip: false, rstrip: false, normalized: false };
const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
const json = {
  added_tokens: [{ id: 7, content: "<end>", special: true, ...token }],
  normalizer: null,
  pre_tokenizer: byteLevel,
  post_processor: null,
  decoder: { ...byteLevel, add_prefix_space: true },
  model: {
    type: "BPE",
    unk_token: null,
    vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
    merges: ["a b", "ab c", "Ġ ab"],
  },
};

test("texts become ids by the merges, and ids texts again", async () => {
  const { encode, decode, idOf } = await textTokenizer(json);
  assert.deepEqual([...encode("abc ab<end>")], [5, 6, 7]);
  assert.deepEqual([decode([5, 6, 7]), decode([7], { special: true })], ["abc ab", "<end>"]);
  assert.deepEqual([idOf("<end>"), idOf("nothing")], [7, undefined]);
});

test("goes into a GGUF file and comes back as the same tokenizer", async () => {
  const before = await textTokenizer(json, { eos_token: "<end>" });
  const typed = tokenizerToGGUF(before, 9);
  const meta = Object.fromEntries(Object.entries(typed).map(([key, { value }]) => [key, value])) as any;
  assert.equal(meta["tokenizer.ggml.eos_token_id"], 7);
  assert.equal(meta["tokenizer.ggml.tokens"].length, 9); // one that the model has and the tokenizer has not
  const { json: back, config } = tokenizerOfGGUF(meta);
  const after = await textTokenizer(back, config);
  assert.deepEqual(after.encode("cab abc<end>"), before.encode("cab abc<end>"));
  assert.equal(config.eos_token, "<end>");
});

test("a damaged file is an error of the file", async () => {
  const broken = (more: object) => textTokenizer({ ...json, model: { ...json.model, ...more } });
  await assert.rejects(broken({ merges: ["a x"] }), /the merge "a x" is not of two tokens/);
  await assert.rejects(broken({ vocab: { a: 0, b: 0 } }), /the id 0 of another token/);
  await assert.rejects(broken({ type: "Letters" }), FormatError);
  await assert.rejects(textTokenizer({ ...json, added_tokens: {} }), /added_tokens is .*wanted a list/);
  for (const id of [1.5, -1, "7"])
    await assert.rejects(textTokenizer({ ...json, added_tokens: [{ id, content: "<x>" }] }), /is no added token/);
  await assert.rejects(textTokenizer({ ...json, normalizer: { type: "Magic" } }), /normalizer is of type "Magic"/);
  assert.throws(() => tokenizerOfGGUF({ "tokenizer.ggml.model": "bert" }), /known are "gpt2"/);
});
