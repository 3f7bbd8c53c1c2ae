// The child of fuzz.test.ts: tries drawn inputs one by one; its last line says how many were tried and how many refused.
import { writeSync } from "node:fs";
import { tf } from "@whetstone/engine";
import fc from "fast-check";
import { tensorflowBackend } from "../../engine/backend.ts";
import { make } from "./compare.ts";
import { draw, type Spec } from "./draw.ts";
import { drawsOf, table } from "./kernel-table.ts";

// node fuzz-child.ts binding|kernels seed [regular expression of kernels]
const [what, seed, only] = [process.argv[2], Number(process.argv[3]), new RegExp(process.argv[4] ?? "")];
const { native } = tensorflowBackend()!;
let tried = 0;
let refused = 0;

function attempt(label: unknown, run: () => void) {
  writeSync(1, `${JSON.stringify(label)?.slice(0, 2000)}\n`);
  tried++;
  tf.engine().startScope();
  try {
    run();
  } catch (error) {
    if (!(error instanceof Error) || !error.message) throw error;
    refused++;
  } finally {
    tf.engine().endScope();
  }
}

const size = fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constantFrom(-1, 2 ** 31, 2 ** 40, 2 ** 62, Number.NaN, 0.5));
const shape = fc.array(size, { maxLength: 5 });
const dtype = fc.constantFrom(0, 1, 3, 4, 7, 8, 9, 10, 20, 99);
const number = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(Number.NaN, Infinity, -0, 2 ** 53));
const attr = fc.record({
  name: fc.constantFrom("T", "axis", "N", "keep_dims", "Tidx", "nothing", ""),
  type: fc.constantFrom(0, 1, 2, 3, 4, 5, 9, 77),
  value: fc.oneof(
    number,
    fc.string(),
    fc.boolean(),
    fc.array(fc.integer({ min: -9, max: 9 })),
    fc.constant(null),
    fc.constant(undefined),
  ),
});
const op = fc.constantFrom(
  "Add",
  "AddV2",
  "MatMul",
  "Sum",
  "Reshape",
  "ConcatV2",
  "SplitV",
  "Unpack",
  "Softmax",
  "Cast",
  "NoSuchOp",
  "",
);

function fuzzBinding() {
  const good = [1, 3, 10].map((type) => native.createTensor([2, 2], type, [1, 0, 1, 1]));
  const gone = native.createTensor([1], 1, [1]);
  native.deleteTensor(gone);
  const id = fc.oneof(
    fc.constantFrom(...good),
    fc.constantFrom(gone, -1, 0, 1e9, Number.NaN, null as never, "1" as never),
  );
  fc.assert(
    fc.property(
      shape,
      dtype,
      fc.oneof(fc.array(number, { maxLength: 9 }), fc.constantFrom(null, undefined, "text", new Float32Array(4))),
      (s, t, v) =>
        attempt({ createTensor: [s, t, v] }, () => {
          const made = native.createTensor(s, t, v);
          native.tensorDataSync(made);
          native.deleteTensor(made);
        }),
    ),
    { seed, numRuns: 600 },
  );
  fc.assert(
    fc.property(
      op,
      fc.array(attr, { maxLength: 4 }),
      fc.array(id, { maxLength: 4 }),
      fc.integer({ min: 0, max: 4 }),
      (name, attrs, ids, n) =>
        attempt({ executeOp: [name, attrs, ids, n] }, () => {
          for (const { id } of native.executeOp(name, attrs, ids, n)) native.deleteTensor(id);
        }),
    ),
    { seed, numRuns: 1200 },
  );
  fc.assert(
    fc.property(fc.oneof(id, fc.anything()), (wrong) => {
      attempt({ tensorDataSync: wrong }, () => native.tensorDataSync(wrong as number));
      attempt({ deleteTensor: wrong }, () => {
        if (!good.includes(wrong as number)) native.deleteTensor(wrong as number);
      });
    }),
    { seed, numRuns: 200 },
  );
}

// Valid inputs of a kernel, then one thing about them made wrong.
function fuzzKernels() {
  const kernels = Object.keys(table).filter((kernel) => only.test(kernel));
  const change = fc.constantFrom("dtype", "shape", "empty", "disposed", "nan", "attr", "missing", "values", "rank");
  fc.assert(
    fc.property(
      fc.constantFrom(...kernels),
      fc.nat(9),
      change,
      fc.nat(),
      fc.oneof(number, shape),
      (kernel, which, how, at, value) => {
        const drawn = structuredClone(drawsOf(kernel, 10)[which]);
        const random = draw(at);
        const specs = Object.values(drawn.inputs).flat() as Spec[];
        const attrs: Record<string, unknown> = { ...drawn.attrs };
        const spec = specs.length ? random.pick(specs) : undefined;
        if (spec && spec.dtype !== "string") {
          if (how === "dtype")
            Object.assign(
              spec,
              random.tensor(spec.shape, random.pick(["float32", "int32", "bool", "string", "complex64"])),
            );
          if (how === "shape")
            Object.assign(
              spec,
              random.tensor(
                spec.shape.map((n) => n + random.int(0, 2)),
                spec.dtype,
              ),
            );
          if (how === "rank") Object.assign(spec, random.tensor(random.shape(0, 5, 3), spec.dtype));
          if (how === "empty")
            Object.assign(
              spec,
              random.tensor(
                spec.shape.map((n, i) => (i === 0 ? 0 : n)),
                spec.dtype,
              ),
            );
          if (how === "nan") spec.values = spec.values.map(() => Number.NaN);
          if (how === "values")
            spec.values = spec.values.map(() => random.pick([-1, -(2 ** 31), 2 ** 31 - 1, 1000, 0]));
        }
        const names = Object.keys(attrs);
        if (how === "attr" && names.length) {
          const name = random.pick(names);
          // Sizes beyond the machine are for the memory test; here they would only be slow.
          attrs[name] = Array.isArray(attrs[name]) ? (Array.isArray(value) ? value : [value]) : value;
        }
        attempt({ kernel, how, value: String(value), drawn, attrs }, () => {
          const build = (input: Spec | Spec[]) => (Array.isArray(input) ? input.map(make) : make(input));
          const tensors: any = Array.isArray(drawn.inputs)
            ? drawn.inputs.map(make)
            : Object.fromEntries(Object.entries(drawn.inputs).map(([name, input]) => [name, build(input)]));
          const keys = Object.keys(tensors);
          if (how === "disposed" && keys.length) for (const t of [tensors[random.pick(keys)]].flat()) t.dispose();
          if (how === "missing" && keys.length) delete tensors[random.pick(keys)];
          for (const out of [tf.engine().runKernel(kernel, tensors, attrs as never)].flat() as tf.Tensor[])
            out.dataSync();
        });
      },
    ),
    { seed, numRuns: 1500, endOnFailure: true },
  );
}

if (what === "binding") fuzzBinding();
else fuzzKernels();
// It still computes.
if (tf.add(1, 1).dataSync()[0] !== 2) process.exit(3);
writeSync(1, `${JSON.stringify({ tried, refused })}\n`);
