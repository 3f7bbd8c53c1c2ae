// Every op of the table on TensorFlow against tfjs' CPU backend; gradients against finite differences; ops inside jit and on WASM.
import assert from "node:assert/strict";
import { fromInt64, jit, tf, toInt64, useDevice, valueAndGrad } from "@whetstone/engine";

// Values away from kinks and poles, the same on every backend.
function values(shape: number[], from: number, to: number, seed = 1): tf.Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  const at = (i: number) =>
    from + (to - from) * (((Math.sin((i + 1) * 12.9898 * seed) * 43758.5453) % 1 ** 2) / 2 + 0.5);
  return tf.tensor(
    Float32Array.from({ length: size }, (_, i) => at(i)),
    shape,
  );
}

type Case = [name: string, build: () => tf.Tensor | tf.Tensor[]];

const shapes = [[3], [2, 3], [2, 1, 4]];
const unary = [
  "abs",
  "neg",
  "exp",
  "expm1",
  "square",
  "sin",
  "cos",
  "tanh",
  "sigmoid",
  "erf",
  "relu",
  "elu",
  "selu",
  "softplus",
  "floor",
  "ceil",
  "round",
  "sign",
  "step",
  "leakyRelu",
  "relu6",
  "reciprocal",
  "isFinite",
  "isNaN",
] as const;
const positive = ["log", "log1p", "sqrt", "rsqrt"] as const;
const binary = ["add", "sub", "mul", "div", "maximum", "minimum", "squaredDifference", "mod", "pow"] as const;
const compare = ["equal", "notEqual", "less", "lessEqual", "greater", "greaterEqual"] as const;
const reductions = ["sum", "mean", "max", "min", "prod"] as const;
const op = (name: string) => (tf as unknown as Record<string, (...args: unknown[]) => tf.Tensor>)[name];

