// Runs with any backend of TensorFlow.js: node --import @tensorflow/tfjs-backend-wasm --test gguf.test.ts
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs-core";
import { dequantize, loadGGUF, readGGUF } from "./gguf.ts";

await tf.ready();
const text = (value: string) => {
  const bytes = new TextEncoder().encode(value);
  return [bytes.length, 0, 0, 0, 0, 0, 0, 0, ...bytes];
};
const u32 = (value: number) => [...new Uint8Array(new Uint32Array([value]).buffer)];
const u64 = (value: number) => [...u32(value), 0, 0, 0, 0];
const half = (value: number) => [...new Uint8Array(new Float16Array([value]).buffer)];
/** A file by hand: two entries of metadata, a tensor of [2, 1] numbers and one of 32 in a block. */
const head = [
  ...[...u32(0x46554747), ...u32(3), ...u64(2), ...u64(2)],
  ...[...text("name"), ...u32(8), ...text("größe")],
  ...[...text("list"), ...u32(9), ...u32(5), ...u64(2), ...u32(7), ...u32(0xffffffff)],
  ...[...text("two"), ...u32(2), ...u64(1), ...u64(2), ...u32(0), ...u64(0)],
  ...[...text("block"), ...u32(1), ...u64(32), ...u32(8), ...u64(32)],
];
const pad = (bytes: number[]) => [...bytes, ...Array(-bytes.length & 31).fill(0)];
const data = [
  ...pad([...new Uint8Array(new Float32Array([1.5, -2]).buffer)]),
  ...half(0.5),
  ...Array(31).fill(2),
  0xfd,
];
const file = Uint8Array.from([...pad(head), ...data]);

test("reads metadata and tensors, the slowest axis first", () => {
  const folder = mkdtempSync(join(tmpdir(), "gguf-"));
  writeFileSync(join(folder, "x.gguf"), file);
  const { params, meta, types } = loadGGUF(join(folder, "x.gguf"));
  rmSync(folder, { recursive: true });
  assert.deepEqual({ ...meta }, { name: "größe", list: [7, -1] });
  assert.deepEqual(types, { two: "F32", block: "Q8_0" });
  assert.deepEqual(
    [params.two.shape, [...params.two.dataSync()]],
    [
      [2, 1],
      [1.5, -2],
    ],
  );
  assert.deepEqual([...params.block.dataSync()], [...Array(31).fill(1), -1.5]);
});

test("four-bit blocks: d (q - 8), or d q + m; byte i has the weights i and i + 16", () => {
  const q = [0x80, ...Array(15).fill(0xf1)];
  const four = dequantize(Uint8Array.from([...half(0.25), ...q]), "Q4_0");
  assert.deepEqual([four[0], four[16], four[1], four[17]], [-2, 0, -1.75, 1.75]);
  const offset = dequantize(Uint8Array.from([...half(0.25), ...half(10), ...q]), "Q4_1");
  assert.deepEqual([offset[0], offset[16], offset[1], offset[17]], [10, 12, 10.25, 13.75]);
  assert.deepEqual([...dequantize(Uint8Array.from([0x80, 0x3f]), "BF16")], [1]);
  assert.deepEqual([...dequantize(Uint8Array.from(half(0.1)), "F16")], [Math.f16round(0.1)]);
});

test("a damaged file is refused with the place", () => {
  assert.throws(() => readGGUF(file.subarray(0, file.length - 1)), /it was cut short/);
  assert.throws(() => readGGUF(Uint8Array.from([1, ...file.subarray(1)])), /does not start with GGUF/);
  assert.throws(() => readGGUF(file.with(4, 9)), /version 9/);
  const truth = [...u32(0x46554747), ...u32(3), ...u64(0), ...u64(1), ...text("yes"), ...u32(7)];
  assert.deepEqual({ ...readGGUF(Uint8Array.from([...truth, 1])).meta }, { yes: true });
  assert.throws(() => readGGUF(Uint8Array.from([...truth, 2])), /A truth value at byte \d+ is 2; wanted 0 or 1/);
  assert.throws(() => readGGUF(file.with(8, 255)), /255 tensors|cannot be true|more than the rest/);
});
