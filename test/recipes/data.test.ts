// Batches, windows and splits.
import assert from "node:assert/strict";
import type { tf } from "@whetstone/engine";
import "@whetstone/engine"; // a backend, also when this file runs alone
import { batches, splitOf, windows } from "../../recipes/core/data.ts";
import { rng } from "../../recipes/core/rng.ts";

const ids = Int32Array.from({ length: 100 }, (_, i) => i);
const rows = (x: tf.Tensor2D) => x.arraySync() as number[][];

describe("batches", () => {
  it("cuts pieces at random places, the targets one id further", () => {
    const { ids: x, targets } = batches(ids, { batch: 50, ctx: 8, rng: rng(1) }).next().value;
    assert.deepEqual([x.shape, x.dtype, targets.shape], [[50, 8], "int32", [50, 8]]);
    for (const [i, row] of rows(x).entries()) {
      assert.deepEqual(
        row,
        Array.from({ length: 8 }, (_, j) => row[0] + j),
      );
      assert.deepEqual(
        rows(targets)[i],
        row.map((id) => id + 1),
      );
    }
    const starts = rows(x).map(([first]) => first);
    assert.ok(new Set(starts).size > 25 && Math.min(...starts) < 10 && Math.max(...starts) > 82);
  });

  it("reaches the first and the last id, and no further", () => {
    const seen = new Set<number>();
    const all = batches(ids.subarray(0, 12), { batch: 64, ctx: 9, rng: rng(2) }).next().value;
    for (const row of rows(all.targets)) seen.add(row.at(-1)!);
    assert.deepEqual([...seen].sort(), [10, 11, 9]);
  });

  it("goes on at any batch as the whole run would have, and by the seed alone", () => {
    const take = (seed: number, start: number, n: number) => {
      const stream = batches(ids, { batch: 2, ctx: 4, rng: rng(seed), start });
      return Array.from({ length: n }, () => rows(stream.next().value.ids));
    };
    assert.deepEqual(take(1, 0, 6).slice(4), take(1, 4, 2));
    assert.notDeepEqual(take(1, 0, 2), take(2, 0, 2));
  });

  it("says when there are too few ids", () => {
    const stream = batches(ids.subarray(0, 8), { batch: 1, ctx: 8, rng: rng(1) });
    assert.throws(() => stream.next(), /8 ids are too few for ctx 8; wanted 9 or more/);
  });
});

describe("windows", () => {
  it("covers the ids once, without overlap, the last batch smaller", () => {
    const all = [...windows(ids, { batch: 4, ctx: 10 })];
    assert.deepEqual(
      all.map(({ ids }) => ids.shape),
      [
        [4, 10],
        [4, 10],
        [1, 10],
      ],
    );
    const flat = all.flatMap(({ ids }) => rows(ids)).flat();
    assert.deepEqual(
      flat,
      Array.from({ length: 90 }, (_, i) => i),
    );
    assert.deepEqual(
      all.flatMap(({ targets }) => rows(targets)).flat(),
      flat.map((id) => id + 1),
    );
  });

  it("takes as many as asked, spread over all of the ids", () => {
    const firsts = [...windows(ids, { batch: 9, ctx: 10, sequences: 3 })].flatMap(({ ids }) =>
      rows(ids).map(([x]) => x),
    );
    assert.deepEqual(firsts, [0, 30, 60]);
    assert.equal([...windows(ids, { batch: 2, ctx: 10, sequences: 99 })].length, 5);
  });
});

describe("splitOf", () => {
  it("depends on the name alone, in about the shares asked for", () => {
    const names = Array.from({ length: 5000 }, (_, i) => `speech-${i}.txt`);
    const splits = names.map((name) => splitOf(name, { validation: 0.2, test: 0.1 }));
    const share = (split: string) => splits.filter((one) => one === split).length / names.length;
    assert.ok(Math.abs(share("test") - 0.1) < 0.02 && Math.abs(share("validation") - 0.2) < 0.03);
    assert.equal(splitOf("speech-17.txt", { validation: 0.2, test: 0.1 }), splits[17]);
    assert.ok(names.some((name) => splitOf(name) !== splitOf(name, { seed: 1 })));
    // A larger validation split takes from train only: a test set that was clean stays clean.
    for (const name of names.slice(0, 500))
      assert.equal(splitOf(name) === "test", splitOf(name, { validation: 0.5 }) === "test");
  });
});
