// FLOPs from the traced graph against formulas, PyTorch's counter and XLA's own analysis.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { checkpoint, type Flops, flops, jit, memory, scan, tf, useDevice, valueAndGrad } from "@whetstone/engine";

const wanted = JSON.parse(readFileSync(`${import.meta.dirname}/fixtures/flops.json`, "utf8"));
const text = (found: Flops): string => (found as any)[Symbol.for("Jupyter.display")]()["text/plain"];
const products = ({ kinds }: Flops) => (kinds.matmul ?? 0) + (kinds.einsum ?? 0) + (kinds.conv ?? 0);

// The same model as in fixtures/flops.py.
interface Shape {
  layers: number;
  dim: number;
  heads: number;
  ctx: number;
  vocab: number;
  batch: number;
}
type Params = Record<string, tf.Tensor>;

function init({ layers, dim, ctx, vocab }: Shape): Params {
  const params: Params = { tokens: tf.zeros([vocab, dim]), places: tf.zeros([ctx, dim]) };
  for (let l = 0; l < layers; l++) {
    params[`${l}.qkv`] = tf.zeros([dim, 3 * dim]);
    params[`${l}.out`] = tf.zeros([dim, dim]);
    params[`${l}.up`] = tf.zeros([dim, 4 * dim]);
    params[`${l}.down`] = tf.zeros([4 * dim, dim]);
  }
  return params;
}

function norm(x: tf.Tensor): tf.Tensor {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  return tf.mul(centred, tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), 1e-5)));
}

function block(
  x: tf.Tensor,
  qkv: tf.Tensor,
  out: tf.Tensor,
  up: tf.Tensor,
  down: tf.Tensor,
  { dim, heads, ctx, batch }: Shape,
) {
  const [q, k, v] = tf
    .split(tf.matMul(norm(x), qkv), 3, -1)
    .map((part) => tf.transpose(tf.reshape(part, [batch, ctx, heads, dim / heads]), [0, 2, 1, 3]));
  const at = tf.range(0, ctx);
  const future = tf.mul(tf.cast(tf.greater(tf.expandDims(at, 0), tf.expandDims(at, 1)), "float32"), -1e9);
  const weights = tf.softmax(tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(dim / heads)), future));
  const mixed = tf.reshape(tf.transpose(tf.matMul(weights, v), [0, 2, 1, 3]), [batch * ctx, dim]);
  const attended = tf.add(x, tf.matMul(mixed, out));
  return tf.add(attended, tf.matMul(tf.relu(tf.matMul(norm(attended), up)), down));
}

function loss(
  p: Params,
  shape: Shape,
  ids: tf.Tensor,
  labels: tf.Tensor,
  around: <F>(f: F) => F = (f) => f,
): tf.Scalar {
  const { layers, dim, ctx, vocab, batch } = shape;
  let x: tf.Tensor = tf.add(tf.gather(p.tokens, tf.reshape(ids, [batch, ctx])), p.places);
  x = tf.reshape(x, [batch * ctx, dim]);
  const run = around(block);
  for (let l = 0; l < layers; l++) x = run(x, p[`${l}.qkv`], p[`${l}.out`], p[`${l}.up`], p[`${l}.down`], shape);
  const logits = tf.matMul(norm(x), p.tokens, false, true);
  const shifted = tf.sub(logits, tf.max(logits, -1, true));
  const logs = tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), -1, true)));
  return tf.neg(tf.mean(tf.sum(tf.mul(logs, tf.oneHot(tf.cast(labels, "int32") as tf.Tensor1D, vocab)), -1)));
}

