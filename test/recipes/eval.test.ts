// Measures of quality: losses, bits, accuracy, and intervals that cover what they say.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { tf } from "@whetstone/engine";
import { compare, quantile, time } from "../../recipes/core/bench.ts";
import {
  accuracy,
  bitsPerByte,
  ece,
  exactMatch,
  lmLoss,
  pairedBootstrap,
  perplexity,
  scores,
} from "../../recipes/core/eval.ts";
import { rng } from "../../recipes/core/rng.ts";

const reference = JSON.parse(readFileSync(join(import.meta.dirname, "../fixtures/eval.json"), "utf8")); // scikit-learn's
const near = (found: number, wanted: number, what = "") =>
  assert.ok(Math.abs(found - wanted) <= 1e-12, `${what}: ${found}, ${wanted}`);

describe("eval", () => {
  it("lmLoss of a model that knows nothing is ln V, of one that knows the text 0", () => {
    const ids = Int32Array.from({ length: 65 }, (_, i) => (3 * i) % 7);
    const blind = lmLoss((x) => tf.zeros([...x.shape, 7]), ids, { ctx: 8, batch: 3 });
    assert.ok(Math.abs(blind.mean - Math.log(7)) < 1e-6);
    assert.deepEqual([blind.tokens, blind.each.length], [64, 8]);
    const knows = (x: tf.Tensor) => tf.mul(tf.oneHot(tf.mod(tf.add(x, tf.scalar(3, "int32")), 7).toInt(), 7), 50);
    assert.ok(lmLoss(knows, ids, { ctx: 8 }).mean < 1e-6);
  });

  it("lmLoss counts each position once and keeps no tensor", () => {
    const ids = Int32Array.from({ length: 33 }, (_, i) => (i < 17 ? 0 : 1));
    const says0 = (x: tf.Tensor2D) => tf.tidy(() => tf.add(tf.zeros([...x.shape, 2]), tf.tensor1d([2, 0])));
    const before = tf.memory().numTensors;
    const { each, mean } = lmLoss(says0, ids, { ctx: 16, batch: 1 });
    assert.equal(tf.memory().numTensors, before);
    const [right, wrong] = [Math.log(1 + Math.exp(-2)), Math.log(1 + Math.exp(2))];
    assert.ok(Math.abs(each[0] - right) < 1e-6 && Math.abs(each[1] - wrong) < 1e-6, `${each}`);
    assert.ok(Math.abs(mean - (right + wrong) / 2) < 1e-6);
    assert.throws(() => lmLoss(says0, ids, { ctx: 33 }), /33 ids are too few for ctx 33/);
  });

  it("accuracy counts hits, where the mask says", () => {
    const logits = tf.tensor2d([1, 0, 0, 1, 3, 2, 0, 5], [4, 2]);
    const targets = tf.tensor1d([0, 1, 1, 1], "int32");
    assert.equal(accuracy(logits, targets), 0.75);
    assert.equal(accuracy(logits, targets, tf.tensor1d([1, 0, 1, 0], "int32")), 0.5);
  });

  it("precision, recall and F1 are scikit-learn's to 1e-12: each class, macro, weighted, micro", () => {
    for (const { classes, actual, predicted, support, accuracy, None, ...means } of reference.cases) {
      const found = scores(predicted, actual, { classes });
      const keys = ["precision", "recall", "f1"] as const;
      found.each.forEach((one, c) => {
        assert.equal(one.items, support[c]);
        keys.forEach((key, k) => {
          near(one[key], None[k][c], `${key} of ${c}`);
        });
      });
      for (const mean of ["macro", "weighted", "micro"] as const)
        keys.forEach((key, k) => {
          near(found[mean][key], means[mean][k], `${mean} ${key}`);
        });
      near(found.micro.f1, accuracy);
    }
    assert.throws(() => scores([0, 2], [0, 1], { classes: 2 }), /item 1 has the classes 2 and 1; wanted 0 to 1/);
    assert.throws(() => scores([0], [0, 1], { classes: 2 }), /scores: 1 and 2 values/);
  });

  it("ece is scikit-learn's calibration curve, weighted, to 1e-12; and by hand", () => {
    for (const { bins, ece: wanted } of reference.calibration)
      near(ece(reference.confidence, reference.right, { bins }), wanted, `${bins} bins`);
    near(ece([0.95, 0.95, 0.55, 0.55], [true, true, true, false], { bins: 10 }), 0.5 * 0.05 + 0.5 * 0.05);
    assert.equal(ece([1, 1, 0], [1, 1, 0]), 0);
    near(ece([0.07, 0.065], [false, true], { bins: 100 }), (0.935 - 0.07) / 2); // 0.07 * 100 is above 7
    assert.throws(() => ece([1.1], [true]), /confidence 0 is 1.1; wanted 0 to 1/);
  });

  it("perplexity is that of scikit-learn's log loss", () => {
    const { probabilities, targets, logLoss } = reference;
    const each = targets.map((id: number, i: number) => -Math.log(probabilities[i][id]));
    near(each.reduce((a: number, b: number) => a + b) / each.length, logLoss);
    near(perplexity(logLoss), reference.perplexity);
    assert.equal(perplexity(0), 1);
  });

  it("exactMatch counts equal texts, one of several, after what one calls equal", () => {
    assert.equal(exactMatch(["a", " b ", "C"], ["a", "b", "c"]), 2 / 3);
    assert.equal(exactMatch(["a", "b"], [["x", "a"], ["y"]]), 0.5);
    assert.equal(exactMatch(["A."], ["a"], { normal: (text) => text.toLowerCase().replace(/\W/g, "") }), 1);
    assert.throws(() => exactMatch([], []), /0 and 0 values/);
  });

  it("bitsPerByte: one byte a token at ln 2 nat is one bit", () => {
    assert.equal(bitsPerByte(Math.LN2, 10, 10), 1);
    assert.equal(bitsPerByte(3 * Math.LN2, 10, 15), 2);
  });

  it("pairedBootstrap: its 95 % interval covers the true difference in 93 to 97 % of 1 000 sets", () => {
    let covered = 0;
    for (let set = 0; set < 1000; set++) {
      const draw = rng(set).fork("pairs");
      const easy = Array.from({ length: 80 }, () => 10 * draw.next()); // how hard a text is: common to both models
      const noise = () => draw.next() + draw.next() + draw.next() - 1.5;
      const { low, high } = pairedBootstrap(
        easy.map((x) => x + 0.3 + noise()),
        easy,
        { rounds: 300, seed: set },
      );
      if (low <= 0.3 && 0.3 <= high) covered++;
    }
    assert.ok(covered >= 930 && covered <= 970, `${covered}`);
  }).timeout(60_000);

  it("pairedBootstrap is paired, ordered, seeded, and tells the sign", () => {
    const base = Array.from({ length: 50 }, (_, i) => 100 * Math.sin(i));
    const worse = base.map((x, i) => x + 0.1 + 0.01 * Math.cos(i));
    const { mean, low, high } = pairedBootstrap(worse, base);
    assert.ok(low > 0.09 && high < 0.11 && low < mean && mean < high);
    assert.deepEqual(pairedBootstrap(worse, base), { mean, low, high });
    const turned = pairedBootstrap(base, worse);
    assert.ok(turned.high < 0 && Math.abs(turned.mean + mean) < 1e-12);
    const narrow = pairedBootstrap(worse, base, { level: 0.5 });
    // Of a bell curve the half in the middle is 0.674 deviations wide to each side, and 95 % are 1.96.
    const ratio = (high - low) / (narrow.high - narrow.low);
    assert.ok(Math.abs(ratio - 1.96 / 0.674) < 0.2, `${ratio}`);
    assert.ok(narrow.low > low && narrow.high < high);
    assert.deepEqual(pairedBootstrap(base, base), { mean: 0, low: 0, high: 0 });
    assert.throws(() => pairedBootstrap([1, 2], [1]), /2 and 1 values; wanted two or more pairs/);
  });
});

describe("bench", () => {
  it("quantile interpolates, whatever the order", () => {
    assert.equal(quantile([3, 1, 2], 0.5), 2);
    assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
    assert.deepEqual(
      [0, 1, 0.95].map((q) => quantile([0, 100], q)),
      [0, 100, 95],
    );
  });

  it("compare takes turns, leaves the warm-up out, and calls the slower one slower", async () => {
    const order: string[] = [];
    const busy = (name: string, ms: number) => () => {
      order.push(name);
      for (const end = performance.now() + ms; performance.now() < end; );
      return tf.ones([2]);
    };
    const before = tf.memory().numTensors;
    const { ratio, ms, median, p95 } = await compare(
      { slow: busy("slow", 12), fast: busy("fast", 2) },
      { rounds: 5, warmup: 1 },
    );
    assert.equal(tf.memory().numTensors, before);
    assert.equal(order.join(" "), Array(6).fill("slow fast").join(" "));
    assert.deepEqual([ms.slow.length, ms.fast.length, ratio.slow], [5, 5, 1]);
    assert.ok(ratio.fast > 1.5 && median.slow >= 12 && p95.slow >= median.slow);
    assert.ok((await time(() => Promise.resolve(tf.ones([1])))) >= 0);
  });
});
