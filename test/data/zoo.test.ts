// The models of data/zoo are what their cards say: the weights, their size, their loss measured again.
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { jit, tf } from "@whetstone/engine";
import { type Corpus, loadText } from "../../data/corpus.ts";
import { folder, loadTokenizer, loadZoo, readCard, type ZooId } from "../../data/load-zoo.ts";
import splits from "../../data/splits.json" with { type: "json" };
import { zoo } from "../../data/zoo.ts";
import { bitsPerByte, lmLoss, pairedBootstrap } from "../../recipes/core/eval.ts";
import { count } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import { countParams, forward, sample } from "../../recipes/model/gpt.ts";

const ids = Object.keys(zoo) as ZooId[];
const losses: Partial<Record<ZooId, number[]>> = {};

describe("zoo", function () {
  this.timeout(60_000);
  let text: Corpus;

  before(() => {
    text = loadText("sotu");
  });

  for (const id of ids) {
    it(`${id}: its card holds`, function () {
      if (!existsSync(join(folder, `${id}.card.json`))) this.skip(); // npm run zoo has not made it
      const { card, cfg, params, tokenizer } = loadZoo(id); // checks the SHA-256
      const recipe = zoo[id];
      assert.deepEqual([card.id, card.cfg, cfg], [id, recipe.cfg, recipe.cfg]);
      assert.deepEqual([card.parameters, count(params)], [countParams(cfg), countParams(cfg)]);
      assert.equal(tokenizer.size, cfg.vocab);
      assert.equal(card.data.trainSha256, splits.sotu.train.sha256);
      const { training } = card;
      assert.equal(training.tokens, training.steps * training.batch * cfg.ctx);
      assert.ok(Math.abs(training.tokens / card.parameters / training.tokensPerParameter - 1) < 0.01);
      const bytes = statSync(join(folder, `${id}.safetensors`)).size; // half precision
      assert.ok(bytes >= 2 * card.parameters && bytes < 2 * card.parameters + 10_000);

      const validation = tokenizer.encode(text.validation);
      const logits = jit((ids: tf.Tensor) => forward(params, cfg, ids));
      const { mean, each, tokens } = lmLoss(logits, validation, { ctx: cfg.ctx, sequences: card.loss.sequences });
      losses[id] = each;
      assert.ok(Math.abs(mean - card.loss.validation) < 2e-3, `measured ${mean}, on the card ${card.loss.validation}`);
      const letters = text.validation.length / validation.length;
      assert.ok(Math.abs(bitsPerByte(mean, tokens, tokens * letters) - card.bitsPerByte) < 2e-3);
      tf.dispose(params);
    });

    it(`${id}: its log leads to its card`, function () {
      if (!existsSync(join(folder, `${id}.card.json`))) this.skip();
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

  it("longer training is better, for each size, on the same text", function () {
    for (const [short, long] of [
      ["nano-5x", "nano"],
      ["micro-5x", "micro"],
    ] as const) {
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
