// Runs as it is, with hyparquet and hyparquet-compressors: node --test parquet.test.ts
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FormatError } from "../core/io.ts";
import { parquetRows } from "./parquet.ts";

// Written by pyarrow, with Snappy, two rows in a group.
const file = Buffer.from(
  "UEFSMRUEFSAVJEwVBBUAEgAAEDwBAAAAAAAAAAIAAAAAAAAAFQAVEhUWLBUEFRAVBhUGHAAAAAkgAgAAAAQBAQMCFQQVEhUWTBUCFQASAAAJIAUAAAB3aGFsZRUAFRIVFiwVBBUQFQYVBhwAAAAJIAIAAAADAQECABUEFRAVFEwVAhUAEgAACBwDAAAAAAAAABUAFRIVFiwVAhUQFQYVBhwAAAAJIAIAAAACAQECABUEFRYVGkwVAhUAEgAACygHAAAAZ3LDtsOfZRUAFRIVFiwVAhUQFQYVBhwAAAAJIAIAAAACAQECABUEGTw1ABgGc2NoZW1hFQQAFQQlAhgCaWQAFQwlAhgEdGV4dCUATBwAAAAWBhksGSwmABwVBBk1AAYQGRgCaWQVAhYEFnQWfCZIJggpLBUEFQAVAgAVABUQFQIAPCkGGSYABAAAACYAHBUMGTUABhAZGAR0ZXh0FQIWBBZmFm4mtgEmhAEpLBUEFQAVAgAVABUQFQIAPBYKGQYZJgICAAAAFtoBFgQmCBbqAQAZLCYAHBUEGTUABhAZGAJpZBUCFgIWZBZsJqICJvIBKSwVBBUAFQIAFQAVEBUCADwpBhkmAAIAAAAmABwVDBk1AAYQGRgEdGV4dBUCFgIWahZyJpQDJt4CKSwVBBUAFQIAFQAVEBUCADwWDhkGGSYAAgAAABbOARYCJvIBFt4BACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNi4wLjEZLBwAABwAAABXAQAAUEFSMQ==",
  "base64",
);
const folder = mkdtempSync(join(tmpdir(), "parquet-"));
after(() => rmSync(folder, { recursive: true }));
const rows = async (bytes: Uint8Array, from = 0, columns?: string[]) => {
  writeFileSync(join(folder, "a.parquet"), bytes);
  return (await Array.fromAsync(parquetRows(join(folder, "a.parquet"), from, { columns, limit: 1000 }))).flat();
};

test("rows as Python wrote them, from any one on, of the columns that are asked for", async () => {
  const all = await rows(file);
  assert.deepEqual(all, [
    { row: { id: 1, text: "whale" }, at: 0 },
    { row: { id: 2, text: null }, at: 1 },
    { row: { id: 3, text: "größe" }, at: 2 },
  ]);
  assert.deepEqual(await rows(file, 1), all.slice(1));
  assert.deepEqual((await rows(file, 2, ["text"]))[0].row, { text: "größe" });
  await assert.rejects(rows(file, 0, ["other"]), /no column "other"; there are id, text/);
});

test("a file that is cut or damaged is refused, at whatever byte", async () => {
  await assert.rejects(rows(file.subarray(0, -1)), /no parquet file, or cut short/);
  for (let at = 4; at < file.length; at += 7) {
    const broken = Uint8Array.from(file);
    broken[at] ^= 0x55;
    try {
      await rows(broken);
    } catch (error) {
      assert.ok(error instanceof FormatError, `byte ${at}: ${error}`);
    }
  }
});
