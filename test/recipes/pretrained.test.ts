// Pre-trained folders and files: what fromPretrained gives equals transformers and llama.cpp, what save writes transformers
// loads (test/fixtures/folders.py, smollm2.py), and what is not a model is refused.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tf } from "@whetstone/engine";
import { folder as minilm } from "../../data/load-minilm.ts";
import { FormatError, load, save as saveTensors } from "../../recipes/core/io.ts";
import { generate } from "../../recipes/infer/decode.ts";
import { meanPool, normalize } from "../../recipes/model/bert.ts";
import { emptyCache, step } from "../../recipes/model/gpt.ts";
import { type Bert, fromPretrained, type GPT, save } from "../../recipes/model/index.ts";
import { writeFolders } from "../fixtures/folders.ts";

const fixtures = join(import.meta.dirname, "../fixtures");
const smollm2 = join(import.meta.dirname, "../../data/models/SmolLM2-135M-Instruct");
const furthest = (a: tf.Tensor, b: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);
const largest = (a: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(a)).dataSync()[0]);

describe("pre-trained folders", function () {
  this.timeout(60_000);
  let top: string;
  let names: string[];
  before(async () => {
    top = mkdtempSync(join(tmpdir(), "pretrained-"));
    names = await writeFolders(top);
  });
  after(() => rmSync(top, { recursive: true }));

  it("save writes what transformers has loaded: the bytes are those that folders.py found right", () => {
    const wanted = JSON.parse(readFileSync(join(fixtures, "folders.json"), "utf8"));
    assert.deepEqual(Object.keys(wanted).sort(), [...names].sort());
    for (const name of names)
      assert.deepEqual(JSON.parse(readFileSync(join(top, name, "whetstone.json"), "utf8")).sha256, wanted[name], name);
  });

  it("fromPretrained gives the logits, or hidden states, of transformers for each family, to 1e-5 of their size", async () => {
    const [gpt2, llama, bert] = ["gpt", "llama", "bert"].map(
      (name) => load(join(fixtures, `${name}.safetensors`)).params,
    );
    for (const name of names.filter((name) => !/^(bert|t5)-/.test(name))) {
      const model = await fromPretrained(join(top, name));
      const variant = name.replace("llama-", "");
      const [ids, wanted] =
        name === "gpt2"
          ? [gpt2.ids, gpt2.logits]
          : name === "bert"
            ? [bert.ids, bert.plain]
            : [llama[`${variant}.ids`], llama[`${variant}.logits`]];
      assert.equal(model.family, name.replace(/-.*/, ""));
      assert.deepEqual([model.meta.format, model.meta.stored], ["safetensors", ["F32"]]);
      const off = furthest(model.forward(ids), wanted);
      assert.ok(off <= 1e-5 * Math.max(1, largest(wanted)), `${name}: ${off}`);
      const text = name === "bert" ? "ab abcd" : "abcab ab<end>";
      assert.deepEqual([...model.tokenizer!.encode(text)], name === "bert" ? [2, 2, 3, 4] : [10, 9, 11, 12]);
      if (name !== "bert") assert.equal(model.tokenizer!.decode([10, 9, 11, 12]), "abcab ab");
    }
  });

  it("what was saved is loaded and saved again to the same bytes", async () => {
    for (const name of names) {
      save(join(top, "again"), await fromPretrained(join(top, name)));
      const of = (folder: string) => readFileSync(join(top, folder, "whetstone.json"), "utf8");
      assert.equal(of("again"), of(name));
    }
  });

  it("reads shards by their index, and says which one is wrong", async () => {
    const folder = join(top, "sharded");
    cpSync(join(top, "llama-own"), folder, { recursive: true });
    const { params } = load(join(folder, "model.safetensors"));
    for (const name of ["model.safetensors", "whetstone.json"]) rmSync(join(folder, name));
    const map = Object.fromEntries(Object.keys(params).map((name, i) => [name, `model-${i % 3}.safetensors`]));
    for (const file of new Set(Object.values(map))) {
      const part = Object.entries(params).filter(([name]) => map[name] === file);
      saveTensors(join(folder, file), Object.fromEntries(part));
    }
    const index = (weight_map: unknown) =>
      writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map }));
    index(map);
    const ids = tf.tensor2d([1, 2, 3], [1, 3], "int32");
    const whole = await fromPretrained(join(top, "llama-own"));
    assert.equal(furthest((await fromPretrained(folder)).forward(ids), whole.forward(ids)), 0);
    const [first] = Object.keys(map);
    const wrong: [unknown, RegExp][] = [
      [{ ...map, [first]: "model-1.safetensors" }, /is in model-0.safetensors, but the index says "model-1/],
      [{ ...map, more: "model-1.safetensors" }, /model-1.safetensors has no more/],
      [{ ...map, [first]: "../gpt2/model.safetensors" }, /wanted a .safetensors beside it/],
      [{}, /weight_map is \{\}; wanted files/],
      [7, /weight_map is 7/],
    ];
    for (const [map, message] of wrong) {
      index(map);
      await assert.rejects(
        fromPretrained(folder),
        (error: Error) => error instanceof FormatError && message.test(error.message),
      );
    }
    index({ ...map, [first]: "model-9.safetensors" });
    await assert.rejects(fromPretrained(folder), /model-9.safetensors|the index says/);
  });

  it("notices a changed byte in what was saved, by its hash", async () => {
    const folder = join(top, "changed");
    cpSync(join(top, "bert"), folder, { recursive: true });
    const path = join(folder, "model.safetensors");
    const bytes = readFileSync(path);
    bytes[bytes.length - 5] ^= 1;
    writeFileSync(path, bytes);
    await assert.rejects(fromPretrained(folder), /model.safetensors has SHA-256 .* it was changed/);
    rmSync(path);
    await assert.rejects(fromPretrained(folder), /no model.safetensors|missing/);
  });

  it("refuses pickles with the command that converts them, and says what is missing", async () => {
    const folder = join(top, "pickle");
    mkdirSync(folder);
    await assert.rejects(fromPretrained(folder), /has no model.safetensors and not one .gguf/);
    writeFileSync(join(folder, "pytorch_model.bin"), "x");
    for (const path of [folder, join(folder, "pytorch_model.bin")])
      await assert.rejects(fromPretrained(path), /pytorch_model.bin is a pickle: .*python -c "from transformers/);
    await assert.rejects(fromPretrained(join(top, "none")), /none is not there; `hf download ORG\/NAME/);
    writeFileSync(join(folder, "x.onnx"), "x");
    await assert.rejects(fromPretrained(join(folder, "x.onnx")), /is no model file/);
    saveTensors(join(folder, "model.safetensors"), { w: tf.ones([1]) });
    await assert.rejects(fromPretrained(folder), /config.json is missing/);
    for (const [config, message] of [
      ["{", /config.json is not JSON/],
      ['{"model_type": "t6"}', /model_type is "t6"; wanted/],
      [readFileSync(join(top, "gpt2/config.json")), /No parameter "wte.weight"/],
    ] as const) {
      writeFileSync(join(folder, "config.json"), config);
      await assert.rejects(fromPretrained(folder), (e: Error) => e instanceof FormatError && message.test(e.message));
    }
  });
});

describe("real models", function () {
  this.timeout(120_000);

  it("MiniLM: fromPretrained gives the embeddings of PyTorch, to 1e-4", async function () {
    if (!existsSync(join(minilm, "model.safetensors"))) this.skip(); // npm run setup could not fetch it
    const model = (await fromPretrained(minilm)) as Bert;
    const { params: fixture, metadata } = load(join(fixtures, "minilm.safetensors"));
    for (const [i, sentence] of (JSON.parse(metadata.sentences) as string[]).slice(0, 8).entries()) {
      const ids = tf.tensor2d([Array.from(model.tokenizer!.encode(sentence))], undefined, "int32");
      const found = normalize(meanPool(model.forward(ids), tf.onesLike(ids)));
      const off = furthest(found, tf.slice(fixture.embeddings, [i, 0], [1, -1]));
      assert.ok(off <= 1e-4, `${sentence}: ${off}`);
    }
    tf.dispose(model.params);
  });

  describe("SmolLM2-135M", () => {
    let model: GPT;
    const reference: { prompt: string; ids: number[]; greedy: number[]; text: string }[] = JSON.parse(
      readFileSync(join(fixtures, "smollm2.json"), "utf8"),
    );
    before(async function () {
      if (!existsSync(smollm2)) this.skip(); // npm run setup could not fetch it
      model = (await fromPretrained(smollm2)) as GPT;
    });
    after(() => {
      if (model) tf.dispose(model.params);
    });

    it("says that it comes from four bits, and how its conversations are written", () => {
      assert.deepEqual(model.meta.stored, ["Q4_1", "F32", "Q8_0"]);
      assert.deepEqual(model.meta.eos, [model.tokenizer!.idOf("<|im_end|>")]);
      assert.match(String(model.meta.chatTemplate), /im_start/);
    });

    it("cuts texts into the ids of llama.cpp, and back", () => {
      for (const { prompt, ids, greedy, text } of reference) {
        assert.deepEqual(Array.from(model.tokenizer!.encode(prompt)), ids);
        assert.equal(model.tokenizer!.decode(ids, { special: true }), prompt);
        assert.equal(model.tokenizer!.decode(greedy, { special: true }), text);
      }
    });

    it("gives the logits of PyTorch to 1e-4, and continues five prompts as llama.cpp does", () => {
      const { logits: wanted } = load(join(fixtures, "smollm2.safetensors")).params;
      for (const [i, { ids, greedy, prompt }] of reference.entries()) {
        // Each id of the continuation is the likeliest after those before it: so the continuation is the greedy one.
        const all = tf.tensor2d([[...ids, ...greedy]], undefined, "int32");
        const [best, off] = tf.tidy(() => {
          const logits = model.forward(all);
          const after = tf.slice(logits, [0, ids.length - 1, 0], [1, 1, -1]).reshape([1, -1]);
          return [Array.from(tf.argMax(logits, -1).dataSync()), furthest(after, tf.slice(wanted, [i, 0], [1, -1]))];
        });
        assert.ok(off <= 1e-4, `${prompt}: ${off}`);
        assert.deepEqual(best.slice(ids.length - 1, -1), greedy, prompt);
      }
    });

    it("writes that continuation with its cache, id by id", () => {
      const { ids, greedy } = reference[0];
      const { params, cfg } = model;
      const next = (ids: tf.Tensor, cache: ReturnType<typeof emptyCache>) =>
        step(params, cfg, ids, cache, { last: true });
      const [room, length] = [64, greedy.length];
      const found = generate(next, emptyCache(cfg, { length: room }), ids, { length, room, temperature: 0 });
      assert.deepEqual([...found], greedy);
    });
  });
});
