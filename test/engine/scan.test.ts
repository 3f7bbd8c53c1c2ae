// scan: the numbers and gradients of a loop, as one program; checkpoint: the same gradient in less memory.
import assert from "node:assert/strict";
import {
  checkpoint,
  jit,
  lowered,
  memory,
  random,
  resetPeak,
  scan,
  tf,
  useDevice,
  valueAndGrad,
} from "@whetstone/engine";

const data = (x: tf.Tensor) => Array.from(x.dataSync());
function close(found: tf.Tensor, wanted: tf.Tensor, tolerance = 1e-5) {
  assert.deepEqual(found.shape, wanted.shape);
  const w = data(wanted);
  data(found).forEach((x, i) => {
    assert.ok(Math.abs(x - w[i]) <= tolerance * Math.max(1, Math.abs(w[i])), `${i}: ${x}, wanted ${w[i]}`);
  });
}

type Weights = { w: tf.Tensor; u: tf.Tensor; b: tf.Tensor };
const weights = (): Weights => {
  const [k, l] = random.split(random.key(1));
  return { w: random.normal(k, [3, 5], 0, 0.5), u: random.normal(l, [5, 5], 0, 0.5), b: tf.fill([5], 0.1) };
};
const cell = (p: Weights, h: tf.Tensor, x: tf.Tensor) =>
  tf.tanh(tf.add(tf.add(tf.matMul(x, p.w), tf.matMul(h, p.u)), p.b));
const inputs = () => random.normal(random.key(2), [7, 2, 3]);

// All states, so that the gradient comes in at every step.
const byScan = (p: Weights, xs: tf.Tensor, reverse = false) => {
  const [last, all] = scan(
    (h: tf.Tensor, x: tf.Tensor): [tf.Tensor, tf.Tensor] => {
      const next = cell(p, h, x);
      return [next, tf.square(next)];
    },
    tf.zeros([2, 5]),
    xs,
    { reverse },
  );
  return tf.add(tf.sum(tf.mul(all, tf.range(0, all.size).reshape(all.shape))), tf.sum(last));
};
const byHand = (p: Weights, xs: tf.Tensor, reverse = false) => {
  let h: tf.Tensor = tf.zeros([2, 5]);
  const rows = tf.unstack(xs);
  const outputs: tf.Tensor[] = [];
  for (let k = 0; k < rows.length; k++) {
    const i = reverse ? rows.length - 1 - k : k;
    h = cell(p, h, rows[i]);
    outputs[i] = tf.square(h);
  }
  const all = tf.stack(outputs);
  return tf.add(tf.sum(tf.mul(all, tf.range(0, all.size).reshape(all.shape))), tf.sum(h));
};

