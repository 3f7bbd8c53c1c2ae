// Runs as it is, with papaparse: node --test csv.test.ts
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { csvRows } from "./csv.ts";

const folder = mkdtempSync(join(tmpdir(), "csv-"));
after(() => rmSync(folder, { recursive: true }));
const rows = async (
  content: string,
  { from = 0, ...options }: { from?: number; numbers?: string[]; delimiter?: string } = {},
) => {
  writeFileSync(join(folder, "a.csv"), content);
  return (await Array.fromAsync(csvRows(join(folder, "a.csv"), from, { limit: 1000, ...options }))).flat();
};

test("quotes, commas and line breaks in fields; a stream goes on at any row", async () => {
  const content = 'id,text\r\n1,"größe, ""so"""\r\n2,"two\r\nlines"\r\n\r\n3,\r\n';
  const all = await rows(content, { numbers: ["id"] });
  assert.deepEqual(all, [
    { row: { id: 1, text: 'größe, "so"' }, at: 9 },
    { row: { id: 2, text: "two\r\nlines" }, at: 30 },
    { row: { id: 3, text: "" }, at: 48 },
  ]);
  assert.deepEqual(await rows(content, { from: 30, numbers: ["id"] }), all.slice(1));
  assert.deepEqual(await rows("a;b\n;x\n", { delimiter: ";", numbers: ["a"] }), [{ row: { a: null, b: "x" }, at: 4 }]);
});

test("says which row is wrong, and how", async () => {
  await assert.rejects(rows("a,b\n1\n"), /row at byte 4 has 1 fields; wanted 2/);
  await assert.rejects(rows("a,a\n1,2\n"), /Two columns are named "a"/);
  await assert.rejects(rows("a,b\n1,x\n", { numbers: ["b"] }), /"b" is "x" in the row at byte 4; wanted a number/);
  await assert.rejects(rows("a,b\n1,2\n", { numbers: ["c"] }), /no column "c"; there are a, b/);
  await assert.rejects(rows(`a\n"${"x".repeat(2000)}`), /is a quote not closed/);
  await assert.rejects(rows(""), /wanted a line with the names/);
});
