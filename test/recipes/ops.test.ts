// What transformers need of operations: values by their formulas in double precision, gradients by central differences.
import assert from "node:assert/strict";
import { jit, tf, useDevice } from "@whetstone/engine";
import { valueAndGrads } from "../../recipes/core/grad.ts";
import { capture, compose, linear } from "../../recipes/core/linear.ts";
import {
  crossEntropy,
  crossEntropyEach,
  embed,
  gelu,
  geluErf,
  layerNorm,
  rmsNorm,
  roundSTE,
} from "../../recipes/core/ops.ts";
import { bytes, clone, count, dispose, get, type Params } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";

const list = (x: tf.Tensor) => Array.from(x.dataSync());
const near = (found: ArrayLike<number>, wanted: ArrayLike<number>, tolerance: number, what = "") => {
  assert.equal(found.length, wanted.length);
  const scale = Math.max(...Array.from(wanted, Math.abs));
  for (let i = 0; i < found.length; i++)
    assert.ok(Math.abs(found[i] - wanted[i]) <= tolerance * scale, `${what}[${i}] is ${found[i]}, not ${wanted[i]}`);
};

/** Gradient of f: number[] -> number by central differences, in double precision. */
function differences(f: (x: number[]) => number, x: number[]): number[] {
  const h = 1e-5;
  return x.map((_, i) => {
    const moved = (by: number) => f(x.map((value, j) => (i === j ? value + by : value)));
    return (moved(h) - moved(-h)) / (2 * h);
  });
}

const [rows, width] = [3, 5];
const x = rng(1).fork("x").normal([rows, width], 2);
const gain = rng(1).fork("gain").uniform([width], 0.5, 2);
const bias = rng(1).fork("bias").normal([width]);
const weights = rng(1).fork("weights").normal([rows, width]); // makes a scalar that every element has a part in
const row = (values: number[], i: number) => values.slice(i * width, (i + 1) * width);
const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;

/** The formulas, on plain numbers: [rows, width] flattened. */
const formulas: Record<string, (x: number[], gain: number[], bias: number[]) => number[]> = {
  rmsNorm: (x, gain) =>
    x.map((value, i) => {
      const all = row(x, Math.floor(i / width));
      return (value / Math.sqrt(mean(all.map((v) => v * v)) + 1e-5)) * gain[i % width];
    }),
  layerNorm: (x, gain, bias) =>
    x.map((value, i) => {
      const all = row(x, Math.floor(i / width));
      const m = mean(all);
      return ((value - m) / Math.sqrt(mean(all.map((v) => (v - m) ** 2)) + 1e-5)) * gain[i % width] + bias[i % width];
    }),
  gelu: (x) => x.map((v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)))),
};
const recipes: Record<string, (x: tf.Tensor, gain: tf.Tensor, bias: tf.Tensor) => tf.Tensor> = {
  rmsNorm: (x, gain) => rmsNorm(x, gain),
  layerNorm: (x, gain, bias) => layerNorm(x, gain, bias),
  gelu: (x) => gelu(x),
};

