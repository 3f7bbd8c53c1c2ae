// Runs as it is: node --test write-gguf.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import { dequantize, readGGUF } from "./gguf.ts";
import { quantize, type Typed, writeGGUF } from "./write-gguf.ts";

const values = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i) * (i < 32 ? 1 : 10));
const most = (xs: Float32Array) => xs.reduce((top, x) => Math.max(top, Math.abs(x)), 0);

test("a block is off by half a step of its own scale at most", () => {
  for (const [type, steps] of [
    ["Q8_0", 127],
    ["Q4_0", 8],
    ["Q4_1", 7.5],
    ["F16", 1024],
    ["BF16", 128],
  ] as const) {
    const back = dequantize(quantize(values, type), type);
    for (const [from, top] of [
      [0, most(values.subarray(0, 32))],
      [32, most(values.subarray(32))],
    ] as const) {
      const off = back.subarray(from, from + 32).map((x, i) => Math.abs(x - values[from + i]));
      // The largest of Q4_0 is exact and its opposite a whole step off; others half a step and the rounding of the scale.
      assert.ok(most(off) <= (top / steps) * (type === "Q4_0" ? 1.01 : 0.51), `${type}: ${most(off)}`);
      assert.ok(
        type === "F16" || type === "BF16" || most(off) > (top / steps) * 0.3,
        `${type} is finer than it can be`,
      );
    }
  }
  assert.deepEqual(dequantize(quantize(values, "F32"), "F32"), values);
  assert.throws(() => quantize(values.subarray(1), "Q8_0"), /63 values; wanted a multiple of 32/);
  assert.throws(() => quantize(values.with(3, Number.NaN), "Q8_0"), /value 3 is NaN/);
  assert.throws(() => quantize(Float32Array.of(1e5), "F16"), /too large for F16/);
});

test("what is written is read again: every kind of metadata, tensors in their order and aligned", () => {
  const meta: Record<string, Typed> = {
    alignment: { type: "u32", value: 7 },
    negative: { type: "i32", value: -7 },
    half: { type: "f32", value: 0.5 },
    yes: { type: "bool", value: true },
    words: { type: "string[]", value: ["größe", ""] },
    large: { type: "u64", value: 2n ** 60n },
    below: { type: "i64", value: -3 },
    third: { type: "f64", value: 1 / 3 },
  };
  const tensors = [
    { name: "b", type: "Q8_0" as const, shape: [2, 32], bytes: quantize(values, "Q8_0") },
    { name: "a", type: "F32" as const, shape: [3], bytes: quantize(values.subarray(0, 3), "F32") },
  ];
  const file = writeGGUF(tensors, meta);
  const read = readGGUF(file);
  assert.deepEqual({ ...read.meta }, Object.fromEntries(Object.entries(meta).map(([key, { value }]) => [key, value])));
  assert.deepEqual(
    read.tensors.map(({ name, type, shape }) => ({ name, type, shape })),
    tensors.map(({ bytes, ...rest }) => rest),
  );
  for (const [i, { bytes }] of tensors.entries()) assert.deepEqual([...read.tensors[i].bytes], [...bytes]);
  assert.equal(file.length % 32, 0);
  assert.throws(() => writeGGUF([{ ...tensors[0], shape: [64, 1] }], {}), /wanted rows of 32s/);
  assert.throws(() => writeGGUF([], { x: { type: "u32", value: -1 } }), /x is -1; wanted u32/);
});
