// Maximal update parametrization against Microsoft's mup (test/fixtures/mup_adam.py), and what it is for.
import assert from "node:assert/strict";
import { join } from "node:path";
import { tf, valueAndGrad } from "@whetstone/engine";
import { load } from "../../recipes/core/io.ts";
import type { Linear } from "../../recipes/core/linear.ts";
import { crossEntropy } from "../../recipes/core/ops.ts";
import { map, type Params } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import { attend } from "../../recipes/model/attention.ts";
import { forward, type GPTConfig, initGPT, shapes } from "../../recipes/model/gpt.ts";
import * as mup from "../../recipes/train/mup.ts";
import { adamw } from "../../recipes/train/optim.ts";

const { params: fixture } = load(join(import.meta.dirname, "../fixtures/mup_adam.safetensors"));
const under = (prefix: string): Params =>
  Object.fromEntries(
    Object.entries(fixture).flatMap(([name, t]) =>
      name.startsWith(`${prefix}.`) ? [[name.slice(prefix.length + 1), t]] : [],
    ),
  );
const shapesOf = (params: Params): mup.Shapes =>
  Object.fromEntries(Object.entries(params).map(([name, { shape }]) => [name, shape]));
const far = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0];

describe("mup", () => {
  const start = under("start");
  const base = Object.fromEntries(
    Object.entries(shapesOf(start)).map(([name, shape]) => [name, shape.map((n) => (n === 11 ? n : n / 4))]),
  );
  const width = mup.widths(shapesOf(start), base);

  it("finds what grows: two inner matrices, not the embedding and the biases", () => {
    assert.deepEqual(width, { "embed.weight": 1, "up.weight": 4, "up.bias": 1, "down.weight": 4, "down.bias": 1 });
  });

  it("starts from and steps to the weights of Microsoft's mup", () => {
    const params = mup.init(start, width);
    for (const [name, wanted] of Object.entries(under("scaled"))) assert.ok(far(params[name], wanted) < 1e-6, name);
    const linear = mup.head(4);
    const loss = (p: Params, ids: tf.Tensor, targets: tf.Tensor) => {
      const x = tf.gather(p["embed.weight"], ids as tf.Tensor1D);
      const up = tf.relu(linear("up", x, p["up.weight"], p["up.bias"]));
      return crossEntropy(
        linear("lm_head", tf.add(x, linear("down", up, p["down.weight"], p["down.bias"])), p["embed.weight"]),
        targets,
      );
    };
    const optim = mup.scaled(adamw({ lr: 0.02 }), width);
    let now = { params, state: optim.init(params) };
    for (let i = 0; i < 5; i++) {
      const [ids, targets] = [fixture.ids, fixture.targets].map((t) => t.slice(i, 1).squeeze([0]));
      const { value, grads } = valueAndGrad(loss)(now.params, ids, targets);
      assert.ok(far(value, fixture.losses.slice(i, 1).squeeze()) < 1e-5, `loss of step ${i}`);
      now = optim.update(grads, now.state, now.params);
    }
    for (const [name, wanted] of Object.entries(under("end"))) assert.ok(far(now.params[name], wanted) < 1e-5, name);
  });

  const cfgOf = (dim: number): GPTConfig => ({ layers: 2, dim, heads: 2, ctx: 8, vocab: 16 });
  const small = cfgOf(16);

  it("changes nothing at the width of the base", () => {
    const same = mup.widths(shapes(small), shapes(small));
    const params = initGPT(small, rng(1));
    const ids = tf.tensor2d([[1, 2, 3, 4, 5, 6, 7, 8]], [1, 8], "int32");
    const mine = forward(mup.init(params, same), small, ids, {
      linear: mup.head(1),
      attention: mup.attention(8, attend),
    });
    assert.equal(far(mine, forward(params, small, ids)), 0);
  });

  // What the parametrization promises (the "coordinate check" of Yang 2021): a step changes the logits as much in a wide
  // model as in a narrow one, while by the usual rules the change grows with the width.
  it("a step of the same size changes the logits of a wide model as much as those of a narrow one", () => {
    const ids = tf.tensor2d(Array.from(rng(3).shuffle(Array.from({ length: 64 }, (_, i) => i % 16))), [8, 8], "int32");
    const moved = (dim: number, mu: boolean): number => {
      const cfg = cfgOf(dim);
      const m = mup.widths(shapes(cfg), shapes(mu ? small : cfg));
      const options: { linear?: Linear; attention?: typeof attend } = mu
        ? { linear: mup.head(dim / 16), attention: mup.attention(8, attend) }
        : {};
      const optim = mup.scaled(adamw({ lr: 0.01 }), m);
      const logits = (p: Params) => forward(p, cfg, ids, options);
      const step = (p: Params, state: any) =>
        optim.update(valueAndGrad((p: Params) => crossEntropy(logits(p), ids))(p).grads, state, p);
      // Heads start at ten times the usual size, so that attention is not flat.
      const params = map(mup.init(initGPT(cfg, rng(2)), m), (w, name) =>
        /c_attn.weight/.test(name) ? tf.mul(w, 10) : w,
      );
      let now = { params, state: optim.init(params) as any };
      for (let i = 0; i < 3; i++) now = step(now.params, now.state);
      return tf.sqrt(tf.mean(tf.square(tf.sub(logits(now.params), logits(params))))).dataSync()[0];
    };
    const growth = (mu: boolean) => moved(128, mu) / moved(16, mu);
    const [usual, maximal] = [growth(false), growth(true)];
    assert.ok(maximal > 0.5 && maximal < 2, `by mup it changes ${maximal} times as much`);
    assert.ok(usual > 3 * maximal, `by the usual rules ${usual} times as much`);
  });

  it("names what does not fit", () => {
    assert.throws(
      () => mup.widths(shapes({ ...small, layers: 3 }), shapes(small)),
      /"h.2.ln_1.weight" is in one of the two/,
    );
    assert.throws(() => mup.widths({ w: [2] }, { w: [2, 2] }), /w is \[2\], in the base \[2,2\]/);
    assert.throws(() => mup.init(start, {}), /no width is known for "down.bias"/);
  });
});