const cases: Case[] = [];
for (const shape of shapes) {
  for (const name of unary) cases.push([`${name} [${shape}]`, () => op(name)(values(shape, -2, 2))]);
  for (const name of positive) cases.push([`${name} [${shape}]`, () => op(name)(values(shape, 0.2, 3))]);
  for (const name of reductions) {
    cases.push([`${name} [${shape}]`, () => op(name)(values(shape, 0.5, 2))]);
    cases.push([`${name} [${shape}] axis -1 kept`, () => op(name)(values(shape, 0.5, 2), -1, true)]);
  }
  for (const name of ["softmax", "logSoftmax", "argMax", "argMin", "cumsum", "logSumExp"]) {
    const axis = name === "softmax" || name === "logSoftmax" || name.startsWith("arg") || name === "logSumExp" ? -1 : 0;
    cases.push([`${name} [${shape}]`, () => op(name)(values(shape, -2, 2), axis)]);
  }
}
for (const dtype of ["float32", "int32"] as const) {
  for (const [a, b] of [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], [3]],
    [
      [2, 1],
      [1, 3],
    ],
    [[2, 3], []],
  ]) {
    const pair = () => [tf.cast(values(a, 1, 9), dtype), tf.cast(values(b, 1, 5, 2), dtype)] as const;
    for (const name of [...binary, ...compare])
      cases.push([`${name} ${dtype} [${a}] [${b}]`, () => op(name)(...pair())]);
  }
  cases.push([`transpose ${dtype}`, () => tf.transpose(tf.cast(values([2, 3, 4], 0, 9), dtype), [2, 0, 1])]);
  cases.push([`concat ${dtype}`, () => tf.concat([tf.cast(values([2, 3], 0, 9), dtype), tf.zeros([2, 2], dtype)], 1)]);
  cases.push([`stack ${dtype}`, () => tf.stack([tf.ones([3], dtype), tf.zeros([3], dtype)])]);
  cases.push([`split ${dtype}`, () => tf.split(tf.cast(values([2, 6], 0, 9), dtype), 3, 1)]);
  cases.push([`slice ${dtype}`, () => tf.slice(tf.cast(values([3, 4], 0, 9), dtype), [1, 1], [2, 2])]);
  cases.push([
    `pad ${dtype}`,
    () =>
      tf.pad(tf.ones([2, 2], dtype), [
        [1, 0],
        [0, 2],
      ]),
  ]);
  cases.push([`tile ${dtype}`, () => tf.tile(tf.cast(values([2, 2], 0, 9), dtype), [2, 3])]);
  cases.push([`reverse ${dtype}`, () => tf.reverse(tf.cast(values([2, 3], 0, 9), dtype), 1)]);
  cases.push([
    `gather ${dtype}`,
    () => tf.gather(tf.cast(values([5, 3], 0, 9), dtype), tf.tensor([4, 0, 4], [3], "int32")),
  ]);
  cases.push([
    `gather axis 1 ${dtype}`,
    () => tf.gather(tf.cast(values([2, 5], 0, 9), dtype), tf.tensor([3, 0], [2], "int32"), 1),
  ]);
  cases.push([
    `where ${dtype}`,
    () => tf.where(tf.tensor([true, false, true]), tf.ones([3], dtype), tf.zeros([3], dtype)),
  ]);
  cases.push([
    `topk ${dtype}`,
    () => {
      const { values: v, indices } = tf.topk(tf.tensor([3, 9, 1, 7], [4], dtype), 2);
      return [v, indices];
    },
  ]);
}
for (const [a, b, ta, tb] of [
  [[2, 3], [3, 4], false, false],
  [[3, 2], [3, 4], true, false],
  [[2, 3], [4, 3], false, true],
  [[2, 2, 3], [2, 3, 4], false, false],
  [[2, 2, 3], [3, 4], false, false],
] as [number[], number[], boolean, boolean][]) {
  cases.push([`matMul [${a}] [${b}] ${ta} ${tb}`, () => tf.matMul(values(a, -1, 1), values(b, -1, 1, 2), ta, tb)]);
}
// tfjs' CPU backend gives int32 for float floorDiv and float32 for int32 segment sums: only the dtypes it has right.
cases.push([
  "floorDiv int32",
  () => tf.floorDiv(tf.tensor([7, -7, 9], [3], "int32"), tf.tensor([2, 2, 3], [3], "int32")),
]);
cases.push([
  "unsortedSegmentSum",
  () => tf.unsortedSegmentSum(values([4, 2], 0, 9), tf.tensor([2, 0, 2, 1], [4], "int32") as tf.Tensor1D, 3),
]);
cases.push(["oneHot", () => tf.oneHot(tf.tensor([2, 0], [2], "int32"), 3)]);
cases.push(["cast to bool", () => tf.cast(tf.tensor([0, 2, -1]), "bool")]);
cases.push(["logicalAnd, not", () => tf.logicalAnd(tf.tensor([true, true]), tf.logicalNot(tf.tensor([false, true])))]);
cases.push(["bandPart", () => tf.linalg.bandPart(tf.ones([4, 4]), -1, 0)]);
cases.push(["einsum", () => tf.einsum("bij,bjk->bik", values([2, 2, 3], -1, 1), values([2, 3, 2], -1, 1, 2))]);
cases.push(["range, linspace, fill", () => [tf.range(0, 5, 2), tf.linspace(0, 1, 3), tf.fill([2], 3)]]);
cases.push([
  "conv2d",
  () => tf.conv2d(values([1, 5, 5, 2], -1, 1) as tf.Tensor4D, values([3, 3, 2, 3], -1, 1, 2) as tf.Tensor4D, 1, "same"),
]);
cases.push([
  "gatherND",
  () =>
    tf.gatherND(
      values([3, 2], 0, 9),
      tf.tensor(
        [
          [2, 1],
          [0, 0],
        ],
        [2, 2],
        "int32",
      ),
    ),
]);

