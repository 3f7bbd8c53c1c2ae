// Measures of quality: losses, bits, accuracy, and intervals that cover what they say.
import assert from "node:assert/strict";
import { tf } from "@whetstone/engine";
import { compare, quantile, time } from "../../recipes/core/bench.ts";
import { accuracy, bitsPerByte, lmLoss, pairedBootstrap } from "../../recipes/core/eval.ts";
import { rng } from "../../recipes/core/rng.ts";

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
