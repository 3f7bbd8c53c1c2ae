// Your own data: the rows that Python has written (test/fixtures/tables.py), streams that go on where they were, splits, frames.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dfd } from "@whetstone/engine/danfojs";
import { splitOf, splits } from "../../recipes/core/data.ts";
import { FormatError } from "../../recipes/core/io.ts";
import { fromFrame, toFrame } from "../../recipes/data/frame.ts";
import { type Item, type Place, type ReadOptions, type Row, read } from "../../recipes/data/read.ts";

const fixtures = join(import.meta.dirname, "../fixtures");
const table = (name: string) => join(fixtures, "tables", name);
const wanted: Row[] = JSON.parse(readFileSync(join(fixtures, "tables.json"), "utf8"));
const all = (paths: string | string[], options?: ReadOptions) => Array.fromAsync(read(paths, options));
const rows = async (paths: string | string[], options?: ReadOptions) =>
  (await all(paths, options)).map(({ value }) => value);

describe("read", function () {
  this.timeout(60_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "read-"));
  });
  after(() => rmSync(folder, { recursive: true }));
  const file = (name: string, content: string | Uint8Array) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };

  for (const name of readdirSync(join(fixtures, "tables")))
    it(`${name}: the rows that Python reads`, async () => {
      if (name.endsWith("sv")) {
        const found = await rows(table(name), { numbers: ["id", "score"] });
        const text = (value: unknown) => value ?? ""; // CSV has no null
        assert.deepEqual(
          found,
          wanted.map(({ id, text: words, kind, score }) => ({ id, text: words, kind: text(kind), score })),
        );
        return;
      }
      const found = await rows(table(name));
      for (const row of found) if (row.big != null) row.big = `${BigInt(row.big as number)}`;
      assert.deepEqual(found, wanted);
    });

  it("text: lines, paragraphs, or what any separator divides", async () => {
    const path = file("a.txt", "\ufeffone\r\ntwo, größe\r\n\r\nthree\n🐋 four");
    assert.deepEqual(
      (await rows(path)).map(({ text }) => text),
      ["one", "two, größe", "three", "🐋 four"],
    );
    assert.deepEqual(
      (await rows(path, { separator: "\r\n\r\n" })).map(({ text }) => text),
      ["one\r\ntwo, größe", "three\n🐋 four"],
    );
    const long = file("long.txt", Array.from({ length: 90_000 }, (_, i) => `${i} größe 🐋`).join("<end>"));
    assert.deepEqual(
      (await rows(long, { separator: "<end>" })).map(({ text }) => text),
      Array.from({ length: 90_000 }, (_, i) => `${i} größe 🐋`),
    );
  });

  it("CSV: quotes, line breaks and characters of several bytes on the borders of pieces", async () => {
    for (const newline of ["\n", "\r\n", "\r"]) {
      const fields = Array.from(
        { length: 30_000 },
        (_, i) => ["größe", `a "${i}"`, "b,c", `two${newline}lines`, "🐋", ""][i % 6] + i,
      );
      const path = file(
        "b.csv",
        `n,text${newline}${fields.map((text, i) => `${i},"${text.replaceAll('"', '""')}"`).join(newline)}`,
      );
      const found = await all(path, { numbers: ["n"] });
      assert.deepEqual(
        found.map(({ value }) => value),
        fields.map((text, n) => ({ n, text })),
      );
      const bytes = readFileSync(path);
      for (const { place, value } of found.filter((_, i) => i % 997 === 0))
        assert.ok(bytes.subarray(Number(place.at)).toString().startsWith(`${value.n},`));
      const { place } = found[29_000];
      assert.deepEqual(await all(path, { numbers: ["n"], start: place }), found.slice(29_000));
    }
  });

  describe("goes on at any place as the whole stream does", () => {
    const streams: Record<string, [string[], ReadOptions]> = {
      "JSON lines": [["lines.jsonl"], {}],
      "CSV with a mark of its order of bytes": [["excel.csv"], {}],
      parquet: [["snappy.parquet"], {}],
      "shuffled, of three formats, three times": [
        ["lines.jsonl", "plain.parquet", "gzip-v2.parquet", "unix.csv"],
        { shuffle: 37, epochs: 3, seed: 5 },
      ],
      "shuffled, of a split": [["lines.jsonl", "zstd.parquet"], { shuffle: 16, epochs: 2, split: "train", test: 0.4 }],
    };
    for (const [name, [files, options]] of Object.entries(streams))
      it(name, async () => {
        const paths = files.map(table);
        const whole = await all(paths, options);
        for (let i = 0; i < whole.length; i += 1 + (whole.length >> 5)) {
          for (const [start, rest] of [
            [whole[i].place, whole.slice(i)],
            [whole[i].next, whole.slice(i + 1)],
          ] as [Place | null, Item<Row>[]][])
            assert.deepEqual(await all(paths, { ...options, start: JSON.parse(JSON.stringify(start)) }), rest, `${i}`);
        }
        assert.equal(whole.at(-1)!.next, null);
        assert.ok(JSON.stringify(whole[0].place).length < 120);
      });
  });

  it("shuffles: every row once in each epoch, in an order of its own, by the seed alone", async () => {
    const ids = async (options: ReadOptions) =>
      (await rows(table("lines.jsonl"), options)).map(({ id }) => id as number);
    const order = await ids({ shuffle: 1000, epochs: 2, seed: 1 });
    const [first, second] = [order.slice(0, 100), order.slice(100)];
    const sorted = Array.from({ length: 100 }, (_, i) => i);
    for (const one of [first, second])
      assert.deepEqual(
        [...one].sort((a, b) => a - b),
        sorted,
      );
    assert.notDeepEqual(first, second);
    assert.deepEqual(await ids({ shuffle: 1000, epochs: 2, seed: 1 }), order);
    assert.notDeepEqual(await ids({ shuffle: 1000, epochs: 2, seed: 2 }), order);
    const far = (await ids({ shuffle: 20 })).map((id, i) => Math.abs(id - i));
    assert.ok(Math.max(...far) < 20 && far.filter(Boolean).length > 80);
  });

  it("splits by what a row holds: no row is in two, equal rows are in one, whatever the format", async () => {
    const shares = { validation: 0.2, test: 0.2 };
    const of = async (name: string) => {
      const parts = (["train", "validation", "test"] as const).map((split) =>
        rows(table(name), { ...shares, split, name: ({ text }) => `${text}` }),
      );
      return (await Promise.all(parts)).map((part) => part.map(({ text }) => text as string));
    };
    const parts = await of("lines.jsonl");
    assert.deepEqual(parts.flat().sort(), wanted.map(({ text }) => text as string).sort());
    assert.ok(
      parts.every(
        (part, i) => part.length && part.every((text) => parts.every((other, j) => i === j || !other.includes(text))),
      ),
    );
    assert.deepEqual(await of("brotli.parquet"), parts);
    for (const text of parts[2]) assert.equal(splitOf(text, shares), "test");
    const whole = await rows(table("lines.jsonl"), { ...shares, split: "test" });
    assert.ok(whole.length > 5 && whole.length < 40);
  });

  it("needs no more memory than a piece: 48 MB in a heap of 24 MB, to the last row", () => {
    const child = join(import.meta.dirname, "read-child.ts");
    for (const kind of ["jsonl", "csv", "txt"]) {
      const path = join(folder, `large.${kind}`);
      const heap = ["--max-old-space-size=24", "--max-semi-space-size=2"];
      const { status, stdout, stderr } = spawnSync(process.execPath, [...heap, child, path], { encoding: "utf8" });
      assert.equal(status, 0, stderr);
      const { bytes, written, given, extra } = JSON.parse(stdout);
      assert.ok(bytes > 48e6 && given === written, stdout);
      assert.ok(extra < 40e6, `${kind}: ${extra / 1e6} MB`);
      rmSync(path);
    }
  });

  it("frames: rows become columns and come back, with what is missing as null", async () => {
    const found = await rows(table("unix.csv"), { numbers: ["id", "score"] });
    const frame = toFrame<any>(dfd, found);
    assert.deepEqual(
      [frame.shape, frame.columns, frame.dtypes[0]],
      [[100, 4], ["id", "text", "kind", "score"], "int32"],
    );
    assert.deepEqual(fromFrame(frame), found);
    assert.deepEqual(fromFrame(toFrame<any>(dfd, [{ a: 1 }, { b: "x" }])), [
      { a: 1, b: null },
      { a: null, b: "x" },
    ]);
    assert.throws(() => toFrame(dfd as any, []), /0 rows without a field/);
  });

  it("the example of the README runs", () => {
    const readme = readFileSync(join(import.meta.dirname, "../../recipes/README.md"), "utf8");
    const code = /## Your own data[\s\S]*?```ts\n([\s\S]*?)```/.exec(readme)![1];
    const place = (name: string) => JSON.stringify(join(folder, name));
    file(
      "reviews.csv",
      `author,stars,text\n${Array.from({ length: 60 }, (_, i) => `author ${i % 20},${i % 5},"so, so"\n`).join("")}`,
    );
    file("notes.txt", "the cat sat on the mat; the other cat sat there.\nnothing else was on the mat.\n".repeat(60));
    file("table.parquet", readFileSync(table("snappy.parquet")));
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [
        "--input-type=module-typescript",
        "-e",
        code.replace(/"(reviews\.csv|notes\.txt|table\.parquet)"/g, (_, name) => place(name)),
      ],
      { cwd: join(import.meta.dirname, "../.."), encoding: "utf8" },
    );
    assert.equal(status, 0, stderr);
    const [counts, ...batches] = stdout.trim().split("\n");
    assert.equal(
      counts.split(" ").reduce((sum, n) => sum + Number(n), 0),
      60,
    );
    assert.ok(
      batches.length > 3 && batches.every((line) => line.startsWith("[ 4, 64 ]")) && batches.at(-1)!.endsWith("null"),
    );
  });

  it("says what is wrong with a file, where, and what to do", async () => {
    const bad = (name: string, content: string | Uint8Array, options: ReadOptions, message: RegExp) =>
      assert.rejects(all(file(name, content), options), (error: Error) => {
        assert.ok(error instanceof FormatError && error.message.startsWith(join(folder, name)), error.stack);
        assert.match(error.message, message);
        return true;
      });
    await bad("c.jsonl", '{"a":1}\n{"a":', {}, /The line at byte 8 is not JSON: /);
    await bad("c.jsonl", '{"a":1}\n[1]\n', {}, /The line at byte 8 is \[1\]; wanted a record/);
    await bad("c.jsonl", '{"__proto__":1}', {}, /"__proto__" cannot be the name of a field/);
    await bad("c.jsonl", `{"a":${"[".repeat(900)}${"]".repeat(900)}}`, {}, /nested more than 500 levels/);
    await bad("c.txt", Uint8Array.of(97, 10, 0xff, 10), {}, /It is not UTF-8/);
    await bad(
      "c.txt",
      "x".repeat(600_000),
      { limit: 1000 },
      /The row at byte 0 is longer than 1000 bytes; is "\\n" what stands between rows\?/,
    );
    await bad("c.csv", "a,b\n1,2\n3\n", {}, /The row at byte 8 has 1 fields; wanted 2, as in the first line/);
    await bad("c.csv", 'a,b\n1,"2\n', {}, /The row at byte 4: Quoted field unterminated/);
    await bad("c.csv", 'a,b\n1,"2"3\n', {}, /The row at byte 4: /);
    await bad("c.csv", "a,a\n1,2\n", {}, /Two columns are named "a"/);
    await bad("c.csv", "a,constructor\n1,2\n", {}, /"constructor" cannot be the name/);
    await bad("c.csv", "a\n\0\n", {}, /The row at byte 2 holds a zero byte/);
    await bad("c.csv", "", {}, /It is empty; wanted a line with the names/);
    await bad("c.csv", "a\nx\n", { numbers: ["a"] }, /"a" is "x" in the row at byte 2; wanted a number/);
    await bad("c.csv", "a\nx\n", { numbers: ["b"] }, /There is no column "b"; there are a/);
    await bad(
      "c.csv",
      `a\n"${"x".repeat(600_000)}`,
      { limit: 1000 },
      /longer than 1000 bytes; is a quote not closed\?/,
    );
    await bad("c.parquet", "PAR1PAR1", {}, /no parquet file, or cut short/);
    await assert.rejects(
      all(table("plain.parquet"), { columns: ["nothing"] }),
      /there is no column "nothing"; there are id, text/,
    );
    assert.deepEqual(Object.keys((await rows(table("plain.parquet"), { columns: ["text", "id"] }))[0]).sort(), [
      "id",
      "text",
    ]);
  });

  it("says what is wrong with what it is asked for", async () => {
    const path = file("d.txt", "a\nb\nc\n");
    await assert.rejects(all(file("d.xls", "")), /in which format\? Known endings are \.txt/);
    await assert.rejects(all([]), /no file is given/);
    await assert.rejects(all([path, path]), /two files are named d\.txt/);
    await assert.rejects(all(path, { split: "test", validation: 0, test: 0 }), /no row of the split test is in /);
    await assert.rejects(all(path, { split: "test", test: 2 }), /test 2 are no shares; wanted 0 to 1/);
    const { next } = (await all(path))[0];
    await assert.rejects(
      all(table("lines.jsonl"), { start: next }),
      /the stream was in d\.txt, which is not among lines\.jsonl/,
    );
    appendFileSync(path, "d\n");
    await assert.rejects(all(path, { start: next }), /has 8 bytes, but had 6 when the stream was there: begin anew/);
    assert.deepEqual(await all(path, { start: null }), []);
  });
});

describe("splits", () => {
  const items = Array.from({ length: 200 }, (_, i) => `speech-${i}`);
  it("in exactly the shares, or by name as splitOf does; in their order, nothing twice", () => {
    for (const options of [{ seed: 3 }, { name: (item: string) => item }]) {
      const parts = splits(items, { validation: 0.25, test: 0.1, ...options });
      assert.deepEqual(Object.values(parts).flat().sort(), [...items].sort());
      for (const part of Object.values(parts))
        assert.deepEqual(
          part,
          items.filter((item) => part.includes(item)),
        );
      if ("name" in options)
        assert.ok(parts.test.every((item) => splitOf(item, { validation: 0.25, test: 0.1 }) === "test"));
      else assert.deepEqual([parts.train.length, parts.validation.length, parts.test.length], [130, 50, 20]);
    }
    assert.notDeepEqual(splits(items, { seed: 1 }), splits(items, { seed: 2 }));
    assert.throws(() => splits(items, { validation: 0.6, test: 0.6 }), /no shares; wanted 0 to 1, together too/);
  });
});
