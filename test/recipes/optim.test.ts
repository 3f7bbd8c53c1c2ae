// Optimizers against torch.optim on recorded gradients (test/fixtures/optim.py).
import assert from "node:assert/strict";
import { join } from "node:path";
import { jit, memory, tf } from "@whetstone/engine";
import { load } from "../../recipes/core/io.ts";
import { map, type Params } from "../../recipes/core/params.ts";
import { adamw, type Optimizer, sgd } from "../../recipes/train/optim.ts";
import { warmupCosine } from "../../recipes/train/schedules.ts";

const { params: fixture } = load(join(import.meta.dirname, "../fixtures/optim.safetensors"));
const start: Params = { w: fixture["start.w"], b: fixture["start.b"] };
const gradsAt = (step: number): Params => map(start, (_, name) => fixture[`grad.${name}`].slice(step, 1).squeeze([0]));

/** Largest distance from PyTorch's path over 50 steps. */
function distance(optim: Optimizer<any>, name: string, compiled: boolean): number {
  const update = (grads: Params, state: any, params: Params) => optim.update(grads, state, params);
  const step = compiled ? jit(update) : update;
  let [params, state, worst] = [start, optim.init(start), 0];
  for (let i = 0; i < 50; i++) {
    ({ params, state } = step(gradsAt(i), state, params));
    for (const key of ["w", "b"]) {
      const wanted = fixture[`${name}.${key}`].slice(i, 1).squeeze([0]);
      worst = Math.max(worst, tf.max(tf.abs(tf.sub(params[key], wanted))).dataSync()[0]);
    }
  }
  return worst;
}

describe("optimizers", () => {
  const cases: Record<string, Optimizer<any>> = {
    sgd: sgd({ lr: 0.05 }),
    momentum: sgd({ lr: 0.05, momentum: 0.9 }),
    nesterov: sgd({ lr: 0.05, momentum: 0.9, nesterov: true, decay: 0.01 }),
    adamw: adamw({ lr: 0.01 }),
    "adamw-decay": adamw({ lr: 0.02, b1: 0.85, b2: 0.95, eps: 1e-6, decay: 0.1 }),
  };
  for (const [name, optim] of Object.entries(cases)) {
    it(`${name} equals torch.optim over 50 steps to 1e-6, relative to weights of about 1`, () => {
      for (const compiled of [false, true]) {
        const worst = distance(optim, name, compiled);
        const scale = tf.max(tf.abs(fixture[`${name}.w`])).dataSync()[0];
        assert.ok(
          worst <= 1e-6 * Math.max(1, scale),
          `${compiled ? "jit" : "eager"}: ${worst}, weights up to ${scale}`,
        );
      }
    });
  }

  it("a rate given to update replaces lr, as number and as tensor", () => {
    const [a, b] = [sgd({ lr: 9 }), sgd({ lr: 0.5 })];
    const state = a.init(start);
    const wanted = b.update(gradsAt(0), state, start).params.w.dataSync();
    assert.deepEqual(a.update(gradsAt(0), state, start, 0.5).params.w.dataSync(), wanted);
    assert.deepEqual(a.update(gradsAt(0), state, start, tf.scalar(0.5)).params.w.dataSync(), wanted);
  });

  it("leaves a parameter without gradient as it is, and names one without state", () => {
    const optim = adamw();
    const { params } = optim.update({ w: gradsAt(0).w }, optim.init(start), start);
    assert.equal(params.b, start.b);
    assert.throws(() => optim.update(gradsAt(0), optim.init({ w: start.w }), start), /no state for b/);
  });

  it("keeps the number of tensors flat over 50 steps", () => {
    const optim = adamw({ decay: 0.1 });
    const step = (grads: Params, state: any, params: Params) =>
      tf.tidy(() => optim.update(grads, state, params) as any);
    let [params, state] = [map(start, (t) => t.clone()), optim.init(start)];
    const numbers: number[] = [];
    for (let i = 0; i < 50; i++) {
      const grads = tf.tidy(() => gradsAt(i));
      const next = step(grads, state, params);
      tf.dispose([grads, state as any, params]);
      ({ params, state } = next);
      numbers.push(memory().numTensors);
    }
    assert.equal(numbers[49], numbers[0]);
  });
});

describe("warmupCosine", () => {
  it("rises linearly, peaks, and ends where it should", () => {
    const rate = warmupCosine({ peak: 1, warmup: 3, steps: 103, end: 0.2 });
    const at = (t: number) => rate(tf.scalar(t)).dataSync()[0];
    const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-6, `${a} is not ${b}`);
    near(at(0), 0.25);
    near(at(1), 0.5);
    near(at(3), 1);
    near(at(53), 0.6); // half way down
    near(at(103), 0.2);
    near(at(500), 0.2);
    assert.throws(() => warmupCosine({ peak: 1, warmup: 5, steps: 5 }), /wanted fewer/);
  });
});