interface Read {
  dtype: string;
  shape: number[];
  values: number[];
}
const read = (result: tf.Tensor | tf.Tensor[]): Read[] =>
  [result].flat().map((t) => ({ dtype: t.dtype, shape: t.shape, values: Array.from(t.dataSync()) }));

async function on<T>(backend: string, run: () => T): Promise<T> {
  const before = tf.getBackend();
  await tf.setBackend(backend);
  try {
    return run();
  } finally {
    await tf.setBackend(before);
  }
}

function same(found: Read[], wanted: Read[], tolerance = 1e-5) {
  assert.deepEqual(
    found.map(({ dtype, shape }) => [dtype, shape]),
    wanted.map(({ dtype, shape }) => [dtype, shape]),
  );
  found.forEach(({ values }, k) => {
    values.forEach((x, i) => {
      const w = wanted[k].values[i];
      assert.ok(Object.is(x, w) || Math.abs(x - w) <= tolerance * Math.max(1, Math.abs(w)), `${i}: ${x}, wanted ${w}`);
    });
  });
}

describe("ops on TensorFlow equal tfjs' CPU backend", function () {
  this.timeout(20_000);
  before(() => useDevice("auto"));
  for (const [name, build] of cases) {
    it(name, async () => same(read(build()), await on("cpu", () => read(build()))));
  }
});

describe("ops inside jit equal eager", function () {
  this.timeout(120_000);
  it("all of the table in one program", () => {
    const all = () => cases.map(([, build]) => [build()].flat());
    const compiled = jit(all)();
    compiled.forEach((results, i) => {
      try {
        same(read(results), read(cases[i][1]()), 1e-4);
      } catch (error) {
        throw new Error(`${cases[i][0]}: ${(error as Error).message}`);
      }
    });
  });
});

// Ops that GPT and BERT differentiate, each as a function of float tensors.
const ids = () => tf.tensor([2, 0, 2], [3], "int32");
const differentiable: [string, number[][], (...x: tf.Tensor[]) => tf.Tensor][] = [
  [
    "matMul",
    [
      [2, 3],
      [3, 2],
    ],
    (a, b) => tf.matMul(a, b),
  ],
  [
    "matMul transposed",
    [
      [3, 2],
      [2, 3],
    ],
    (a, b) => tf.matMul(a, b, true, true),
  ],
  [
    "matMul batched",
    [
      [2, 2, 3],
      [2, 3, 2],
    ],
    (a, b) => tf.matMul(a, b),
  ],
  ["add with broadcast", [[2, 3], [3]], (a, b) => tf.add(a, b)],
  [
    "mul with broadcast",
    [
      [2, 3],
      [2, 1],
    ],
    (a, b) => tf.mul(a, b),
  ],
  ["div", [[2, 3], [3]], (a, b) => tf.div(a, tf.add(b, 3))],
  [
    "sub, square, mean, rsqrt",
    [[2, 4]],
    (x) => tf.mul(tf.sub(x, tf.mean(x, -1, true)), tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 1))),
  ],
  ["softmax", [[2, 3]], (x) => tf.softmax(x)],
  ["logSoftmax", [[2, 3]], (x) => tf.logSoftmax(x)],
  ["gather", [[3, 2]], (x) => tf.gather(x, ids())],
  ["reshape, transpose", [[2, 6]], (x) => tf.transpose(tf.reshape(x, [2, 2, 3]), [2, 0, 1])],
  [
    "split, concat",
    [[2, 4]],
    (x) =>
      tf.concat(
        tf.split(x, 2, 1).map((t, i) => tf.mul(t, i + 1)),
        0,
      ),
  ],
  ["tanh, sigmoid, erf", [[4]], (x) => tf.add(tf.tanh(x), tf.mul(tf.sigmoid(x), tf.erf(x)))],
  ["exp, log, sqrt", [[4]], (x) => tf.log(tf.add(tf.exp(x), tf.sqrt(tf.add(x, 3))))],
  ["where", [[3], [3]], (a, b) => tf.where(tf.tensor([true, false, true]), a, b)],
  ["max, sum", [[2, 3]], (x) => tf.add(tf.max(x, -1), tf.sum(x, -1))],
  [
    "slice, pad",
    [[3, 3]],
    (x) =>
      tf.pad(tf.slice(x, [1, 0], [2, 2]), [
        [0, 1],
        [1, 0],
      ]),
  ],
  ["stack, unstack, tile", [[2, 2]], (x) => tf.tile(tf.stack([...tf.unstack(x)].reverse()), [1, 2])],
  ["l2 norm", [[2, 3]], (x) => tf.norm(x, 2, -1)],
  ["cumsum", [[2, 3]], (x) => tf.cumsum(x, 1)],
];

