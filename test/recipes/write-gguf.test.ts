// What write-gguf.ts writes: the bytes of llama.cpp's own package (test/fixtures/quantized.py), and files that gguf.ts reads.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import "@whetstone/engine";
import { load } from "../../recipes/core/io.ts";
import { dequantize, type GGUFTensor, type GGUFType, readGGUF } from "../../recipes/export/gguf.ts";
import { quantize, saveGGUF, type Typed, writeGGUF } from "../../recipes/export/write-gguf.ts";

const fixtures = join(import.meta.dirname, "../fixtures");

describe("write-gguf", () => {
  it("quantizes as llama.cpp does, to the bit", () => {
    const { values, ...wanted } = load(join(fixtures, "quantized.safetensors")).params;
    assert.equal(Object.keys(wanted).length, 5);
    for (const [type, bytes] of Object.entries(wanted)) {
      const found = quantize(values.dataSync() as Float32Array, type as GGUFType);
      assert.deepEqual(Array.from(found), Array.from(bytes.dataSync()), type);
    }
    const stored = quantize(values.dataSync() as Float32Array, "F32");
    assert.deepEqual(dequantize(stored, "F32"), values.dataSync());
  });

  it("is off by no more than its steps allow", () => {
    const x = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i * i));
    for (const [type, step] of [
      ["Q8_0", 1 / 127],
      ["Q4_0", 1 / 4], // the opposite of the largest is cut by a whole step of 1/8
      ["Q4_1", 2 / 15],
    ] as const) {
      const y = dequantize(quantize(x, type), type);
      assert.ok(Math.max(...x.map((v, i) => Math.abs(v - y[i]))) <= (step / 2) * 1.01 + 1e-3, type);
    }
  });

  it("has no number for what is not finite or too large", () => {
    const of = (value: number) => new Float32Array(32).fill(value);
    for (const type of ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1"] as const)
      assert.throws(() => quantize(of(Number.NaN), type), /value 0 is NaN; wanted finite/);
    assert.throws(() => quantize(of(1e6), "F16"), /1000000 is too large for F16/);
    assert.throws(() => quantize(of(1e7), "Q8_0"), /scale 78740.* too large for float16/);
    assert.throws(() => quantize(new Float32Array(31), "Q4_0"), /31 values; wanted a multiple of 32/);
    for (const type of ["Q8_0", "Q4_0", "Q4_1"] as const)
      assert.ok(dequantize(quantize(of(1e-44), type), type).every((x) => x === 0)); // 1 / d is infinite
  });

  it("writes llama.cpp's own file again, byte by byte", () => {
    const file = readFileSync(join(fixtures, "small.gguf"));
    const { tensors, meta } = readGGUF(file);
    const kinds: Record<string, Typed["type"]> = {
      "general.architecture": "string",
      "test.u32": "u32",
      "test.i64": "i64",
      "test.u64": "u64",
      "test.f32": "f32",
      "test.yes": "bool",
      "test.text": "string",
      "test.list": "string[]",
      "test.numbers": "i32[]",
    };
    const typed = Object.fromEntries(Object.entries(meta).map(([key, value]) => [key, { type: kinds[key], value }]));
    assert.deepEqual(Buffer.from(writeGGUF(tensors, typed)), file);
  });

  it("keeps to an alignment, and refuses what does not fit together", () => {
    const folder = mkdtempSync(join(tmpdir(), "gguf-"));
    const tensor = (name: string, length: number): GGUFTensor => {
      const values = Float32Array.from({ length }, (_, i) => i);
      return { name, type: "F32", shape: [length], bytes: quantize(values, "F32") };
    };
    const tensors = [tensor("a", 3), tensor("b", 40), tensor("c", 1)];
    const meta = {
      "general.alignment": { type: "u32", value: 128 },
      long: { type: "string", value: "ä".repeat(1e5) },
      many: { type: "u32[]", value: Array.from({ length: 1e5 }, (_, i) => i) },
    };
    try {
      saveGGUF(join(folder, "x.gguf"), tensors, meta as Record<string, Typed>);
      const read = readGGUF(readFileSync(join(folder, "x.gguf")));
      assert.deepEqual(
        read.tensors.map(({ bytes, ...rest }) => ({ ...rest, bytes: new Uint8Array(bytes) })),
        tensors,
      );
      assert.equal(read.meta.long, meta.long.value);
      assert.deepEqual(read.meta.many, meta.many.value);
    } finally {
      rmSync(folder, { recursive: true });
    }
    assert.throws(() => writeGGUF([{ ...tensors[0], shape: [4] }], {}), /a is \[4\] with 12 bytes as F32; wanted/);
    assert.throws(() => writeGGUF([], { n: { type: "u32", value: -1 } }), /n is -1; wanted u32/);
    assert.throws(() => writeGGUF([], { n: { type: "string[]", value: ["a", 1] } }), /n is 1; wanted string/);
  });
});