describe("ops", () => {
  for (const [name, formula] of Object.entries(formulas)) {
    it(`${name}: value and gradients`, () => {
      near(list(recipes[name](x, gain, bias)), formula(list(x), list(gain), list(bias)), 1e-6, name);
      const loss = (p: Params) => tf.sum(tf.mul(recipes[name](p.x, p.gain, p.bias), weights));
      for (const gradient of [valueAndGrads(loss), jit(valueAndGrads(loss))]) {
        const { grads } = gradient({ x, gain, bias });
        const plain = (x: number[], gain: number[], bias: number[]) =>
          formula(x, gain, bias).reduce((sum, value, i) => sum + value * list(weights)[i], 0);
        near(
          list(grads.x),
          differences((v) => plain(v, list(gain), list(bias)), list(x)),
          1e-4,
          "x",
        );
        if (name === "gelu") assert.deepEqual(list(grads.gain), Array(width).fill(0));
        else
          near(
            list(grads.gain),
            differences((v) => plain(list(x), v, list(bias)), list(gain)),
            1e-4,
            "gain",
          );
      }
    });
  }

  it("geluErf is x Φ(x)", () => {
    // Φ by Simpson's rule on the density: independent of any erf
    const phi = (to: number) => {
      const n = 2000;
      const density = (t: number) => Math.exp(-t * t * 0.5) / Math.sqrt(2 * Math.PI);
      let sum = density(0) + density(to);
      for (let i = 1; i < n; i++) sum += (i % 2 ? 4 : 2) * density((i * to) / n);
      return 0.5 + (sum * to) / n / 3;
    };
    const points = [-3, -1, -0.1, 0, 0.5, 1, 2.5];
    near(
      list(geluErf(tf.tensor1d(points))),
      points.map((v) => v * phi(v)),
      1e-6,
    );
    assert.ok(
      tf.max(tf.abs(tf.sub(gelu(tf.linspace(-5, 5, 999)), geluErf(tf.linspace(-5, 5, 999))))).dataSync()[0] < 5e-4,
    );
  });

  it("crossEntropy: -log softmax, gradient softmax - one-hot, masked; no overflow", () => {
    const ids = tf.tensor1d([0, 4, 2], "int32");
    const each = (x: number[]) =>
      [0, 4, 2].map((id, i) => {
        const all = row(x, i);
        return Math.log(all.reduce((sum, v) => sum + Math.exp(v), 0)) - all[id];
      });
    near(list(crossEntropyEach(x, ids)), each(list(x)), 1e-6);
    near([crossEntropy(x, ids).dataSync()[0]], [mean(each(list(x)))], 1e-6);
    const mask = tf.tensor1d([1, 0, 1], "int32");
    const masked = (x: number[]) => (each(x)[0] + each(x)[2]) / 2;
    const { value, grads } = valueAndGrads((p) => crossEntropy(p.x, ids, mask))({ x });
    near([value.dataSync()[0]], [masked(list(x))], 1e-6);
    near(list(grads.x), differences(masked, list(x)), 1e-4);
    assert.equal(crossEntropy(x, ids, tf.zeros([3])).dataSync()[0], 0);
    near([crossEntropy(x, ids, tf.tensor1d([0, 1, 0])).dataSync()[0]], [each(list(x))[1]], 1e-6);
    const large = tf.tensor2d([1e4, 0, -1e4, 0], [2, 2]);
    near(list(crossEntropyEach(large, tf.tensor1d([1, 1], "int32"))), [1e4, 0], 0);
    assert.throws(
      () => crossEntropy(x, tf.zeros([4], "int32")),
      /logits are \[3,5\], ids \[4\]; wanted logits \[...ids, V\]/,
    );
    assert.throws(() => crossEntropy(x, ids, tf.ones([3, 1])), /mask is \[3,1\], ids are \[3\]/);
  });

  it("crossEntropy and embed are the same on WASM, the floor of all devices", async () => {
    const [values, table] = [list(x), list(rng(2).normal([5, 4]))];
    const run = () => {
      const loss = (p: Params) => {
        const logits = tf.matMul(p.x, embed(p.table, tf.tensor1d([4, 0, 1, 4, 2], "int32")) as tf.Tensor2D); // [3, 4]
        return crossEntropy(logits, tf.tensor1d([0, 3, 2], "int32"));
      };
      const params = { x: tf.tensor2d(values, [rows, width]), table: tf.tensor2d(table, [5, 4]) };
      const { value, grads } = valueAndGrads(loss)(params);
      return [list(value), list(grads.x), list(grads.table)];
    };
    const wanted = run();
    await useDevice("wasm");
    try {
      const found = run();
      for (const i of wanted.keys()) near(found[i], wanted[i], 1e-5);
    } finally {
      await useDevice("auto");
    }
  });

  it("embed takes rows; its gradient adds up where an id comes twice, with and without the kernel for it", () => {
    const ids = tf.tensor2d([2, 0, 2, 1], [2, 2], "int32");
    const table = rng(2).normal([4, 3]);
    const check = () => {
      assert.deepEqual(embed(table, ids).shape, [2, 2, 3]);
      const loss = (p: Params) => tf.sum(tf.mul(embed(p.table, ids), tf.range(0, 12).reshape([2, 2, 3])));
      const { grads } = valueAndGrads(loss)({ table });
      assert.deepEqual(list(grads.table), [3, 4, 5, 9, 10, 11, 6, 8, 10, 0, 0, 0]);
    };
    check();
    assert.deepEqual(list(embed(table, ids)).slice(0, 3), list(table).slice(6, 9));
    const backend = tf.getBackend();
    const kernel = tf.getKernel("UnsortedSegmentSum", backend);
    tf.unregisterKernel("UnsortedSegmentSum", backend); // as in tfjs' own WASM backend
    try {
      check();
    } finally {
      tf.registerKernel(kernel);
    }
  });

  it("roundSTE rounds, ties to even, and lets the gradient through", () => {
    const v = tf.tensor1d([-1.5, -0.4, 0.5, 1.5, 2.6]);
    near(list(roundSTE(v)), [-2, 0, 0, 2, 3], 0);
    assert.deepEqual(list(valueAndGrads((p) => tf.sum(tf.mul(roundSTE(p.v), 3)))({ v }).grads.v), Array(5).fill(3));
  });

  it("linear is x wᵀ + b for any leading dimensions; around it go others, outermost first", () => {
    const [x, w, b] = [
      tf.range(0, 12).reshape([2, 2, 3]),
      tf.tensor2d([1, 0, 0, 0, 1, 1], [2, 3]),
      tf.tensor1d([10, 0]),
    ];
    const y = linear("l", x, w, b);
    assert.deepEqual(
      [y.shape, list(y)],
      [
        [2, 2, 2],
        [10, 3, 13, 9, 16, 15, 19, 21],
      ],
    );
    assert.deepEqual(list(linear("l", x, w)).slice(0, 2), [0, 3]);
    const order: string[] = [];
    const mark = (name: string) => (next: typeof linear) =>
      ((...args) => {
        order.push(name);
        return next(...args);
      }) as typeof linear;
    compose(mark("outer"), mark("inner"))("l", x, w, b);
    assert.deepEqual(order, ["outer", "inner"]);
    const seen: [string, number[]][] = [];
    capture((name, x) => seen.push([name, x.shape]))("l", x, w, b);
    assert.deepEqual(seen, [["l", [4, 3]]]);
    assert.throws(() => linear("h.1.x", x, tf.ones([2, 4])), /h.1.x: x is \[2,2,3\], w is \[2,4\]; wanted/);
  });
});

