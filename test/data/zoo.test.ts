// The models of data/zoo are what their cards say: the weights, their size, their loss measured again.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jit, tf } from "@whetstone/engine";
import { type Corpus, loadText } from "../../data/corpus.ts";
import { type Configs, folder, loadTokenizer, loadZoo, readCard, type ZooId } from "../../data/load-zoo.ts";
import { check } from "../../data/make/check.ts";
import { lstmForward } from "../../data/make/lm.ts";
import { zoo } from "../../data/make/recipes.ts";
import { familyOf, make } from "../../data/make/run.ts";
import splits from "../../data/splits.json" with { type: "json" };
import { bitsPerByte, lmLoss, pairedBootstrap } from "../../recipes/core/eval.ts";
import { count } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import { forward, sample } from "../../recipes/model/gpt.ts";
import * as rnn from "../../recipes/model/rnn.ts";
import { tiny } from "./zoo-child.ts";

const ids = Object.keys(zoo) as ZooId[];
const losses: Partial<Record<ZooId, number[]>> = {};
const missing = (id: ZooId) => !existsSync(join(folder, `${id}.card.json`)); // npm run zoo has not made it

describe("zoo", function () {
  this.timeout(300_000);
  let text: Corpus;
  let place: string;

  before(() => {
    text = loadText("sotu");
    place = mkdtempSync(join(tmpdir(), "whetstone-zoo-"));
  });
  after(() => rmSync(place, { recursive: true, force: true }));

  for (const id of ids) {
    it(`${id}: its card holds`, async function () {
      if (missing(id)) this.skip();
      const { card, cfg, params, tokenizer } = loadZoo(id); // checks the SHA-256
      const recipe = zoo[id];
      assert.deepEqual([card.id, card.architecture, card.cfg, cfg], [id, recipe.architecture, recipe.cfg, recipe.cfg]);
      assert.equal(card.parameters, count(params));
      assert.equal(tokenizer.size + Object.keys(card.special ?? {}).length, cfg.vocab);
      for (const { corpus, trainSha256 } of card.data)
        assert.equal(trainSha256, corpus === "tasks" ? undefined : splits[corpus as "sotu" | "mails"].train.sha256);
      const { training } = card;
      if (training.ctx) assert.equal(training.tokens, training.steps * training.batch * training.ctx);
      assert.ok(Math.abs(training.tokens / card.parameters / training.tokensPerParameter - 1) < 0.01);
      assert.ok(training.energy.wattHours >= 0 && training.energy.how.includes("10 W") && training.versions.node);
      const bytes = statSync(join(folder, `${id}.safetensors`)).size; // half precision
      assert.ok(bytes >= 2 * card.parameters && bytes < 2 * card.parameters + 20_000);

      const sequences = card.loss.sequences;
      if (card.architecture === "bert" || card.architecture === "t5") {
        const { mean } = (await familyOf(recipe)).measure(params, { sequences });
        assert.ok(
          Math.abs(mean - card.loss.validation) < 2e-3,
          `measured ${mean}, on the card ${card.loss.validation}`,
        );
      } else {
        const validation = tokenizer.encode(text.validation);
        const model = (x: tf.Tensor) =>
          card.architecture === "gpt2"
            ? forward(params, cfg as Configs["gpt2"], x)
            : lstmForward(params, cfg as Configs["lstm"], x);
        const { mean, each, tokens } = lmLoss(jit(model), validation, { ctx: training.ctx!, sequences });
        losses[id] = each;
        assert.ok(
          Math.abs(mean - card.loss.validation) < 2e-3,
          `measured ${mean}, on the card ${card.loss.validation}`,
        );
        const letters = text.validation.length / validation.length;
        assert.ok(Math.abs(bitsPerByte(mean, tokens, tokens * letters) - card.bitsPerByte!) < 2e-3);
      }
      tf.dispose(params);
    });

    it(`${id}: its log leads to its card`, function () {
      if (missing(id)) this.skip();
      const lines = readFileSync(join(folder, `${id}.log`), "utf8")
        .trim()
        .split("\n");
      const log = lines.map((line) => JSON.parse(line));
      const { training, loss, cfg } = readCard(id);
      assert.ok(log.every(({ step }, i) => i === 0 || step > log[i - 1].step));
      assert.deepEqual([log.at(-1).step, log.at(-1).tokens], [training.steps, training.tokens]);
      assert.ok(Math.abs(log.at(-1).validation - loss.validation) < 0.1); // on fewer sequences, before rounding to F16
      assert.ok(log[0].loss > log.at(-1).loss && log[0].loss < Math.log(cfg.vocab) + 0.1);
    });
  }

  it("a card that is wrong is noticed, and weights that are", async () => {
    const spoilt = (change: (card: any) => void, weights?: (bytes: Buffer) => void) => {
      const from = mkdtempSync(join(place, "spoilt-"));
      for (const name of ["nano.card.json", "nano.safetensors"]) cpSync(join(folder, name), join(from, name));
      const card = readCard("nano");
      change(card);
      writeFileSync(join(from, "nano.card.json"), JSON.stringify(card));
      const file = join(from, "nano.safetensors");
      const bytes = readFileSync(file);
      weights?.(bytes);
      writeFileSync(file, bytes);
      return { from };
    };
    const { validation } = readCard("nano").loss;
    assert.ok(
      Math.abs(
        (
          await check(
            "nano",
            spoilt(() => {}),
          )
        ).validation - validation,
      ) < 2e-3,
    );
    const wrong: [RegExp, (card: any) => void, ((bytes: Buffer) => void)?][] = [
      [/the validation loss is .* the card says/, (card) => (card.loss.validation += 0.05)],
      [/the card is of another model: npm run zoo -- nano/, (card) => (card.parameters += 1)],
      [/the card is of another model/, (card) => (card.cfg.layers = 1)],
      [/SHA-256 .* its card says/, (card) => (card.sha256 = card.sha256.replace(/^./, "z"))],
      [/SHA-256 .* its card says/, () => {}, (bytes) => (bytes[bytes.length - 1] ^= 1)],
    ];
    for (const [message, change, weights] of wrong)
      await assert.rejects(check("nano", spoilt(change, weights)), message);
  });

  it("a run that SIGTERM ended goes on to the same weights, bit for bit", async function () {
    this.timeout(600_000); // two processes, on a machine that may be busy
    const [cut, whole] = ["cut", "whole"].map((name) => join(place, name));
    mkdirSync(cut);
    mkdirSync(whole);
    const run = (...args: string[]) => {
      const child = [join(import.meta.dirname, "zoo-child.ts"), cut, ...args];
      const { status, stdout, stderr } = spawnSync(process.execPath, child, { encoding: "utf8" });
      return { status, said: stdout + stderr, files: readdirSync(cut).sort() };
    };
    const ended = run("SIGTERM");
    assert.deepEqual([ended.status, ended.files], [143, ["resume"]], ended.said);
    assert.match(ended.said, /tiny stopped at step 100; the same command goes on there/);
    const done = run();
    assert.match(done.said, /goes on at step 100/);
    const made = ["tiny.card.json", "tiny.log", "tiny.safetensors"];
    assert.deepEqual([done.status, done.files, readdirSync(join(cut, "resume"))], [0, ["resume", ...made], []]);

    const { loss } = await make("tiny", tiny, { to: whole, resume: join(whole, "resume"), report() {} });
    const of = (folder: string, end: string) => readFileSync(join(folder, `tiny.${end}`));
    assert.ok(of(cut, "safetensors").equals(of(whole, "safetensors")));
    const log = (folder: string) =>
      of(folder, "log")
        .toString()
        .replace(/"seconds":\d+/g, "");
    assert.equal(log(cut), log(whole));
    assert.deepEqual(JSON.parse(of(cut, "card.json").toString()).loss, loss);
  });

  it("an LSTM as a loop is the LSTM of the recipes", () => {
    const cfg: rnn.RNNConfig = { kind: "lstm", layers: 2, dim: 10, hidden: 10, vocab: 7 };
    const params = rnn.initRNN(cfg, rng(1));
    const x = tf.tensor2d([1, 2, 3, 4, 6, 5, 0, 1], [2, 4], "int32");
    const [a, b] = [lstmForward(params, cfg, x), rnn.forward(params, cfg, x)];
    assert.ok(tf.max(tf.abs(tf.sub(a, b))).dataSync()[0] < 1e-7);
    tf.dispose([params, x, a, b]);
  });

  it("longer training is better, for each size, on the same text", function () {
    for (const [short, long] of [
      ["nano-5x", "nano"],
      ["micro-5x", "micro"],
      ["mini-5x", "mini"],
    ] as const) {
      if (missing(short) || missing(long)) continue;
      if (!losses[short] || !losses[long]) this.skip(); // no card, or it does not hold: failed above
      assert.ok(pairedBootstrap(losses[short], losses[long]).low > 0, `${short} and ${long}`);
    }
  });

  it("nano writes words of the corpus, far more than its letters make by chance", () => {
    const { cfg, params, tokenizer } = loadZoo("nano");
    const logits = jit((ids: tf.Tensor) => forward(params, cfg, ids));
    const known = new Set(text.train.toLowerCase().match(/[a-z]{4,}/g));
    const share = (written: string) => {
      const words = written.toLowerCase().match(/[a-z]{4,}/g) ?? [];
      return words.filter((word) => known.has(word)).length / words.length;
    };
    const ids = sample(logits, cfg, tokenizer.encode("The people "), { length: 400, temperature: 0.7, rng: rng(1) });
    const [written, chance] = [ids, rng(2).shuffle(ids)].map((ids) => share(tokenizer.decode(ids)));
    assert.ok(written > 3 * chance && written > 0.2, `${written} of the words, ${chance} by chance`);
    tf.dispose(params);
  });

  it("its tokenizers give every split back", () => {
    for (const file of new Set(Object.values(zoo).map(({ tokenizer }) => tokenizer))) {
      const tokenizer = loadTokenizer(file);
      for (const part of Object.values(text)) {
        const cut = part.slice(-30_000);
        assert.equal(tokenizer.decode(tokenizer.encode(cut)), cut);
      }
    }
  });
});
