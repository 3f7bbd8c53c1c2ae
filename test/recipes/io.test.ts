// Safetensors, both ways with Python (test/fixtures/io.py), and files that are damaged.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tf } from "@whetstone/engine";
import { type FloatFormat, fromSafetensors, load, save, toSafetensors, writeAtomic } from "../../recipes/core/io.ts";
import { rng } from "../../recipes/core/rng.ts";
import { awkward } from "../fixtures/io.ts";

const fixtures = join(import.meta.dirname, "../fixtures");
const hashes: Record<FloatFormat, string> = JSON.parse(readFileSync(join(fixtures, "io.json"), "utf8"));
const file = (header: unknown, data = 0) => {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const out = new Uint8Array(8 + json.length + data);
  new DataView(out.buffer).setBigUint64(0, BigInt(json.length), true);
  out.set(json, 8);
  return out;
};

describe("safetensors", () => {
  it("reads what Python wrote, every dtype, with its metadata", () => {
    const { params, metadata } = load(join(fixtures, "io.safetensors"));
    assert.deepEqual(metadata, { from: "python", größe: "数" });
    const names = Object.keys(params).filter((name) => !name.endsWith(".expected"));
    assert.equal(names.length, 12);
    for (const name of names) {
      const wanted = params[`${name}.expected`];
      if (!wanted) continue;
      assert.equal(params[name].dtype, wanted.dtype, name);
      assert.deepEqual([...params[name].dataSync()], [...wanted.dataSync()], name); // -0 is not 0, NaN is NaN
    }
    assert.deepEqual(params.scalar.shape, []);
    assert.equal(params.scalar.dataSync()[0], 3.5);
    assert.deepEqual(params.empty.shape, [2, 0]);
    assert.deepEqual([...params.bool.dataSync()], [1, 0]);
    const f32 = [0, -0, 1, 1 / 3, -2049, 1e-40, 3e38, Infinity, -Infinity, NaN];
    assert.deepEqual([...params.f32.dataSync()], [...Float32Array.from(f32)]);
  });

  it("writes what Python has read: the bytes are those that io.py found right", () => {
    for (const dtype of Object.keys(hashes) as FloatFormat[]) {
      const bytes = toSafetensors(awkward(), { dtype, metadata: { from: "whetstone" } });
      assert.equal(createHash("sha256").update(bytes).digest("hex"), hashes[dtype], dtype);
    }
  });

  it("gives back what it wrote, exactly in F32, rounded to nearest in F16 and BF16", () => {
    const w = rng(1).normal([64, 3]);
    const back = (dtype: FloatFormat) => fromSafetensors(toSafetensors({ w }, { dtype })).params.w;
    assert.deepEqual(back("F32").dataSync(), w.dataSync());
    const rounding = (dtype: FloatFormat) => tf.max(tf.div(tf.abs(tf.sub(back(dtype), w)), tf.abs(w))).dataSync()[0];
    assert.ok(rounding("F16") <= 2 ** -11 && rounding("F16") > 2 ** -13);
    assert.ok(rounding("BF16") <= 2 ** -8 && rounding("BF16") > 2 ** -10);
    assert.ok(toSafetensors({ w }).length - toSafetensors({ w }, { dtype: "F16" }).length >= 64 * 3 * 2 - 8);
  });

  it("writes the same bytes whatever the order of the names, and starts data aligned", () => {
    const [a, b] = [tf.ones([2]), tf.zeros([3])];
    const bytes = toSafetensors({ a, b });
    assert.deepEqual(bytes, toSafetensors({ b, a }));
    assert.equal(new DataView(bytes.buffer).getBigUint64(0, true) % 8n, 0n);
  });

  it("refuses damaged and malicious files, saying what is wrong", () => {
    const one = (entry: object) => file({ w: { dtype: "F32", shape: [1], data_offsets: [0, 4], ...entry } }, 4);
    assert.equal(fromSafetensors(one({})).params.w.size, 1);
    const cases: [Uint8Array, RegExp][] = [
      [new Uint8Array(3), /Not a safetensors file: it has 3 bytes/],
      [toSafetensors({ w: tf.ones([9]) }).subarray(0, 60), /cut short|takes|within/],
      [file("[1]"), /does not start with \{/],
      [file("{nonsense}"), /header is not JSON/],
      [one({ dtype: "F8" }), /w has dtype "F8"; known are/],
      [one({ shape: [-1] }), /w has shape \[-1\]/],
      [one({ shape: [2] }), /w has 4 bytes, but F32 \[2\] takes 8/],
      [one({ data_offsets: [0, 400] }), /w lies at \[0,400\]; wanted \[from, to\] within 4 bytes/],
      [file({ w: { dtype: "F32", shape: [1], data_offsets: [4, 8] } }, 8), /w starts at byte 4 of the data; wanted 0/],
      [file({ w: { dtype: "F32", shape: [1], data_offsets: [0, 4] } }, 8), /take 4 bytes, but the file has 8/],
      [file('{"__proto__": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', 4), /"__proto__" cannot be/],
      [file({ __metadata__: { a: 1 } }), /__metadata__.a is a number/],
      [file({ w: { dtype: "I64", shape: [1], data_offsets: [0, 8] } }, 8).fill(0x7f, -8), /does not fit 32 bits/],
      [file({ w: { dtype: "F32", shape: [2 ** 30, 2 ** 30], data_offsets: [0, 4] } }, 4), /w has 4 bytes, but/],
    ];
    for (const [bytes, message] of cases) assert.throws(() => fromSafetensors(bytes), message);
    assert.throws(() => toSafetensors({ s: tf.tensor(["text"]) }), /s is string; safetensors here holds/);
    assert.throws(() => toSafetensors({ __metadata__: tf.ones([1]) }), /cannot be named/);
  });

  it("names the file in its errors, and leaves no half file", () => {
    const folder = mkdtempSync(join(tmpdir(), "io-"));
    try {
      const path = join(folder, "model.safetensors");
      save(path, { w: tf.ones([2, 2]) });
      save(path, { w: tf.zeros([2, 2]) }); // replaced
      assert.deepEqual([...load(path).params.w.dataSync()], [0, 0, 0, 0]);
      assert.deepEqual(readdirSync(folder), ["model.safetensors"]);
      writeFileSync(path, readFileSync(path).subarray(0, 40));
      assert.throws(() => load(path), new RegExp(`${path}: .*`));
      assert.throws(() => writeAtomic(join(folder, "none/x"), "text"), /ENOENT/);
      writeAtomic(path, "größe");
      assert.equal(readFileSync(path, "utf8"), "größe");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
