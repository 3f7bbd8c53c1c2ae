// Runs as it is: node --test read.test.ts
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type ReadOptions, read } from "./read.ts";

const folder = mkdtempSync(join(tmpdir(), "read-"));
after(() => rmSync(folder, { recursive: true }));
const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `${JSON.stringify({ id: from + i })}\n`).join("");
const paths = ["a.jsonl", "b.jsonl"].map((name) => join(folder, name));
writeFileSync(paths[0], lines(0, 10));
writeFileSync(paths[1], lines(10, 14));
const ids = async (options?: ReadOptions) => (await Array.fromAsync(read(paths, options))).map(({ value }) => value.id);

test("rows come as they lie, or shuffled the same way each time", async () => {
  const all = Array.from({ length: 14 }, (_, i) => i);
  assert.deepEqual(await ids(), all);
  assert.deepEqual(await ids({ epochs: 2 }), [...all, ...all]);
  const mixed = await ids({ shuffle: 4, seed: 1 });
  assert.deepEqual(mixed, await ids({ shuffle: 4, seed: 1 }));
  assert.notDeepEqual(mixed, await ids({ shuffle: 4, seed: 2 }));
  assert.notDeepEqual(mixed, all);
  assert.deepEqual(
    mixed.toSorted((a, b) => Number(a) - Number(b)),
    all,
  );
});

test("a stream goes on exactly where it was", async () => {
  for (const options of [{}, { shuffle: 4 }, { shuffle: 100, epochs: 2 }]) {
    const items = await Array.fromAsync(read(paths, options));
    for (const [i, { next }] of items.entries())
      assert.deepEqual(
        (await Array.fromAsync(read(paths, { ...options, start: next }))).map(({ value }) => value),
        items.slice(i + 1).map(({ value }) => value),
      );
  }
});

test("splits share no row and have them all", async () => {
  const parts = await Promise.all((["train", "validation", "test"] as const).map((split) => ids({ split, test: 0.3 })));
  assert.deepEqual(parts.flat().length, new Set(parts.flat()).size);
  assert.equal(parts.flat().length, 14);
});

test("says what is wrong with the files or the place", async () => {
  const first = (paths: string | string[], options?: ReadOptions) => read(paths, options).next();
  await assert.rejects(first([]), /no file is given/);
  await assert.rejects(first([paths[0], paths[0]]), /two files are named a.jsonl/);
  await assert.rejects(first("x.unknown"), /in which format/);
  const [{ next }] = await Array.fromAsync(read(paths));
  await assert.rejects(first(paths[1], { start: next }), /the stream was in a.jsonl, which is not among b.jsonl/);
  writeFileSync(paths[0], "{}\n");
  await assert.rejects(first(paths, { start: next }), /has 3 bytes, but had/);
});
