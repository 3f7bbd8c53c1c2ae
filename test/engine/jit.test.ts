// jit and valueAndGrad: same numbers as eager, caching, errors that name the line, memory.
import assert from "node:assert/strict";
import { jit, lowered, memory, random, tf, useDevice, valueAndGrad } from "@whetstone/engine";
import * as gpt from "../bench/engine/gpt.ts";

const tiny: gpt.GptConfig = { layers: 2, width: 16, heads: 2, ctx: 8, vocab: 31, batch: 2 };
const here = /jit\.test\.ts:\d+/;

const step = (state: gpt.State, ids: tf.Tensor, labels: tf.Tensor) => {
  const { value, grads } = valueAndGrad(gpt.loss)(state.params, tiny, ids, labels);
  return { loss: value, state: gpt.adam(state, grads, 1e-2) };
};

function losses(run: typeof step, steps: number): number[] {
  const { ids, labels } = gpt.batch(tiny);
  let state = gpt.start(gpt.init(tiny));
  return Array.from({ length: steps }, () => {
    const out = run(state, ids, labels);
    state = out.state;
    return out.loss.dataSync()[0];
  });
}

function close(found: number[], wanted: number[], tolerance: number) {
  found.forEach((x, i) => {
    assert.ok(Math.abs(x - wanted[i]) <= tolerance, `${found} and ${wanted} differ by more than ${tolerance} at ${i}`);
  });
}

