// step.async: the event loop goes on, the numbers, errors and memory are those of step.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { jit, memory, tf, useDevice } from "@whetstone/engine";

const here = /async\.test\.ts:\d+/;

/** A program of `products` matrix products of 1536 x 1536: 0.1 s each on 2 cores. */
const chain = (products: number) =>
  jit(function chain(x: tf.Tensor) {
    let y = x;
    for (let i = 0; i < products; i++) y = tf.tanh(tf.matMul(y, x));
    return tf.sum(tf.abs(y));
  });

const matrix = () => tf.randomNormal([1536, 1536], 0, 0.02, "float32", 1);

describe("async", function () {
  this.timeout(60_000);
  before(() => useDevice("auto"));
  after(() => useDevice("auto"));

  it("lets timers tick during a step of about a second, and while it compiles", async () => {
    const step = chain(8);
    const x = matrix();
    const every = 10;
    let ticks = 0;
    const timer = setInterval(() => ticks++, every);
    const counts: { seconds: number; ticks: number }[] = [];
    const values: number[] = [];
    for (let call = 0; call < 2; call++) {
      const begin = performance.now();
      ticks = 0;
      const y = await step.async(x);
      counts.push({ seconds: (performance.now() - begin) / 1e3, ticks });
      values.push(y.dataSync()[0]);
    }
    clearInterval(timer);
    for (const { seconds, ticks } of counts) {
      assert.ok(seconds > 0.1, `the step took ${seconds} s only`);
      // A tenth of what an idle machine has: the program takes all cores.
      assert.ok(ticks >= (seconds * 1e3) / every / 10, `${ticks} ticks in ${seconds} s`);
    }
    assert.equal(values[0], step(x).dataSync()[0]);
    assert.equal(values[1], values[0]);
    x.dispose();
  });

  it("runs concurrent calls in order, beside ops and synchronous calls", async () => {
    const f = jit((p: { w: tf.Tensor }, k: number) => ({ w: tf.add(p.w, k), k }));
    const w = tf.ones([1000]);
    const calls = Array.from({ length: 20 }, (_, i) => f.async({ w }, i % 3));
    const eager = Array.from({ length: 200 }, (_, i) => tf.add(w, i).dataSync()[999]);
    assert.equal(f({ w }, 5).w.dataSync()[0], 6);
    assert.equal(eager[199], 200);
    const results = await Promise.all(calls);
    results.forEach((result, i) => {
      assert.equal(result.k, i % 3);
      assert.equal(result.w.dataSync()[500], 1 + (i % 3));
    });
  });

  it("takes the arguments of the moment of the call: they may be disposed, and variables assigned", async () => {
    const variable = tf.variable(tf.fill([100], 2));
    const f = jit((x: tf.Tensor) => tf.mul(x, variable));
    const first = chain(2).async(matrix()); // so that the next one waits
    const x = tf.fill([100], 3);
    const before = memory();
    const promise = f.async(x);
    variable.assign(tf.fill([100], 5));
    x.dispose();
    assert.equal(memory().bytes, before.bytes + 400, "bytes that a call reads count");
    const y = await promise;
    await first;
    assert.equal(y.dataSync()[99], 6);
    assert.equal((await f.async(y)).dataSync()[0], 30);
    variable.dispose();
  });

  it("frees donated tensors when the call has run, and lends them to nobody until then", async () => {
    const f = jit(
      function update(state: tf.Tensor, x: tf.Tensor) {
        return tf.add(state, x);
      },
      { donate: [0] },
    );
    const x = tf.ones([256]);
    const state = tf.ones([256]);
    const view = tf.reshape(state, [16, 16]);
    assert.equal((await f.async(state, x)).dataSync()[0], 2);
    assert.ok(state.isDisposed);
    assert.equal(view.dataSync()[255], 1, "what a view shares lives on");
    let current: tf.Tensor = tf.fill([256], 1);
    const before = memory();
    for (let i = 0; i < 10; i++) {
      const next = f.async(current, x);
      const donated = current;
      assert.throws(
        () => tf.add(donated, 1),
        (error: Error) => {
          assert.match(error.message, /^add: float32\[256\] is donated to jit\(update\), which is still running/);
          assert.match(error.message, here);
          return true;
        },
      );
      assert.throws(() => donated.dataSync(), /donated to jit\(update\)/);
      await assert.rejects(f.async(donated, x), /donated to jit\(update\)/);
      assert.ok(!donated.isDisposed);
      current = await next;
      assert.ok(donated.isDisposed);
    }
    assert.equal(current.dataSync()[7], 11);
    const after = memory();
    assert.deepEqual([after.bytes, after.numHandles], [before.bytes, before.numHandles]);
  });

  it("rejects with the error of the synchronous call, at the user's line, and keeps the donated tensors", async () => {
    const crop = jit(
      (images: tf.Tensor) =>
        tf.image.cropAndResize(images as tf.Tensor4D, tf.zeros([1, 4]), tf.zeros([1], "int32"), [2, 2]),
      { donate: [0] },
    );
    const images = tf.ones([1, 4, 4, 1]);
    const messages: string[] = [];
    for (const call of [async () => crop(images), () => crop.async(images)]) {
      await assert.rejects(call, (error: Error) => {
        assert.match(error.message, /^jit\(anonymous\): XLA has no CropAndResize/);
        assert.match(error.message, here);
        messages.push(error.message.replace(/ at .*/, ""));
        return true;
      });
    }
    assert.equal(messages[0], messages[1]);
    assert.equal(images.dataSync()[0], 1);
    const mistaken = jit((a: tf.Tensor, b: tf.Tensor) => tf.matMul(a, b));
    await assert.rejects(mistaken.async(tf.ones([2, 3]), tf.ones([4, 5])), /matMul: .*\[2,3\] x \[4,5\].*async\.test/);
    await assert.rejects(
      Promise.resolve().then(() => jit((x: tf.Tensor) => mistaken.async(x, x) as never)(images)),
      /must be synchronous/,
    );
  });

  it("is aborted by a signal: before it is called, while it waits, and while it runs", async () => {
    const step = chain(6);
    const x = matrix();
    await step.async(x);
    const before = memory();
    const aborted = AbortSignal.abort(new Error("stopped before"));
    await assert.rejects(step.with({ signal: aborted }).async(x), /stopped before/);

    const running = new AbortController();
    const waiting = new AbortController();
    const donating = jit((s: tf.Tensor, y: tf.Tensor) => tf.add(s, y), { donate: [0] });
    const state = tf.ones([4]);
    const ended: string[] = [];
    const first = step.with({ signal: running.signal }).async(x);
    const second = donating.with({ signal: waiting.signal }).async(state, state.clone());
    const third = step.async(x).then((y) => {
      ended.push("third");
      return y;
    });
    setTimeout(() => waiting.abort(new Error("stopped waiting")), 10);
    setTimeout(() => running.abort(), 20);
    await assert.rejects(second, /stopped waiting/);
    await assert.rejects(first, { name: "AbortError" });
    assert.deepEqual(ended, [], "an aborted call is rejected at once");
    (await third).dispose();
    assert.equal(state.dataSync()[0], 1, "a call that was aborted gives back what was donated to it");
    state.dispose();
    tf.dispose(x);
    assert.ok(memory().bytes < before.bytes, `${memory().bytes} bytes, ${before.bytes} before`);
  });

  it("works on WASM: it runs at once, and timers come in between the calls", async () => {
    await useDevice("wasm");
    const f = jit((state: tf.Tensor) => tf.add(state, 1), { donate: [0] });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    let state: tf.Tensor = tf.zeros([64, 64]);
    const before = tf.memory().numTensors;
    for (let i = 0; i < 50; i++) state = await f.async(state);
    clearInterval(timer);
    assert.ok(ticks > 0);
    assert.equal(state.dataSync()[0], 50);
    assert.equal(tf.memory().numTensors, before);
    await assert.rejects(f.with({ signal: AbortSignal.abort() }).async(state), { name: "AbortError" });
    await useDevice("auto");
  });

  it("lets the process end while a call runs", () => {
    for (const end of ["process.exit(7)", "throw new Error('end')", ""]) {
      const script = `
        import { jit, tf } from "@whetstone/engine";
        const step = jit((x) => { let y = x; for (let i = 0; i < 8; i++) y = tf.tanh(tf.matMul(y, x)); return tf.sum(y); });
        step.async(tf.fill([1024, 1024], 1e-3)).then((y) => console.log("ended"));
        setTimeout(() => { ${end} }, 100);`;
      const run = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
        encoding: "utf8",
        cwd: import.meta.dirname,
      });
      const status = end === "" ? 0 : end.startsWith("process") ? 7 : 1;
      assert.deepEqual([run.status, run.signal], [status, null], run.stderr);
      if (status === 0) assert.match(run.stdout, /ended/);
    }
  });
});
