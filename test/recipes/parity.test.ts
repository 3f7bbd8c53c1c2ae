// The table of recipes/README.md: how far each model is from its reference. WRITE=1 puts what was measured into it.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { tf } from "@whetstone/engine";
import { folder as minilm } from "../../data/load-minilm.ts";
import { load, writeAtomic } from "../../recipes/core/io.ts";
import type { Params } from "../../recipes/core/params.ts";
import * as bert from "../../recipes/model/bert.ts";
import { gptConfig } from "../../recipes/model/config.ts";
import * as gpt from "../../recipes/model/gpt.ts";
import { type Bert, fromPretrained, type GPT } from "../../recipes/model/index.ts";
import * as rnn from "../../recipes/model/rnn.ts";
import * as t5 from "../../recipes/model/seq2seq.ts";

const fixtures = join(import.meta.dirname, "../fixtures");
const smollm2 = join(import.meta.dirname, "../../data/models/SmolLM2-135M-Instruct");
const readme = join(import.meta.dirname, "../../recipes/README.md");
const open = (name: string) => load(join(fixtures, `${name}.safetensors`));
const under = (params: Params, prefix: string): Params =>
  Object.fromEntries(
    Object.entries(params).flatMap(([name, t]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), t]] : [])),
  );
const apart = (found: tf.Tensor, wanted: tf.Tensor): number =>
  tf.tidy(() => {
    const size = Math.max(1, tf.max(tf.abs(wanted)).dataSync()[0]);
    return tf.max(tf.abs(tf.sub(found, wanted))).dataSync()[0] / size;
  });

interface Row {
  model: string;
  reference: string;
  /** undefined when the real model is not there */
  measure: () => number | Promise<number> | undefined;
}

const rows: Row[] = [
  {
    model: "GPT-2",
    reference: "transformers",
    measure() {
      const { params: f, metadata } = open("gpt");
      const { params, cfg } = gpt.fromHF(under(f, "start."), JSON.parse(metadata.cfg).heads);
      return apart(gpt.forward(params, cfg, f.ids), f.logits);
    },
  },
  ...[
    ["grouped", "grouped keys, tied"],
    ["own", "own head, wide heads"],
    ["single", "one key head, biases, llama3 positions"],
    ["linear", "linear positions"],
  ].map(([name, what]) => ({
    model: `Llama, ${what}`,
    reference: "transformers",
    measure() {
      const { params: f, metadata } = open("llama");
      const { params, cfg } = gpt.fromHF(under(f, `${name}.start.`), gptConfig(JSON.parse(metadata.configs)[name]));
      return apart(gpt.forward(params, cfg, f[`${name}.ids`]), f[`${name}.logits`]);
    },
  })),
  {
    model: "BERT",
    reference: "transformers",
    measure() {
      const { params: f, metadata } = open("bert");
      const cfg = bert.bertConfig(JSON.parse(metadata.config));
      return apart(bert.forward(bert.fromHF(under(f, "start."), cfg), cfg, f.ids), f.plain);
    },
  },
  ...["mlm", "classes"].map((head) => ({
    model: head === "mlm" ? "BERT, masked words" : "BERT, classes",
    reference: "transformers",
    measure() {
      const { params: f, metadata } = open("bert_heads");
      const cfg = bert.bertConfig(JSON.parse(metadata.config));
      const p = bert.fromHF(under(f, `${head}.start.`), cfg, { heads: true });
      const hidden = bert.forward(p, cfg, f.ids, { mask: f.mask });
      return apart(head === "mlm" ? bert.mlmLogits(p, cfg, hidden) : bert.classLogits(p, hidden), f[`${head}.logits`]);
    },
  })),
  ...["v1.0", "v1.1"].map((version) => ({
    model: `T5 ${version}`,
    reference: "transformers",
    measure() {
      const { params: f, metadata } = open("t5");
      const cfg = t5.t5Config(JSON.parse(metadata.configs)[version]);
      const { source, target, mask, logits } = under(f, `${version}.`);
      return apart(t5.forward(t5.fromHF(under(f, `${version}.start.`), cfg), cfg, source, target, { mask }), logits);
    },
  })),
  ...(["lstm", "gru"] as const).map((kind) => ({
    model: kind.toUpperCase(),
    reference: "PyTorch",
    measure() {
      const { params: f } = open("rnn");
      const cfg: rnn.RNNConfig = { kind, layers: 2, dim: 12, hidden: 20, vocab: 1 };
      return apart(rnn.recur(rnn.fromTorch(under(f, `${kind}.start.`)), cfg, f[`${kind}.x`]).out, f[`${kind}.y`]);
    },
  })),
  {
    model: "all-MiniLM-L6-v2",
    reference: "transformers",
    measure: () => (existsSync(join(minilm, "model.safetensors")) ? ofMiniLM() : undefined),
  },
  {
    model: "SmolLM2-135M-Instruct, Q4_1 dequantized",
    reference: "transformers",
    measure: () => (existsSync(smollm2) ? ofSmolLM2() : undefined),
  },
];

