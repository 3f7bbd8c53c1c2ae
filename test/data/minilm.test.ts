// The real all-MiniLM-L6-v2 against transformers on PyTorch (test/fixtures/minilm.py): tokens equal, embeddings to 1e-4.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tf } from "@whetstone/engine";
import { folder, loadMiniLM, type SentenceModel } from "../../data/load-minilm.ts";
import { load } from "../../recipes/core/io.ts";

const { params: fixture, metadata } = load(join(import.meta.dirname, "../fixtures/minilm.safetensors"));
const sentences: string[] = JSON.parse(metadata.sentences);
const furthest = (a: tf.Tensor, b: tf.Tensor) => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);

describe("MiniLM", function () {
  this.timeout(60_000);
  let model: SentenceModel;

  before(function () {
    if (!existsSync(join(folder, "model.safetensors"))) this.skip(); // npm run setup could not fetch it
    model = loadMiniLM();
  });

  it("cuts the same tokens as Python's tokenizer: short, long, empty, many scripts, special tokens", () => {
    assert.ok(sentences.length >= 12 && sentences.includes(""));
    const { ids, mask } = model.encode(sentences);
    assert.deepEqual(ids.arraySync(), fixture.ids.arraySync());
    assert.deepEqual(mask.arraySync(), fixture.mask.arraySync());
    assert.ok(Math.max(...Array.from(tf.sum(mask, 1).dataSync())) === 256, "one of the sentences must be truncated");
  });

  it("gives the embeddings of PyTorch to 1e-4, for each of the sentences", () => {
    for (const [i, sentence] of sentences.entries()) {
      const off = furthest(model.embed([sentence]), tf.slice(fixture.embeddings, [i, 0], [1, -1]));
      assert.ok(off <= 1e-4, `${JSON.stringify(sentence.slice(0, 40))}: ${off}`);
    }
  });

  it("gives them in a batch of unequal lengths too, in the order given", () => {
    const few = [...sentences.slice(0, 9), sentences[16], ""];
    const wanted = tf.gather(
      fixture.embeddings,
      few.map((text) => sentences.indexOf(text)),
    );
    assert.ok(furthest(model.embed(few, { batch: 4 }), wanted) <= 1e-4);
    assert.deepEqual(model.embed([]).shape, [0, model.cfg.dim]);
  });

  it("puts what means the same closer together than what does not", () => {
    const e = model.embed(["A man is eating food.", "Someone has a meal.", "The treaty was ratified by the Senate."]);
    const [same, other] = [1, 2].map((i) => tf.sum(tf.mul(tf.slice(e, [0], [1]), tf.slice(e, [i], [1]))).dataSync()[0]);
    assert.ok(same > other + 0.3, `${same}, ${other}`);
  });

  it("cuts and pads as asked, and says when a text does not fit", () => {
    const { ids, mask } = model.encode(["a b c d e f"], { maxTokens: 5, pad: 7 });
    const row = Array.from(ids.dataSync());
    assert.deepEqual([row[0], row[4], row[5], row[6]], [101, 102, 0, 0]); // [CLS] ... [SEP] [PAD] [PAD]
    assert.deepEqual(Array.from(mask.dataSync()), [1, 1, 1, 1, 1, 0, 0]);
    assert.throws(
      () => model.encode(["a b c d e f"], { pad: 4 }),
      /text 0 has 8 tokens, more than pad 4; set maxTokens/,
    );
  });

  it("keeps no tensors but those it returns", () => {
    model.embed(["warm"]).dispose();
    const before = tf.memory().numTensors;
    model.embed(["one", "two"], { batch: 1 }).dispose();
    assert.equal(tf.memory().numTensors, before);
  });
});

describe("loadMiniLM", () => {
  it("says what is missing and which command fetches it", () => {
    const empty = mkdtempSync(join(tmpdir(), "minilm-"));
    try {
      assert.throws(() => loadMiniLM(empty), /config.json is missing: npm run setup fetches all-MiniLM-L6-v2/);
    } finally {
      rmSync(empty, { recursive: true });
    }
  });
});