describe("flops", function () {
  this.timeout(60_000);
  const zeros = (...shape: number[]) => tf.zeros(shape);

  after(() => useDevice("auto"));

  it("counts products, convolutions, reductions and elementwise ops by their formulas", () => {
    const total = (f: (...x: any[]) => unknown, ...args: tf.Tensor[]) => flops(f, ...args).total;
    const [a, b] = [zeros(5, 7), zeros(7, 11)];
    assert.equal(
      total((a, b) => tf.matMul(a, b), a, b),
      2 * 5 * 7 * 11,
    );
    assert.equal(
      total((a, b) => tf.matMul(a, b, true, true), zeros(7, 5), zeros(11, 7)),
      2 * 5 * 7 * 11,
    );
    assert.equal(
      total((a, b) => tf.matMul(a, b), zeros(3, 5, 7), zeros(3, 7, 11)),
      2 * 3 * 5 * 7 * 11,
    );
    assert.equal(
      total((a, b) => tf.einsum("bij,bjk->bik", a, b), zeros(3, 5, 7), zeros(3, 7, 11)),
      2 * 3 * 5 * 7 * 11,
    );
    assert.equal(
      total((a, b) => tf.einsum("i,j->ij", a, b), zeros(5), zeros(7)),
      5 * 7,
    );
    assert.equal(
      total((a) => tf.einsum("ij->i", a), a),
      5 * 6,
    );
    // Three operands are contracted from the left: ij,jk then ik,kl.
    assert.equal(
      total((a, b, c) => tf.einsum("ij,jk,kl->il", a, b, c), a, b, zeros(11, 2)),
      2 * 5 * 7 * 11 + 2 * 5 * 11 * 2,
    );
    const [image, filter] = [zeros(2, 8, 8, 3), zeros(3, 3, 3, 4)];
    assert.equal(
      total((x, w) => tf.conv2d(x, w, 1, "valid"), image, filter),
      2 * (2 * 6 * 6 * 4) * (3 * 3 * 3),
    );
    assert.equal(
      total((x, w) => tf.depthwiseConv2d(x, w, 1, "valid"), image, zeros(3, 3, 3, 2)),
      2 * (2 * 6 * 6 * 6) * 9,
    );
    assert.equal(
      total((x) => tf.maxPool(x, 2, 2, "valid"), image),
      2 * 4 * 4 * 3 * 3,
    );
    assert.equal(
      total((a) => tf.tanh(tf.add(a, 1)), a),
      2 * 35,
    );
    assert.equal(
      total((a) => tf.sum(a, 1), a),
      5 * 6,
    );
    assert.equal(
      total((a) => tf.mean(a, 1), a),
      5 * 7,
    );
    assert.equal(
      total((a) => tf.softmax(a), a),
      5 * (5 * 7 - 2),
    );
    assert.equal(
      total((a) => tf.transpose(tf.concat([a, a])), a),
      0,
    );
    assert.equal(
      total((a) => tf.add(a, a), tf.zeros([9], "int32")),
      0,
      "integers are no floating-point numbers",
    );
  });

  it("equals PyTorch's counter on a GPT, forward and backward, and 6 N T within the known terms", () => {
    for (const { shape, forward, both } of wanted.torch.gpt as { shape: Shape; forward: number; both: number }[]) {
      const { layers, dim, ctx, vocab, batch } = shape;
      const params = init(shape);
      const ids = tf.zeros([batch * ctx], "int32");
      const value = flops((p: Params) => loss(p, shape, ids, ids), params);
      assert.equal(products(value), forward);
      assert.deepEqual(value.uncounted, []);
      const step = flops((p: Params) => valueAndGrad((p: Params) => loss(p, shape, ids, ids))(p), params);
      assert.equal(products(step), both);
      assert.equal(step.forward, value.forward);
      // 6 FLOPs a weight and token, and of attention 12 T C a layer and token.
      const weights = layers * 12 * dim ** 2 + vocab * dim;
      const tokens = batch * ctx;
      assert.equal(products(step), 6 * weights * tokens + 12 * layers * ctx * dim * tokens);
      // Rows of the table add up, and are named as they were written.
      assert.equal(
        step.ops.reduce((sum, row) => sum + row.flops, 0),
        step.total,
      );
      assert.equal(step.forward + step.backward + step.recomputed, step.total);
      assert.equal(step.ops[0].op, "matMul");
      assert.match(text(step), /^[\d.]+ [kMG]FLOP: forward .*, backward .*\n.*\nmatMul +matmul +backward +\d+/);
      tf.dispose([params, ids] as never);
    }
  });

  it("equals PyTorch's counter on convolutions and their gradients", () => {
    const { forward, both } = wanted.torch.conv;
    const net = (p: Params) => {
      const h = tf.relu(tf.conv2d(zeros(2, 16, 16, 3) as tf.Tensor4D, p.a as tf.Tensor4D, 1, "same"));
      const g = tf.relu(tf.conv2d(h as tf.Tensor4D, p.b as tf.Tensor4D, 2, "valid"));
      return tf.sum(tf.matMul(tf.reshape(g, [2, -1]), p.c)) as tf.Scalar;
    };
    const params = { a: zeros(3, 3, 3, 8), b: zeros(3, 3, 8, 4), c: zeros(7 * 7 * 4, 10) };
    assert.equal(products(flops(net, params)), forward);
    assert.equal(products(flops((p: Params) => valueAndGrad(net)(p), params)), both);
  });

  it("agrees with XLA's own analysis, which counts transcendental functions apart", () => {
    const cases: Record<string, (...x: any[]) => tf.Tensor> = {
      matmul: (a, b) => tf.matMul(a, b),
      conv: (x, w) => tf.conv2d(x, w, 1, "valid"),
      elementwise: (a) => tf.mul(tf.tanh(tf.add(tf.mul(a, 2), 1)), tf.sub(a, 3)),
      softmax: (a) => tf.softmax(a),
      norm: (a) => norm(a),
      reductions: (a) => tf.add(tf.sum(a, 1), tf.max(a, 1)),
    };
    for (const [name, f] of Object.entries(cases)) {
      const { shapes, flops: theirs } = wanted.xla[name] as { shapes: number[][]; flops: number };
      const { total } = flops(f, ...shapes.map((shape) => tf.zeros(shape)));
      assert.ok(Math.abs(total - theirs) <= 0.02 * theirs, `${name}: ${total}, XLA ${theirs}`);
    }
  });

  it("counts a scan its steps, its gradient, and what checkpoint computes again", () => {
    const w = zeros(16, 16);
    const rows = zeros(10, 1, 16);
    const one = 2 * 16 * 16;
    const rnn = (w: tf.Tensor, rows: tf.Tensor): tf.Scalar => {
      const [last] = scan(
        (carry: tf.Tensor, row: tf.Tensor): [tf.Tensor, null] => [tf.tanh(tf.matMul(tf.add(carry, row), w)), null],
        zeros(1, 16),
        rows,
      );
      return tf.sum(last) as tf.Scalar;
    };
    assert.equal(products(flops(rnn, w, rows)), 10 * one);
    const nested = (w: tf.Tensor) =>
      scan((carry: tf.Tensor): [tf.Tensor, null] => [tf.add(carry, rnn(w, rows)), null], tf.scalar(0), null, {
        length: 7,
      })[0];
    assert.equal(products(flops(nested, w)), 7 * 10 * one);
    // A step back: the product again, and those for the carry and for w.
    const gradient = flops((w: tf.Tensor) => valueAndGrad(rnn)(w, rows), w);
    assert.equal(products(gradient), 10 * one + 10 * 3 * one);
    assert.equal(gradient.ops.find(({ op, pass }) => op === "matMul" && pass === "recomputed")?.count, 10);

    const shape: Shape = { layers: 2, dim: 32, heads: 2, ctx: 8, vocab: 11, batch: 3 };
    const ids = tf.zeros([24], "int32");
    const params = init(shape);
    const plain = flops((p: Params) => valueAndGrad((p: Params) => loss(p, shape, ids, ids))(p), params);
    const again = flops(
      (p: Params) => valueAndGrad((p: Params) => loss(p, shape, ids, ids, checkpoint as never))(p),
      params,
    );
    assert.equal(plain.recomputed, 0);
    const inBlocks = again.ops.find(({ op, pass }) => op === "matMul" && pass === "recomputed")!.flops;
    assert.equal(inBlocks, 24 * 2 * (2 * 12 * 32 ** 2 + 4 * 8 * 32), "each block's products once more");
    assert.equal(products(again), products(plain) + inBlocks);
  });

  it("takes jitted functions and their static arguments, and runs nothing", () => {
    const f = jit((x: tf.Tensor, times: { n: number }) => tf.mul(tf.matMul(x, x), times.n), { static: [1] });
    const before = memory();
    const x = zeros(4, 4);
    const { total } = flops(f, x, { n: 2 });
    assert.equal(total, 2 * 4 ** 3 + 16);
    assert.equal(f.cacheSize(), 0);
    // What the function closes over stays, and nothing of the trace does.
    const large = zeros(64, 64);
    flops((x: tf.Tensor) => tf.matMul(x, large), zeros(2, 64)).total;
    x.dispose();
    assert.equal(tf.sum(large).dataSync()[0], 0);
    large.dispose();
    assert.ok(memory().numTensors - before.numTensors <= 2);
  });

  it("names what it cannot count, and refuses what cannot be traced", async () => {
    const found = flops((x: tf.Tensor4D) => tf.localResponseNormalization(x), tf.zeros([1, 2, 2, 4]) as tf.Tensor4D);
    assert.equal(found.total, 0);
    assert.deepEqual(found.uncounted, [
      { op: "localResponseNormalization", node: "LRN", count: 1, shapes: "[1,2,2,4] -> [1,2,2,4]" },
    ]);
    assert.match(text(found), /not counted: localResponseNormalization \(LRN\)/);
    assert.throws(() => flops((x: tf.Tensor) => tf.mul(x, x.dataSync()[0]), zeros(2)), /read a tensor's value/);
    assert.throws(() => flops(async (x: tf.Tensor) => x, zeros(2)), /asynchronous/);
    // After an error the next count and the next op are as ever.
    assert.equal(flops((x: tf.Tensor) => tf.add(x, 1), zeros(2)).total, 2);
    assert.equal(tf.add(1, 1).dataSync()[0], 2);
    await useDevice("wasm");
    assert.throws(() => flops((x: tf.Tensor) => tf.add(x, 1), zeros(2)), /flops: the device is wasm/);
    await useDevice("auto");
  });
});