async function ofMiniLM(): Promise<number> {
  const model = (await fromPretrained(minilm)) as Bert;
  const { embeddings } = open("minilm").params;
  const sentences: string[] = JSON.parse(open("minilm").metadata.sentences);
  const off = sentences.slice(0, 12).map((sentence, i) => {
    const ids = tf.tensor2d([Array.from(model.tokenizer!.encode(sentence))], undefined, "int32");
    const found = bert.normalize(bert.meanPool(model.forward(ids), tf.onesLike(ids)));
    return apart(found, tf.slice(embeddings, [i, 0], [1, -1]));
  });
  tf.dispose(model.params);
  return Math.max(...off);
}

async function ofSmolLM2(): Promise<number> {
  const model = (await fromPretrained(smollm2)) as GPT;
  const { logits } = open("smollm2").params;
  const prompts: { ids: number[] }[] = JSON.parse(readFileSync(join(fixtures, "smollm2.json"), "utf8"));
  const off = prompts.map(({ ids }, i) =>
    tf.tidy(() => {
      const found = model.forward(tf.tensor2d([ids], undefined, "int32"));
      const last = tf.reshape(tf.slice(found, [0, ids.length - 1, 0], [1, 1, -1]), [1, -1]);
      return apart(last, tf.slice(logits, [i, 0], [1, -1]));
    }),
  );
  tf.dispose(model.params);
  return Math.max(...off);
}

describe("parity", function () {
  this.timeout(60_000);
  const measured: (number | undefined)[] = [];

  for (const { model, reference, measure } of rows)
    it(`${model}: within 1e-4 of ${reference}`, async function () {
      const off = await measure();
      measured.push(off);
      if (off === undefined) return this.skip(); // npm run setup could not fetch the model
      assert.ok(off <= 1e-4, `${off}`);
    });

  it("the table of recipes/README.md has each of them, and the size of what was measured", function () {
    const text = readFileSync(readme, "utf8");
    const [start, end] = [
      text.indexOf("<!-- parity -->\n") + "<!-- parity -->\n".length,
      text.indexOf("<!-- /parity -->"),
    ];
    const [before, table, after] = [text.slice(0, start), text.slice(start, end), text.slice(end)];
    if (process.env.WRITE && measured.every((off) => off !== undefined)) {
      const lines = rows.map(
        ({ model, reference }, i) => `| ${model} | ${reference} | ${measured[i]!.toExponential(0)} |`,
      );
      writeAtomic(
        readme,
        `${before}| model | reference | largest difference |\n|---|---|---:|\n${lines.join("\n")}\n${after}`,
      );
      return this.skip();
    }
    const said = table
      .trim()
      .split("\n")
      .slice(2)
      .map((line) => line.split("|").map((cell) => cell.trim()));
    assert.deepEqual(
      said.map(([, model, reference]) => [model, reference]),
      rows.map(({ model, reference }) => [model, reference]),
    );
    said.forEach(([, model, , off], i) => {
      const now = measured[i];
      // Another processor sums in another order: the size must be the same, not the digits.
      if (now !== undefined) assert.ok(now < 20 * Number(off), `${model}: ${now} now, ${off} in the table`);
    });
  });
});
