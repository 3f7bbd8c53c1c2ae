// `save` to .gguf: llama.cpp has loaded these bytes and given these probabilities (test/fixtures/saved_gguf.mjs), and
// fromPretrained reads them again.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tf } from "@whetstone/engine";
import { dequantize, type GGUFType, readGGUF } from "../../recipes/export/gguf.ts";
import { quantize } from "../../recipes/export/write-gguf.ts";
import type { BertConfig } from "../../recipes/model/bert.ts";
import { fromPretrained, type GPT, save } from "../../recipes/model/index.ts";
import { textTokenizer, tokenizerToGGUF } from "../../recipes/model/tokenizer.ts";
import { modelOf, writeFiles } from "../fixtures/saved_gguf.ts";
import { bpeJson, wordPieceJson } from "../fixtures/tokenizers.ts";

const wanted: Record<string, { sha256: string; ids: number[]; probabilities: number[] }> = JSON.parse(
  readFileSync(join(import.meta.dirname, "../fixtures/saved_gguf.json"), "utf8"),
);

describe("saved GGUF", function () {
  this.timeout(60_000);
  let top: string;
  let names: string[];
  before(async () => {
    top = mkdtempSync(join(tmpdir(), "saved-gguf-"));
    names = await writeFiles(top);
  });
  after(() => rmSync(top, { recursive: true }));

  it("save writes the bytes that llama.cpp has loaded", () => {
    assert.deepEqual(Object.keys(wanted).sort(), names.filter((name) => !name.startsWith("wordless")).sort());
    for (const [name, { sha256 }] of Object.entries(wanted))
      assert.equal(
        createHash("sha256")
          .update(readFileSync(join(top, name)))
          .digest("hex"),
        sha256,
        name,
      );
  });

  // The weights are the same to the bit. But llama.cpp looks GELU up in a table of float16, and rounds what it multiplies
  // stored weights by to their type, or to 8 bits; the four-bit models are 0.2 from the float32 one.
  const bar = (name: string) => (!name.includes("F32") ? 3e-2 : name.startsWith("gpt2") ? 5e-4 : 1e-5);
  it("the file has the ids of llama.cpp, and its probabilities", async () => {
    for (const [name, { ids, probabilities }] of Object.entries(wanted)) {
      const model = (await fromPretrained(join(top, name))) as GPT;
      assert.deepEqual([...model.tokenizer!.encode("abcab ab<end>d")], ids);
      assert.equal(model.meta.chatTemplate, "{% for m in messages %}{{ m.content }}{% endfor %}");
      assert.deepEqual(model.meta.eos, [12]);
      const found = tf.tidy(() => {
        const logits = model.forward(tf.tensor2d([ids], undefined, "int32"));
        return tf.softmax(tf.slice(logits, [0, ids.length - 1, 0]).reshape([-1])).dataSync();
      });
      const off = Math.max(...probabilities.map((p, id) => Math.abs(p - found[id])));
      assert.ok(off <= bar(name), `${name}: ${off}`);
      tf.dispose(model.params);
    }
  });

  it("our reader gives back what was written: float32 to the bit, blocks as they are dequantized", async () => {
    for (const name of names) {
      const [, kind, type] = /^(\w+)-(\w+)\.gguf$/.exec(name)! as unknown as [string, string, GGUFType];
      const { cfg, params } = modelOf(kind);
      const model = (await fromPretrained(join(top, name))) as GPT;
      assert.equal(model.cfg.layers, cfg.layers);
      const stored = Object.fromEntries(readGGUF(readFileSync(join(top, name))).tensors.map((t) => [t.name, t.type]));
      assert.equal(model.tokenizer === undefined, kind === "wordless");
      for (const [key, tensor] of Object.entries(params)) {
        const matrix = tensor.rank === 2 && key !== "wpe.weight";
        const head =
          key === (cfg.tied === false ? "lm_head.weight" : cfg.family ? "model.embed_tokens.weight" : "wte.weight");
        let as: GGUFType = matrix ? (head && type.startsWith("Q4") ? "Q8_0" : type) : "F32";
        if (as.startsWith("Q") && tensor.shape.at(-1)! % 32) as = "F16"; // rows of 48 and 80
        const once = dequantize(quantize(tensor.dataSync() as Float32Array, as), as);
        assert.deepEqual(model.params[key].dataSync(), once, `${name} ${key} as ${as}`);
      }
      assert.ok(Object.values(stored).includes(type), name);
      tf.dispose([params, model.params]);
    }
  });

  it("refuses what llama.cpp would run otherwise", async () => {
    const { cfg, params } = modelOf("llama");
    const to = join(top, "x.gguf");
    const llama = { family: "llama" as const, params };
    const stretched = { ...cfg, scaling: { type: "linear" as const, factor: 2 } };
    assert.throws(() => save(to, { ...llama, cfg: stretched }), /positions that are stretched.* not written as GGUF/);
    assert.throws(() => save(to, { ...llama, cfg: { ...cfg, mlp: "relu2" } }), /relu2 are not written as GGUF/);
    assert.throws(() => save(join(top, "x"), { ...llama, cfg }, { dtype: "Q8_0" }), /End the path in .gguf/);
    const bert = { family: "bert" as const, cfg: {} as BertConfig, params };
    assert.throws(() => save(to, bert), /a BERT is not written as GGUF/);
    const of = async (json: object) => tokenizerToGGUF(await textTokenizer({ ...bpeJson, ...json }), 16);
    await assert.rejects(of(wordPieceJson), /"WordPiece" .* is not written as GGUF/);
    await assert.rejects(of({ normalizer: { type: "Lowercase" } }), /a normalizer \("Lowercase"\)/);
    await assert.rejects(of({ pre_tokenizer: { type: "Whitespace" } }), /how it cuts words \("Whitespace"\)/);
    const eleven = await textTokenizer(bpeJson);
    assert.throws(() => tokenizerToGGUF(eleven, 11), /it has 13 ids, but the model 11/);
    tf.dispose(params);
  });
});