// What TensorFlow has and the WASM backend has not.
const onTensorFlow: typeof differentiable = [
  ["einsum of three", [[2, 3], [3, 4], [4]], (a, b, c) => tf.einsum("ij,jk,k->i", a, b, c)],
  ["einsum with a label of its own", [[2, 3], [3]], (a, b) => tf.einsum("ij,k->i", a, b)],
  ["einsum along a diagonal", [[3, 3]], (a) => tf.einsum("ii->i", a)],
  [
    "einsum with an ellipsis that broadcasts",
    [
      [2, 1, 3, 2],
      [4, 2, 3],
    ],
    (a, b) => tf.einsum("...ij,...jk->...ik", a, b),
  ],
  [
    "einsum without an arrow",
    [
      [2, 3],
      [3, 2],
    ],
    (a, b) => tf.einsum("ij,jk", a, b),
  ],
  [
    "fused matMul",
    [[2, 3], [3, 2], [2]],
    (a, b, bias) => tf.fused.matMul({ a: a as tf.Tensor2D, b: b as tf.Tensor2D, bias, activation: "relu" }),
  ],
  [
    "fused conv2d",
    [[1, 4, 4, 2], [3, 3, 2, 2], [2]],
    (x, filter, bias) =>
      tf.fused.conv2d({ x: x as tf.Tensor4D, filter: filter as tf.Tensor4D, strides: 1, pad: "same", bias }),
  ],
  [
    "fused depthwiseConv2d",
    [
      [1, 4, 4, 2],
      [3, 3, 2, 1],
    ],
    (x, filter) =>
      tf.fused.depthwiseConv2d({ x: x as tf.Tensor4D, filter: filter as tf.Tensor4D, strides: 1, pad: "same" }),
  ],
  ["bandPart", [[3, 4]], (x) => tf.linalg.bandPart(x, 1, 0)],
  ["cumprod over zeros", [[2, 4]], (x) => tf.cumprod(tf.mul(x, tf.tensor([1, 0, 1, 0])), 1)],
  ["cumsum along the first axis", [[3, 2]], (x) => tf.cumsum(x, 0)],
];

for (const device of ["auto", "wasm"] as const) {
  describe(`gradients equal finite differences, ${device}`, function () {
    this.timeout(20_000);
    before(() => useDevice(device));
    after(() => useDevice("auto"));
    for (const [name, shapesOf, f] of device === "wasm" ? differentiable : [...differentiable, ...onTensorFlow]) {
      it(name, () => {
        // A weighted sum, so that gradients that cancel in a plain sum are seen.
        const weigh = (y: tf.Tensor) => tf.sum(tf.mul(y, values(y.shape, 0.5, 2, 3)));
        const inputs = shapesOf.map((shape, i) => values(shape, -1, 1, i + 1));
        const { grads } = valueAndGrad((xs: tf.Tensor[]) => weigh(f(...xs)))(inputs);
        const h = 1e-2;
        inputs.forEach((input, k) => {
          const x = Array.from(input.dataSync());
          const found = Array.from(grads[k].dataSync());
          x.forEach((_, i) => {
            const moved = (d: number) => {
              const shifted = tf.tensor(
                x.map((v, j) => (j === i ? v + d : v)),
                input.shape,
              );
              return weigh(f(...inputs.map((other, j) => (j === k ? shifted : other)))).dataSync()[0];
            };
            const slope = (moved(h) - moved(-h)) / (2 * h);
            assert.ok(
              Math.abs(found[i] - slope) < 5e-3 * Math.max(1, Math.abs(slope)),
              `d/dx${k}[${i}]: ${found[i]}, finite difference ${slope}`,
            );
          });
        });
      });
    }
  });
}

