// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test pack.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { pack } from "./pack.ts";

await tf.ready();
const documents = (lengths: number[], from = 0) =>
  lengths
    .map((length, i) => ({
      value: Int32Array.from({ length }, (_, j) => 10 * (i + 1) + j),
      place: { at: i },
      next: null,
    }))
    .slice(from);
const encode = (ids: Int32Array) => ids;
const rows = (x: tf.Tensor) => x.arraySync();

test("documents share rows, and nothing of one is the other's", async () => {
  const [one, ...more] = await Array.fromAsync(pack(documents([3, 3, 2]), { batch: 2, ctx: 4, encode }));
  assert.equal(more.length, 0);
  assert.deepEqual(rows(one.ids), [
    [10, 11, 20, 21],
    [30, 0, 0, 0],
  ]);
  assert.deepEqual(rows(one.targets), [
    [11, 12, 21, 22],
    [31, 0, 0, 0],
  ]);
  assert.deepEqual(rows(one.positions), [
    [0, 1, 0, 1],
    [0, 0, 0, 0],
  ]);
  assert.deepEqual(rows(one.mask), [
    [1, 1, 1, 1],
    [1, 0, 0, 0],
  ]);
  assert.equal(one.next, null);
});

test("a document of one id has no target, and gives nothing", async () => {
  assert.deepEqual(await Array.fromAsync(pack(documents([1, 1]), { batch: 2, ctx: 4, encode })), []);
  const [{ ids }] = await Array.fromAsync(pack(documents([5, 1]), { batch: 1, ctx: 4, encode }));
  assert.deepEqual(rows(ids), [[10, 11, 12, 13]]);
});

test("a long document is cut, every id but the first is a target once, and a stream goes on where it was", async () => {
  const options = { batch: 1, ctx: 4, encode };
  const all = await Array.fromAsync(pack(documents([11, 4]), options));
  const targets = all.flatMap(({ targets, mask }) =>
    (rows(targets) as number[][])[0].filter((_, i) => (rows(mask) as number[][])[0][i]),
  );
  assert.deepEqual(targets, [11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23].slice(0, 10).concat([21, 22, 23]));
  const { next } = all[1];
  const rest = await Array.fromAsync(
    pack([{ ...documents([11, 4])[0], place: next! }, ...documents([11, 4], 1)], options),
  );
  assert.deepEqual(
    rest.map(({ ids }) => rows(ids)),
    all.slice(2).map(({ ids }) => rows(ids)),
  );
});