describe("params and grad", () => {
  it("count numbers and bytes, copy, and name what is missing", () => {
    const p = { "a.w": tf.ones([2, 3]), "b.w": tf.scalar(1, "int32"), c: tf.tensor1d([true], "bool") };
    assert.deepEqual([count(p), bytes(p)], [8, 29]);
    const twin = clone(p);
    twin["a.w"].dispose();
    assert.equal(list(p["a.w"]).length, 6);
    assert.throws(() => get(p, "x.w"), /No parameter "x.w" among 3; there are a.w, b.w/);
    assert.throws(() => get({}, "x"), /among 0; there are none/);
    const many = Object.fromEntries([1, 2, 3, 4, 5].map((i) => [`${i}.w`, p.c]));
    assert.throws(() => get({ a: p.c, ...many }, "0.w"), /among 6; there are 1.w, 2.w, 3.w, 4.w, \.\.\./); // by their last part
    dispose(twin);
    assert.ok(twin.c.isDisposed && !p.c.isDisposed);
  });

  it("valueAndGrads wants a scalar, and gives zeros where nothing depends", () => {
    const p = { used: tf.tensor1d([1, 2]), unused: tf.ones([3]) };
    const { value, grads } = valueAndGrads((p: Params, by: number) => tf.sum(tf.mul(tf.square(p.used), by)))(p, 3);
    assert.deepEqual([value.dataSync()[0], list(grads.used), list(grads.unused)], [15, [6, 12], [0, 0, 0]]);
    assert.throws(() => valueAndGrads((p: Params) => tf.square(p.used))(p), /the loss is \[2\]; end it with tf.mean/);
  });
});