describe("at the border", () => {
  before(() => useDevice("auto"));
  it("carries strings, and int64 as int32", async () => {
    assert.deepEqual(tf.tensor(["a", "", "a longer text than fits inline, é"]).dataSync(), [
      "a",
      "",
      "a longer text than fits inline, é",
    ]);
    const where = await tf.whereAsync(tf.tensor([true, false, true]));
    assert.deepEqual([where.dtype, Array.from(where.dataSync())], ["int32", [0, 2]]);
  });
  it("takes 64-bit integers that fit 32 bits, gives them back, and names those that do not fit", () => {
    const ends = BigInt64Array.of(-(2n ** 31n), -1n, 0n, 2n ** 31n - 1n);
    const tensor = fromInt64(ends, [2, 2]);
    assert.deepEqual([tensor.dtype, tensor.shape], ["int32", [2, 2]]);
    assert.deepEqual(toInt64(tf.add(tensor, tf.scalar(0, "int32"))), ends);
    assert.deepEqual(toInt64(tf.tensor([true, false])), BigInt64Array.of(1n, 0n));
    assert.throws(() => fromInt64([1n, 2n ** 31n]), /fromInt64: value 1 is 2147483648, which does not fit 32 bits/);
    assert.throws(() => toInt64(tf.tensor([1.5])), /toInt64: the tensor is float32\[1\]/);
    assert.throws(() => tf.tensor([1n, 2n] as never), /float32\[2\] needs 2 values, got 0; bigints go by fromInt64/);
  });
  it("gives no result that 32 bits cannot hold", () => {
    const texts = tf.tensor(["a", "b"]) as tf.Tensor1D;
    const hashes = tf.string.stringToHashBucketFast(texts, 2 ** 31).dataSync();
    assert.ok(hashes.every((hash) => hash >= 0));
    assert.throws(() => tf.string.stringToHashBucketFast(texts, 2 ** 40), /numBuckets is 1099511627776/);
    const large = tf.tensor([2 ** 24 + 1, -(2 ** 31)], [2], "int32");
    assert.deepEqual(Array.from(tf.round(large).dataSync()), [2 ** 24 + 1, -(2 ** 31)]);
  });
  it("carries bool as bytes of 0 and 1, through jit too", () => {
    const mask = tf.less(tf.tensor([1, 5]), 3);
    const flipped = jit((x: tf.Tensor) => tf.logicalNot(x))(mask);
    assert.deepEqual([flipped.dtype, Array.from(flipped.dataSync())], ["bool", [0, 1]]);
  });
  it("carries complex64", () => {
    const c = tf.complex([1, 2], [3, 4]);
    assert.deepEqual(
      [Array.from(tf.real(c).dataSync()), Array.from(tf.imag(c).dataSync())],
      [
        [1, 2],
        [3, 4],
      ],
    );
  });
  it("names op, dtypes and shapes in TensorFlow's errors", () => {
    assert.throws(
      () => tf.gather(tf.ones([3]), tf.tensor([7], [1], "int32")),
      /gather: .*not in \[0, 3\) \(x float32\[3\], indices int32\[1\]\) at/,
    );
    assert.throws(
      () => tf.matMul(tf.ones([2, 3]), tf.ones([4, 5])),
      /matMul: .*3 and 4.*\[2,3\] x \[4,5\].*ops\.test\.ts/,
    );
  });
});