describe("scan", function () {
  this.timeout(60_000);
  before(() => useDevice("auto"));
  after(() => useDevice("auto"));

  for (const reverse of [false, true]) {
    it(`equals the loop, its gradient too, eagerly and inside jit${reverse ? ", in reverse" : ""}`, () => {
      const all = { p: weights(), xs: inputs() };
      const loss = (how: typeof byScan) => valueAndGrad((q: typeof all) => how(q.p, q.xs, reverse));
      const wanted = loss(byHand)(all);
      for (const found of [loss(byScan)(all), jit((q: typeof all) => loss(byScan)(q))(all)]) {
        close(found.value, wanted.value);
        close(found.grads.xs, wanted.grads.xs, 1e-4);
        for (const name of ["w", "u", "b"] as const) close(found.grads.p[name], wanted.grads.p[name], 1e-4);
      }
    });
  }

  it("takes trees, integers, no inputs, and loops within loops", () => {
    const run = jit((start: tf.Tensor) =>
      scan(
        (c: { n: tf.Tensor; sum: tf.Tensor }, _x: null): [typeof c, { n: tf.Tensor }] => {
          const [inner] = scan(
            (s: tf.Tensor, k: tf.Tensor): [tf.Tensor, null] => [tf.add(s, tf.mul(k, start)), null],
            c.sum,
            tf.tensor1d([1, 2, 3]),
          );
          return [{ n: tf.add(c.n, tf.scalar(1, "int32")), sum: inner }, { n: c.n }];
        },
        { n: tf.scalar(0, "int32"), sum: tf.scalar(0) },
        null,
        { length: 4 },
      ),
    );
    const [{ n, sum }, ys] = run(tf.scalar(0.5));
    assert.deepEqual([data(n), data(sum), data(ys.n), n.dtype], [[4], [12], [0, 1, 2, 3], "int32"]);
  });

  it("trains for 100 steps in one call, with the losses of 100 calls", () => {
    const x = random.normal(random.key(3), [32, 4]);
    const y = tf.matMul(x, tf.tensor2d([[1], [-2], [3], [0.5]]));
    const step = (w: tf.Tensor): [tf.Tensor, tf.Tensor] => {
      const { value, grads } = valueAndGrad((v: tf.Tensor) => tf.mean(tf.square(tf.sub(tf.matMul(x, v), y))))(w);
      return [tf.sub(w, tf.mul(grads, 0.1)), value];
    };
    const [w, losses] = jit((start: tf.Tensor) => scan(step, start, null, { length: 100 }))(tf.zeros([4, 1]));
    let by: tf.Tensor = tf.zeros([4, 1]);
    const one = jit(step);
    const wanted = Array.from({ length: 100 }, () => {
      const [next, loss] = one(by);
      by = next;
      return loss;
    });
    close(losses, tf.stack(wanted), 1e-4);
    close(w, by, 1e-4);
  });

  it("compiles as fast for 1 000 steps as the loop is long in the program", () => {
    const [last] = jit((h: tf.Tensor) =>
      scan((c: tf.Tensor, _: null): [tf.Tensor, null] => [tf.add(tf.mul(c, 0.999), 1), null], h, null, {
        length: 1000,
      }),
    )(tf.zeros([3]));
    close(last, tf.fill([3], (1 - 0.999 ** 1000) / 0.001), 1e-4);
  });

  it("names what does not fit", () => {
    const h = tf.zeros([2]);
    const bad = () =>
      scan((c: tf.Tensor, x: tf.Tensor): [tf.Tensor, null] => [tf.concat([c, x]), null], h, tf.ones([3, 1]));
    for (const run of [bad, jit(bad)]) assert.throws(run, /scan: carry is float32\[2\] and f makes it float32\[3\]/);
    assert.throws(() => scan((c: tf.Tensor): [tf.Tensor, null] => [c, null], h, null), /number of steps is needed/);
    assert.throws(
      () => scan((c: tf.Tensor): [tf.Tensor, null] => [c, null], h, [tf.ones([2, 1]), tf.ones([3, 1])]),
      /xs\[1\] has 3 rows, but there are 2 steps/,
    );
    assert.throws(() => scan((c: tf.Tensor) => c as never, h, tf.ones([2])), /must return \[carry, y\]/);
  });
});

describe("checkpoint", function () {
  this.timeout(60_000);
  before(() => useDevice("auto"));

  const layers = 12;
  const deep = (how: typeof checkpoint) => (p: { w: tf.Tensor[]; x: tf.Tensor; scale: tf.Tensor }) => {
    const h = tf.mul(p.x, 2);
    // Closes over a weight, an intermediate of the forward pass, and another weight.
    const block = (w: tf.Tensor) =>
      how((y: tf.Tensor) => tf.add(y, tf.mul(tf.tanh(tf.exp(tf.neg(tf.square(tf.matMul(tf.add(y, h), w))))), p.scale)));
    return tf.mean(tf.square(p.w.reduce((y, w) => block(w)(y), p.x)));
  };
  const start = (rows: number) => {
    const keys = random.split(random.key(5), layers + 1);
    return {
      w: keys.slice(1).map((key) => random.normal(key, [16, 16], 0, 0.2)),
      x: random.normal(keys[0], [rows, 16]),
      scale: tf.scalar(0.5),
    };
  };
  const plain = (<F>(f: F) => f) as typeof checkpoint;

  it("has the same value and gradient, eagerly and inside jit", () => {
    const p = start(8);
    const wanted = valueAndGrad(deep(plain))(p);
    const before = memory().numTensors;
    const eager = valueAndGrad(deep(checkpoint))(p);
    const kept = memory().numTensors - before;
    assert.equal(kept, layers + 3, "tensors left behind");
    for (const found of [eager, jit((q: typeof p) => valueAndGrad(deep(checkpoint))(q))(p)]) {
      close(found.value, wanted.value);
      close(found.grads.x, wanted.grads.x);
      close(found.grads.scale, wanted.grads.scale);
      for (const [i, w] of found.grads.w.entries()) close(w, wanted.grads.w[i]);
    }
  });

  it("takes less memory at its peak", () => {
    const p = start(4096);
    const peak = (how: typeof checkpoint) => {
      const base = memory().bytes;
      resetPeak();
      tf.dispose(valueAndGrad(deep(how))(p));
      return memory().peakBytes! - base;
    };
    const [less, more] = [peak(checkpoint), peak(plain)];
    assert.ok(less < 0.6 * more, `${less} bytes, ${more} without`);
  });

  it("takes less memory inside jit, where XLA would merge what is computed twice", () => {
    const p = start(4096);
    const bytes = (how: typeof checkpoint) => lowered((q: typeof p) => valueAndGrad(deep(how))(q), p).bytes;
    const [less, more] = [bytes(checkpoint), bytes(plain)];
    assert.ok(less < 0.8 * more, `${less} bytes, ${more} without`);
  });
});
