// Runs as it is, with hyparquet: node --test parquet-pages.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import { FormatError } from "../core/io.ts";
import { type Column, checkPages, chunk, thriftEnd, whole } from "./parquet-pages.ts";

test("numbers of a file are whole ones, and a column begins with its dictionary", () => {
  assert.deepEqual([whole(3n, "rows"), whole(0, "rows")], [3, 0]);
  for (const bad of [-1, 1.5, 2n ** 60n, undefined, "3"])
    assert.throws(() => whole(bad, "rows"), /rows; wanted a whole/);
  const column = { data_page_offset: 50n, dictionary_page_offset: 20n, total_compressed_size: 100n } as Column;
  assert.deepEqual(chunk(column), [20, 120]);
  assert.deepEqual(chunk({ ...column, dictionary_page_offset: undefined }), [50, 150]);
});

test("a header ends where its last field does", () => {
  // Field 1, an int of two bytes; field 2, a text of three; field 3, a list of two ints; the end.
  const header = [0x15, 0x80, 0x01, 0x18, 3, 97, 98, 99, 0x19, 0x25, 2, 4, 0];
  assert.equal(thriftEnd(Uint8Array.from([9, ...header, 9]), 1, 15), 14);
  assert.throws(() => thriftEnd(Uint8Array.from(header), 0, 7), /takes 3 bytes; 2 are left/);
  assert.throws(() => thriftEnd(Uint8Array.from([0x1f]), 0, 1), /of type 15/);
  assert.throws(() => thriftEnd(Uint8Array.from([0x15, ...Array(12).fill(0xff)]), 0, 13), /longer than 64 bits/);
});

test("a page must hold the values that it says", async () => {
  // A data page of version 1 with two ints of 32 bits, plainly stored: type 0, sizes 8 and 8, {2 values, PLAIN, RLE, RLE}.
  const page = (values: number) =>
    Uint8Array.from([
      0x15,
      0,
      0x15,
      16,
      0x15,
      16,
      0x2c,
      0x15,
      2 * values,
      0x15,
      0,
      0x15,
      6,
      0x15,
      6,
      0,
      0,
      1,
      0,
      0,
      0,
      2,
      0,
      0,
      0,
    ]);
  const column = { type: "INT32", codec: "UNCOMPRESSED", path_in_schema: ["id"], num_values: 2n } as unknown as Column;
  const element = { name: "id", type: "INT32", repetition_type: "REQUIRED" };
  const leaf = { children: [], count: 1, element, path: ["id"] };
  const tree = { children: [leaf], count: 2, element: { name: "root" }, path: [] } as any;
  const check = (bytes: Uint8Array<ArrayBuffer>, rows = 2, limit = 100) =>
    checkPages(bytes, column, rows, tree, { compressors: {}, limit });
  await check(page(2));
  await assert.rejects(check(page(2), 3), /2 values for 3 rows/);
  await assert.rejects(check(page(3)), /hold 3 values or more; wanted 2/);
  await assert.rejects(check(page(1)), /hold 1 values; wanted 2/);
  await assert.rejects(check(page(2), 2, 7), /unpacked 8; .* 7 may be/);
  await assert.rejects(check(page(2).slice(0, -1)), FormatError);
});
