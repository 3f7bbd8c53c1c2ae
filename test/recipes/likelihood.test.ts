// Likelihoods, choices, probes and the board's quick parts: against sums done otherwise, and with the zoo's models on held-out text.
import assert from "node:assert/strict";
import { tf } from "@whetstone/engine";
import { byLikelihood, causal, counted, heldOut, majority, probed } from "../../data/board.ts";
import { choiceTasks, classTasks } from "../../data/board-tasks.ts";
import { pairedBootstrap } from "../../recipes/core/eval.ts";
import { rng } from "../../recipes/core/rng.ts";
import { bitsPerByteEach, type CausalModel, choose, logLikelihoods } from "../../recipes/infer/likelihood.ts";
import { inPieces, stream } from "../../recipes/infer/stream.ts";
import { type Cache, emptyCache, forward, initGPT, step } from "../../recipes/model/gpt.ts";
import { bagOfWords, classify, fitProbe } from "../../recipes/train/probe.ts";

const cfg = { layers: 2, dim: 16, heads: 2, ctx: 64, vocab: 96 };
const params = initGPT(cfg, rng(3));
const encode = (text: string) => Array.from(text, (letter) => letter.charCodeAt(0) - 32);
const small: CausalModel = { logits: (ids) => forward(params, cfg, ids), encode, ctx: 64, batch: 4 };
const right = (all: boolean[]) => all.filter(Boolean).length / all.length;

