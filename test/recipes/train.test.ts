// The training loop: it learns, goes on where it stopped, keeps memory flat, and stops at a loss that is no number.
import assert from "node:assert/strict";
import { jit, memory, tf, valueAndGrad } from "@whetstone/engine";
import { batches } from "../../recipes/core/data.ts";
import { crossEntropy } from "../../recipes/core/ops.ts";
import type { Params } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import { clipByGlobalNorm, train } from "../../recipes/core/train.ts";
import { forward, type GPTConfig, initGPT } from "../../recipes/model/gpt.ts";
import { type AdamWState, adamw } from "../../recipes/train/optim.ts";

const cfg: GPTConfig = { layers: 1, dim: 16, heads: 2, ctx: 8, vocab: 11 };
const ids = Int32Array.from({ length: 400 }, (_, i) => (i * i) % 11);
const params = initGPT(cfg, rng(1));
const optim = adamw({ lr: 1e-2 });
const loss = (p: Params, ids: tf.Tensor, targets: tf.Tensor) => crossEntropy(forward(p, cfg, ids), targets);
const pure = (p: Params, state: AdamWState, ids: tf.Tensor, targets: tf.Tensor) => {
  const { value, grads } = valueAndGrad(loss)(p, ids, targets);
  return { value, ...optim.update(clipByGlobalNorm(grads, 1).grads, state, p) };
};
const compiled = jit(pure, { donate: [0, 1] });
const data = (start = 0) => batches(ids, { batch: 4, ctx: cfg.ctx, rng: rng(2), start });
const run = (steps: number, more: object = {}) =>
  train({ params, state: optim.init(params), step: compiled, data: data(), steps, ...more });

describe("train", () => {
  it("lowers the loss, the same way each time, compiled or not", async () => {
    const [a, b] = [await run(50), await run(50)];
    assert.deepEqual(a.history, b.history);
    assert.deepEqual(
      a.history.map(({ step }) => step),
      Array.from({ length: 50 }, (_, i) => i + 1),
    );
    assert.ok(a.history[49].loss < 0.7 * a.history[0].loss);
    const eager = await run(5, { step: pure });
    for (const [i, { loss }] of eager.history.entries()) assert.ok(Math.abs(loss - a.history[i].loss) < 1e-5);
  });

  it("goes on to the same weights, bit for bit, when it is cut in two", async () => {
    const whole = await run(12);
    const half = await run(5);
    const rest = await train({ ...half, step: compiled, data: data(5), steps: 12, start: 5 });
    assert.deepEqual([...half.history, ...rest.history], whole.history);
    for (const [name, w] of Object.entries(whole.params))
      assert.deepEqual(rest.params[name].dataSync(), w.dataSync(), name);
  });

  it("keeps the number of tensors and of handles flat over 50 steps, eager too", async () => {
    for (const step of [compiled, pure]) {
      const counts: string[] = [];
      await run(step === pure ? 20 : 50, {
        step,
        onStep: () => void counts.push(`${memory().numTensors} tensors, ${memory().numHandles} handles`),
      });
      assert.deepEqual(new Set(counts.slice(2)).size, 1, [...new Set(counts)].join("; "));
    }
  });

  it("leaves the params and state that it was given, and frees the rest", async () => {
    const state = optim.init(params);
    tf.dispose((await run(1)) as any);
    const before = tf.memory().numTensors;
    const done = await train({ params, state, step: compiled, data: data(), steps: 3 });
    assert.ok(Object.values(params).every((w) => !w.isDisposed) && !state.t.isDisposed);
    tf.dispose([done.params, done.state as any]);
    assert.equal(tf.memory().numTensors, before);
  });

  it("stops at a loss that is not finite and names the step; at the end of the data too", async () => {
    const broken = (p: Params, state: AdamWState, ids: tf.Tensor, targets: tf.Tensor) => {
      const next = pure(p, state, ids, targets);
      return { ...next, value: tf.div(next.value, tf.sub(2, state.t)) }; // infinite at step 3
    };
    await assert.rejects(run(9, { step: broken }), /the loss is Infinity at step 3 .*Lower the learning rate/);
    const two = [...Array(2)].map(() => data().next().value);
    await assert.rejects(run(3, { data: two }), /the data ended before step 3 of 3/);
  });

  it("clipByGlobalNorm scales all gradients alike, down only", () => {
    const grads = { a: tf.tensor1d([3, 0]), b: tf.tensor2d([[4]]) };
    const { grads: clipped, norm } = clipByGlobalNorm(grads, 1);
    assert.equal(norm.dataSync()[0], 5);
    assert.ok(Math.abs(clipped.a.dataSync()[0] - 0.6) < 1e-6 && Math.abs(clipped.b.dataSync()[0] - 0.8) < 1e-6);
    assert.deepEqual([...clipByGlobalNorm(grads, 9).grads.a.dataSync()], [3, 0]);
    assert.deepEqual([...clipByGlobalNorm({ a: tf.zeros([2]) }, 1).grads.a.dataSync()], [0, 0]);
  });
});
