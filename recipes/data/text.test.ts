// Runs as it is: node --test text.test.ts
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FormatError } from "../core/io.ts";
import { jsonRows, textRows } from "./text.ts";

const folder = mkdtempSync(join(tmpdir(), "text-"));
after(() => rmSync(folder, { recursive: true }));
const file = (name: string, content: string | Uint8Array) => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const limit = 100;
const all = async <T>(batches: AsyncIterable<T[]>) => (await Array.fromAsync(batches)).flat();

test("rows of text, with the bytes before them; a stream goes on at any of them", async () => {
  const path = file("a.txt", "\ufeffgröße\n\n  two words  \r\nend");
  const rows = await all(textRows(path, 0, { limit }));
  assert.deepEqual(rows, [
    { row: { text: "größe" }, at: 0 },
    { row: { text: "two words" }, at: 12 },
    { row: { text: "end" }, at: 27 },
  ]);
  assert.deepEqual(await all(textRows(path, 12, { limit })), rows.slice(1));
  const parts = await all(textRows(file("b.txt", "a--b--"), 0, { separator: "--", limit }));
  assert.deepEqual(
    parts.map(({ row }) => row.text),
    ["a", "b"],
  );
});

test("JSON lines are records; what is none is named with its place", async () => {
  const rows = (content: string | Uint8Array) => all(jsonRows(file("a.jsonl", content), 0, { limit }));
  assert.deepEqual(await rows('{"a": 1}\n\n{"b": [2]}\n'), [
    { row: { a: 1 }, at: 0 },
    { row: { b: [2] }, at: 10 },
  ]);
  await assert.rejects(rows('{"a": 1}\n[1]'), /line at byte 9 is \[1\]; wanted a record/);
  await assert.rejects(rows('{"a": 1}\n{'), /line at byte 9 is not JSON/);
  await assert.rejects(rows('{"__proto__": 1}'), /cannot be the name of a field/);
  await assert.rejects(rows(Uint8Array.of(0xff)), FormatError);
  await assert.rejects(rows(Uint8Array.of(0x7b, 0x7d, 0xc3)), /not UTF-8/); // half a letter at the end
  await assert.rejects(rows(`"${"x".repeat(200)}`), /longer than 100 bytes/);
});