describe("likelihood", function () {
  this.timeout(60_000);

  it("is the sum of the log probabilities of a text's ids, in batches of any mix, and frees what it used", () => {
    const items = ["a", "some words", "x".repeat(50)].map((text, i) => ({ lead: ["lead", "Q", "more"][i], text }));
    const before = tf.memory().numTensors;
    const found = logLikelihoods(small, [...items, ...items]);
    assert.equal(tf.memory().numTensors, before);
    for (const [i, { lead, text }] of items.entries()) {
      const ids = encode(lead + text);
      const all = tf.tidy(() =>
        tf.logSoftmax(forward(params, cfg, tf.tensor2d([ids], undefined, "int32"))).arraySync(),
      );
      const rows = (all as number[][][])[0];
      let sum = 0;
      for (let at = lead.length; at < ids.length; at++) sum += rows[at - 1][ids[at]];
      for (const one of [found[i], found[i + items.length]]) assert.ok(Math.abs(one.nats - sum) < 1e-4 * -sum);
      assert.equal(found[i].tokens, text.length);
    }
    assert.throws(() => logLikelihoods(small, [{ lead: "", text: "x" }]), /item 0 has 0 ids before 1/);
  });

  it("reads long texts in windows, in which each id is judged once", () => {
    // A model to whom only the last id counts gives the same sum however the text is cut.
    const table = tf.randomNormal([96, 96], 0, 1, "float32", 5);
    const markov = (ctx: number): CausalModel => ({
      logits: (ids) => tf.reshape(tf.gather(table, tf.reshape(ids, [-1]) as tf.Tensor1D), [...ids.shape, 96]),
      encode,
      ctx,
      batch: 4,
    });
    const item = [{ lead: "It ", text: "was the best of times, it was the worst of times. ".repeat(9) }];
    const [whole, cut] = [512, 32].map((ctx) => logLikelihoods(markov(ctx), item)[0]);
    assert.ok(Math.abs(whole.nats - cut.nats) < 1e-5 * -whole.nats, `${whole.nats}, ${cut.nats}`);
    assert.equal(cut.tokens, item[0].text.length);
    table.dispose();
  });

  it("chooses the likeliest answer, and with a neutral prompt the one that the prompt makes likelier", () => {
    // Ids: after "?" an "a" is likely (0.6), "b" (0.3); after "." even more so, "a" 0.9 and "b" 0.05.
    const rows = tf.buffer([96, 96]);
    const set = (after: string, id: string, p: number) => rows.set(Math.log(p) + 20, ...[after, id].flatMap(encode));
    for (const [after, id, p] of [
      ["?", "a", 0.6],
      ["?", "b", 0.3],
      [".", "a", 0.9],
      [".", "b", 0.05],
    ] as const)
      set(after, id, p);
    const table = rows.toTensor();
    const logits = (ids: tf.Tensor2D) =>
      tf.reshape(tf.gather(table, tf.reshape(ids, [-1]) as tf.Tensor1D), [...ids.shape, 96]);
    const model: CausalModel = { logits, encode, ctx: 32, batch: 2 };
    const question = { prompt: "which?", choices: ["a", "b"] };
    assert.deepEqual(choose(model, [question, { ...question, neutral: "it." }]), [0, 1]);
    table.dispose();
  });

  it("bits a byte: a model trained longer is better on held-out speeches, beyond chance, and as its card says", () => {
    const items = heldOut("sotu", 32);
    const [five, twenty] = (["micro-5x", "micro"] as const).map((id) => {
      const { model, dispose } = causal(id)!;
      const bits = bitsPerByteEach(model, items);
      dispose();
      return bits;
    });
    const { mean, low } = pairedBootstrap(five, twenty);
    assert.ok(low > 0.05 && mean < 0.5, `${mean}, at least ${low}`);
    const found = twenty.reduce((a, b) => a + b) / twenty.length;
    assert.ok(Math.abs(found - 1.37) < 0.15, `${found} bits a byte; the card says 1.37 on the validation split`);
  });

  it("the board: bags of words see spam and not the party; items are fixed and no source is in two splits", async () => {
    const some = await classTasks({ train: 300, test: 60 });
    assert.deepEqual(choiceTasks({ test: 20 }), choiceTasks({ test: 20 }));
    const [, spam] = some;
    const score = right(probed(spam, counted(spam)));
    assert.ok(score > 0.75 && score > right(majority(spam)) + 0.2, `${score}`);
    for (const { train, test, name } of some.filter((task) => !task.name.startsWith("sentiment"))) {
      const read = new Set(train.map(({ text }) => text));
      assert.ok(!test.some(({ text }) => read.has(text)), name);
    }
    const [questions] = choiceTasks({ test: 20 });
    const { model, dispose } = causal("micro")!;
    const answers = byLikelihood(questions, { ...model, ctx: 128 });
    dispose();
    assert.equal(answers.length, 10);
    for (const { choices, answer } of questions.test)
      assert.ok(new Set(choices).size === 4 && choices[answer] !== undefined);
  });

  it("a probe separates what a line separates, and says what does not fit", () => {
    const x = tf.tensor2d([
      [0, 1],
      [0.2, 0.9],
      [1, 0],
      [0.8, 0.1],
      [-1, -1],
      [-0.9, -0.8],
    ]); // prettier-ignore
    const labels = [0, 0, 1, 1, 2, 2];
    const before = tf.memory().numTensors;
    const probe = fitProbe(x, labels);
    assert.deepEqual(classify(probe, x), labels);
    tf.dispose(probe);
    assert.equal(tf.memory().numTensors, before);
    assert.throws(() => fitProbe(x, [0]), /1 labels for features \[6,2\]/);
    const bag = bagOfWords(["the cat sat", "the dog"], { size: 2 });
    const rows = bag(["the the cat", "nothing"]).arraySync();
    const logs = [Math.log(3), Math.log(2)].map((value) => value / Math.hypot(Math.log(3), Math.log(2)));
    rows[0].forEach((value, i) => {
      assert.ok(Math.abs(value - logs[i]) < 1e-6, `${rows[0]}`);
    });
    assert.deepEqual(rows[1], [0, 0]);
    x.dispose();
  });

  it("a stream tells the text as it grows, and a prompt read in pieces gives the same logits", async () => {
    const bytes = new TextEncoder().encode("Größe! STOP no");
    const decode = (ids: number[]) => new TextDecoder().decode(Uint8Array.from(ids));
    let text = "";
    let tokens = 0;
    for await (const now of stream(bytes, decode, { stop: ["STOP"] })) {
      assert.equal(now.text, text + now.piece);
      assert.ok(now.tokens > tokens && now.perSecond >= 0);
      ({ text, tokens } = now);
    }
    assert.equal(text, "Größe! ");
    const ids = tf.tensor2d([encode("thirty-two ids and some more than that, and on")], undefined, "int32");
    const whole = step(params, cfg, ids, emptyCache(cfg), { last: true });
    const shapes: number[] = [];
    const parts = inPieces<Cache>((ids, cache) => {
      shapes.push(ids.shape[1]!);
      return step(params, cfg, ids, cache, { last: true });
    }, 16)(ids, emptyCache(cfg));
    assert.deepEqual(shapes, [16, 16, ...Array(14).fill(1)]);
    assert.equal(parts.cache.at.dataSync()[0], 46);
    const off = tf.max(tf.abs(tf.sub(whole.logits, parts.logits))).dataSync()[0];
    assert.ok(off < 1e-5, `${off}`);
  });
});
