// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test objectives.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { rng } from "../core/rng.ts";
import { asked, askedLoss, clm, mlm, span } from "./objectives.ts";

await tf.ready();
const text = Int32Array.from({ length: 200 }, (_, i) => i % 50);

test("clm asks each id for the next", () => {
  const { ids, targets } = clm(text);
  assert.deepEqual([ids.length, ids[3], targets[3], targets.at(-1)], [199, 3, 4, 49]);
  assert.throws(() => clm(text.subarray(0, 1)), /1 ids; wanted two or more/);
});

test("mlm asks for its share of the places, hides eight of ten, and touches nothing else", () => {
  const special = Int32Array.from([60, ...text, 61]);
  const counts = { places: 0, mask: 0, same: 0, wrong: 0 };
  for (let seed = 0; seed < 100; seed++) {
    const { ids, targets } = mlm(special, rng(seed), { mask: 62, vocab: 50 });
    assert.equal(targets.filter((id) => id >= 0).length, 30); // 15 % of 200
    for (const [at, target] of targets.entries()) {
      if (target < 0) {
        assert.equal(ids[at], special[at]);
        continue;
      }
      assert.equal(target, special[at]);
      counts.places++;
      counts[ids[at] === 62 ? "mask" : ids[at] === target ? "same" : "wrong"]++;
    }
    assert.deepEqual([ids[0], ids.at(-1), targets[0], targets.at(-1)], [60, 61, -1, -1]);
  }
  // A random id is the right one once in 50. Of 3 000 places, five standard deviations are 3.7 and 2.8 points.
  assert.ok(Math.abs(counts.mask / counts.places - 0.8) < 0.037, JSON.stringify(counts));
  assert.ok(Math.abs(counts.same / counts.places - 0.102) < 0.028, JSON.stringify(counts));
  assert.deepEqual(mlm(text, rng(5), { mask: 62, vocab: 50 }), mlm(text, rng(5), { mask: 62, vocab: 50 }));
  assert.throws(() => mlm(Int32Array.of(60, 61), rng(0), { mask: 62, vocab: 50 }), /none of 2 ids is below vocab 50/);
  assert.throws(() => mlm(text, rng(0), { mask: 62, vocab: 50, share: 0 }), /share is 0/);
});

test("span: source and target together are the text again", () => {
  for (let seed = 0; seed < 50; seed++) {
    const { source, target } = span(text, rng(seed), { sentinel: 100, sentinels: 20, end: 99 });
    assert.equal(target.at(-1), 99);
    const runs = new Map<number, number[]>();
    let run: number[] = [];
    for (const id of target.subarray(0, -1)) {
      if (id < 100) run.push(id);
      else {
        run = [];
        runs.set(id, run);
      }
    }
    assert.deepEqual(
      [...runs.keys()],
      [...runs.keys()].map((_, i) => 100 + i),
    );
    assert.ok(runs.size === 10 && [...runs.values()].every(({ length }) => length > 0)); // 30 ids in runs of 3
    const again = Array.from(source).flatMap((id) => runs.get(id) ?? [id]);
    assert.deepEqual(again, Array.from(text));
  }
  assert.throws(
    () => span(text, rng(0), { sentinel: 100, sentinels: 3, end: 99 }),
    /10 runs need as many sentinels; there are 3/,
  );
  assert.throws(
    () => span(text, rng(0), { sentinel: 100, sentinels: 300, end: 99, share: 0.9, length: 1 }),
    /cannot be taken out/,
  );
});

test("the loss is that of the places that are asked for", () => {
  const logits = tf.tensor2d(
    [
      [2, 0],
      [0, 0],
      [0, 5],
    ].flat(),
    [3, 2],
  );
  const targets = tf.tensor1d([0, -1, 1], "int32");
  const wanted = (Math.log(1 + Math.exp(-2)) + Math.log(1 + Math.exp(-5))) / 2;
  assert.ok(Math.abs(askedLoss(logits, targets).dataSync()[0] - wanted) < 1e-6);
  assert.deepEqual(Array.from(asked(targets).dataSync()), [1, 0, 1]);
});