describe("jit", function () {
  this.timeout(60_000); // XLA compiles

  after(() => useDevice("auto"));

  it("trains the GPT with the losses of eager, on TensorFlow and on WASM", async () => {
    const eager = losses(step, 5);
    close(losses(jit(step), 5), eager, 1e-4);
    assert.ok(eager[4] < eager[0] - 0.1, `the loss falls: ${eager}`);
    await useDevice("wasm");
    close(losses(jit(step), 5), eager, 1e-3);
    await useDevice("auto");
  });

  it("takes and returns trees, with static values and arguments returned as they were", () => {
    const f = jit((p: { w: tf.Tensor; rest: [tf.Tensor, null] }, k: number, name: string) => ({
      p,
      list: [tf.mul(p.w, k), tf.mul(p.w, k)],
      name,
      none: null,
    }));
    const w = tf.tensor1d([1, 2]);
    const out = f({ w, rest: [tf.scalar(5), null] }, 3, "x");
    assert.deepEqual(
      out.list.map((t) => Array.from(t.dataSync())),
      [
        [3, 6],
        [3, 6],
      ],
    );
    assert.deepEqual([out.name, out.none, out.p.rest[1]], ["x", null, null]);
    assert.deepEqual(Array.from(out.p.w.dataSync()), [1, 2]);
    w.dispose();
    assert.deepEqual(Array.from(out.p.w.dataSync()), [1, 2], "an output outlives the input it equals");
  });

  it("compiles once per shape, dtype and static value", () => {
    const f = jit((x: tf.Tensor, k: number) => tf.mul(x, k));
    for (const [x, k] of [
      [tf.ones([2]), 1],
      [tf.zeros([2]), 1],
      [tf.ones([3]), 1],
      [tf.ones([2]), 2],
    ] as const)
      f(x, k);
    assert.equal(f.cacheSize(), 3);
  });

  it("does not mix up arguments that were one tensor at the first call", () => {
    const f = jit((a: tf.Tensor, b: tf.Tensor) => tf.sub(a, b));
    const x = tf.scalar(3);
    assert.equal(f(x, x).dataSync()[0], 0);
    assert.equal(f(x, tf.scalar(1)).dataSync()[0], 2);
  });

  it("keeps a captured tensor after its disposal and reads a variable at every call", () => {
    const big = tf.fill([100], 2);
    const variable = tf.variable(tf.scalar(1));
    const f = jit((x: tf.Tensor) => tf.add(tf.mul(tf.sum(big), variable), x));
    assert.equal(f(tf.scalar(0)).dataSync()[0], 200);
    big.dispose();
    variable.assign(tf.scalar(3));
    assert.equal(f(tf.scalar(1)).dataSync()[0], 601);
    variable.dispose();
  });

  it("nests, and is differentiated through", () => {
    const square = jit((x: tf.Tensor) => tf.square(x));
    const outer = jit((x: tf.Tensor) => tf.add(square(x), 1));
    assert.equal(outer(tf.scalar(3)).dataSync()[0], 10);
    assert.equal(
      tf
        .grad((x) => square(x))(tf.scalar(3))
        .dataSync()[0],
      6,
    );
  });

  const impure: [string, (x: tf.Tensor) => unknown, RegExp][] = [
    ["reading a value", (x) => (x.dataSync()[0] > 0 ? x : tf.neg(x)), /cannot read a tensor's value while tracing/],
    ["a random number of JavaScript", (x) => tf.add(x, tf.randomNormal([2])), /Math\.random while tracing/],
    ["a wrong shape", (x) => tf.matMul(tf.reshape(x, [1, 2]), tf.ones([3, 4])), /matMul: .*\[1,2\] x \[3,4\]/],
  ];
  for (const [what, f, message] of impure) {
    it(`refuses ${what}, names the line, and works afterwards`, () => {
      assert.throws(
        () => jit(f as any)(tf.ones([2])),
        (error: Error) => {
          assert.match(error.message, message);
          assert.match(error.message, here);
          return true;
        },
      );
      assert.equal(tf.add(tf.scalar(1), 1).dataSync()[0], 2);
      assert.ok(Math.random() < 1);
    });
  }

  it("refuses control flow on a traced value, with the line", () => {
    const branches: ((x: tf.Tensor) => unknown)[] = [
      (x) => ((x as never) > 0 ? x : tf.neg(x)),
      (x) => (Number(tf.sum(x)) > 0 ? x : tf.neg(x)),
      (x) => tf.neg(`${x}` ? x : x),
    ];
    for (const f of branches) assert.throws(() => jit(f as any)(tf.ones([2])), /while tracing at .*jit\.test\.ts:\d+/);
  });

  it("passes static arguments as they are; another object is another program", () => {
    let traced = 0;
    const f = jit(
      (x: tf.Tensor, act: (y: tf.Tensor) => tf.Tensor, cfg: Map<string, number>) => {
        traced++;
        return tf.mul(act(x), cfg.get("k")!);
      },
      { static: [1, 2] },
    );
    const cfg = new Map([["k", 3]]);
    const square = (y: tf.Tensor) => tf.square(y);
    assert.equal(f(tf.scalar(2), square, cfg).dataSync()[0], 12);
    assert.equal(f(tf.scalar(3), square, cfg).dataSync()[0], 27);
    assert.equal(traced, 1);
    assert.equal(f(tf.scalar(3), (y) => tf.neg(y), cfg).dataSync()[0], -9);
    assert.equal(f.cacheSize(), 2);
  });

  it("checks donated arguments", () => {
    const f = jit((a: tf.Tensor, b: tf.Tensor) => tf.add(a, b), { donate: [0] });
    const [x, y] = [tf.ones([2]), tf.ones([2])];
    assert.throws(() => f(x, x), /argument 1 is also donated as argument 0/);
    assert.ok(!x.isDisposed, "nothing is freed when the call is refused");
    f(x, y);
    assert.ok(x.isDisposed && !y.isDisposed);
    assert.throws(() => f(x, y), /argument 0 is a disposed tensor/);
    const pairs = jit((a: tf.Tensor[]) => tf.add(a[0], a[1]), { donate: [0] });
    assert.throws(() => pairs([y, y]), /argument 0\[1\] is donated, and is the tensor that argument 0\[0\] donates/);
    assert.throws(() => jit((a: tf.Tensor) => a, { donate: [3] })(y), /argument 3 is to be donated, but 1 were given/);
    assert.throws(() => jit((a: tf.Tensor) => a, { donate: [0], static: [0] }), /cannot be donated and static/);
  });

  it("computes matrix products in bfloat16 where asked, gradients too", () => {
    const a = random.normal(random.key(1), [16, 32]);
    const b = random.normal(random.key(2), [32, 8]);
    const loss = (p: { a: tf.Tensor; b: tf.Tensor }) => tf.sum(tf.square(tf.matMul(p.a, p.b)));
    const step = (p: { a: tf.Tensor; b: tf.Tensor }) => valueAndGrad(loss)(p);
    const [full, low] = [jit(step)({ a, b }), jit(step, { matmul: "bfloat16" })({ a, b })];
    assert.equal(low.grads.a.dtype, "float32");
    const error = (x: tf.Tensor, y: tf.Tensor) => tf.div(tf.norm(tf.sub(x, y)), tf.norm(y)).dataSync()[0];
    for (const [x, y] of [
      [low.value, full.value],
      [low.grads.a, full.grads.a],
      [low.grads.b, full.grads.b],
    ]) {
      // 8 bits of mantissa: not the same, and not far.
      assert.ok(error(x, y) > 1e-6 && error(x, y) < 2e-2, `relative error ${error(x, y)}`);
    }
    assert.match(lowered(jit(step, { matmul: "bfloat16" }), { a, b }).before, /bf16\[/);
    assert.throws(() => jit(step, { matmul: "int8" as never }), /matmul is "int8"; it can be/);
  });

  it("shows the HLO, as traced and as it runs", () => {
    const { hlo, before, bytes } = lowered((x: tf.Tensor) => tf.tanh(tf.add(tf.exp(x), 1)), tf.ones([64]));
    assert.match(before, /tanh\(/);
    assert.match(hlo, /is_scheduled=true/);
    assert.match(hlo, /fusion\(/);
    assert.ok(bytes >= 2 * 64 * 4 && bytes < 4096, `${bytes} bytes`);
  });

  it("refuses a variable's assignment, a promise, and an argument that is no tensor", () => {
    const variable = tf.variable(tf.scalar(1), true, "counter");
    assert.throws(() => jit(() => variable.assign(tf.scalar(2)))(), /assign to the variable counter.*jit\.test\.ts/);
    assert.throws(() => jit(async (x: tf.Tensor) => x)(tf.scalar(1)), /must be synchronous/);
    assert.throws(() => jit((m: any) => m.x)({ x: new Map() }), /argument 0\.x is a Map/);
    assert.equal(variable.dataSync()[0], 1);
    variable.dispose();
  });

  it("refuses a traced tensor that was kept beyond its trace", () => {
    let leaked: tf.Tensor | undefined;
    jit((x: tf.Tensor) => {
      leaked = tf.keep(tf.neg(x));
      return x;
    })(tf.ones([2]));
    assert.throws(() => leaked!.dataSync(), /cannot read/);
    assert.throws(() => tf.add(leaked!, 1), /finished jit trace/);
  });

  it("keeps memory flat over 50 steps when the state is donated", () => {
    const { ids, labels } = gpt.batch(tiny);
    const donated = jit(step, { donate: [0] });
    let state = gpt.start(gpt.init(tiny));
    const once = () => {
      const out = donated(state, ids, labels);
      state = out.state;
      out.loss.dispose();
    };
    for (let i = 0; i < 3; i++) once();
    const before = memory();
    for (let i = 0; i < 50; i++) once();
    const after = memory();
    assert.deepEqual(
      [after.numTensors, after.bytes, after.numHandles],
      [before.numTensors, before.bytes, before.numHandles],
    );
  });

  it("draws fresh dropout at every step of one program", () => {
    const drop = jit((key: tf.Tensor) => {
      const [next, now] = random.split(key);
      return { key: next, kept: tf.sum(tf.cast(random.bernoulli(now, 0.5, [1000]), "float32")) };
    });
    let key = random.key(0);
    const kept = Array.from({ length: 4 }, () => {
      const out = drop(key);
      key = out.key;
      return out.kept.dataSync()[0];
    });
    assert.equal(new Set(kept).size, 4);
    for (const n of kept) assert.ok(Math.abs(n - 500) < 80, `${n} of 1000 kept`);
  });
});

describe("valueAndGrad", () => {
  it("gives zeros for a parameter that the loss does not use", () => {
    const f = valueAndGrad((p: { a: tf.Tensor; b: tf.Tensor }) => tf.sum(tf.square(p.a)));
    const { value, grads } = f({ a: tf.tensor1d([1, 2]), b: tf.ones([2, 2]) });
    assert.equal(value.dataSync()[0], 5);
    assert.deepEqual(Array.from(grads.a.dataSync()), [2, 4]);
    assert.deepEqual(
      [grads.b.shape, Array.from(grads.b.dataSync())],
      [
        [2, 2],
        [0, 0, 0, 0],
      ],
    );
  });

  it("names a loss that is no scalar and a parameter that is no float", () => {
    assert.throws(() => valueAndGrad((p: tf.Tensor) => p)(tf.ones([2])), /scalar.*shape \[2\]/);
    assert.throws(
      () => valueAndGrad((p: { n: tf.Tensor }) => tf.sum(p.n))({ n: tf.scalar(1, "int32") }),
      /params\.n is int32/,
    );
  });

  it("frees its intermediates", () => {
    const params = gpt.init(tiny);
    const { ids, labels } = gpt.batch(tiny);
    const before = memory().numTensors;
    const { value, grads } = valueAndGrad(gpt.loss)(params, tiny, ids, labels);
    tf.dispose([value, grads]);
    assert.equal(memory().numTensors, before);
  });
});
