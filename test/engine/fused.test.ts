// The parts with a gradient of their own: values and gradients against the formulas in float64 and their finite differences,
// eagerly, in jit and on WASM; memory by XLA's own account.
import assert from "node:assert/strict";
import { fused, jit, lowered, memory, random, tf, useDevice, valueAndGrad } from "@whetstone/engine";
import * as gpt from "../bench/engine/gpt.ts";

type Values = Float64Array;

interface Case {
  name: string;
  shapes: number[][];
  /** the formula on float64; gives the result's values */
  formula: (inputs: Values[]) => Values;
  run: (...inputs: tf.Tensor[]) => tf.Tensor;
  spread?: number;
}

const labels = [2, 0, 4, 4, 1, 3];

function crossEntropy([x]: Values[]): Values {
  return Float64Array.from(labels, (label, n) => {
    const row = x.subarray(5 * n, 5 * n + 5);
    const top = Math.max(...row);
    return top + Math.log(row.reduce((sum, value) => sum + Math.exp(value - top), 0)) - row[label];
  });
}

function norm([x, gain, bias]: Values[]): Values {
  const C = gain.length;
  return x.map((_, at) => {
    const row = x.subarray(at - (at % C), at - (at % C) + C);
    const mean = row.reduce((a, b) => a + b) / C;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / C;
    return ((x[at] - mean) / Math.sqrt(variance + 1e-5)) * gain[at % C] + bias[at % C];
  });
}

/** q [n, T, d], k [n, S, d], v [n, S, e]; `sees` gives what is added to a score, -Infinity for what is not seen. */
function attend(n: number, T: number, S: number, d: number, e: number, added: (t: number, s: number) => number) {
  return ([q, k, v]: Values[]): Values => {
    const out = new Float64Array(n * T * e);
    for (let b = 0; b < n; b++) {
      for (let t = 0; t < T; t++) {
        const weights = Array.from({ length: S }, (_, s) => {
          let dot = 0;
          for (let i = 0; i < d; i++) dot += q[(b * T + t) * d + i] * k[(b * S + s) * d + i];
          return Math.exp(dot / Math.sqrt(d) + added(t, s));
        });
        const sum = weights.reduce((a, w) => a + w, 0);
        for (let s = 0; s < S; s++) {
          for (let i = 0; i < e; i++) out[(b * T + t) * e + i] += (weights[s] / sum) * v[(b * S + s) * e + i];
        }
      }
    }
    return out;
  };
}

/** inputs [T, B, 4 d], u [d, 4 d], h and c [B, d]; gives h of each step, then the last h and c. */
function lstm(T: number, B: number, d: number) {
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  return ([inputs, u, h0, c0]: Values[]): Values => {
    let [h, c] = [h0, c0];
    const out: number[] = [];
    for (let t = 0; t < T; t++) {
      const [nextH, nextC] = [new Float64Array(B * d), new Float64Array(B * d)];
      for (let b = 0; b < B; b++) {
        for (let j = 0; j < d; j++) {
          const [i, f, g, o] = [0, 1, 2, 3].map((gate) => {
            const at = gate * d + j;
            let sum = inputs[(t * B + b) * 4 * d + at];
            for (let k = 0; k < d; k++) sum += h[b * d + k] * u[k * 4 * d + at];
            return sum;
          });
          nextC[b * d + j] = sigmoid(f) * c[b * d + j] + sigmoid(i) * Math.tanh(g);
          nextH[b * d + j] = sigmoid(o) * Math.tanh(nextC[b * d + j]);
        }
      }
      [h, c] = [nextH, nextC];
      out.push(...h);
    }
    return Float64Array.from([...out, ...h, ...c]);
  };
}

const qkv = (T: number, S: number, d: number, e: number) => [
  [2, 1, T, d],
  [2, 1, S, d],
  [2, 1, S, e],
];
const mask = [0.5, 0, -1e9, 0, 1, 0, 0, -1e9, -0.25, 0, 0, 2];

const cases: Case[] = [
  {
    name: "softmaxCrossEntropy",
    shapes: [[2, 3, 5]],
    formula: crossEntropy,
    run: (x) => fused.softmaxCrossEntropy(x, tf.tensor2d(labels, [2, 3], "int32")),
  },
  {
    name: "softmaxCrossEntropy of large logits",
    shapes: [[2, 3, 5]],
    spread: 300,
    formula: crossEntropy,
    run: (x) => fused.softmaxCrossEntropy(x, tf.tensor2d(labels, [2, 3], "int32")),
  },
  { name: "layerNorm", shapes: [[2, 3, 7], [7], [7]], formula: norm, run: (x, g, b) => fused.layerNorm(x, g, b) },
  {
    name: "attention",
    shapes: qkv(5, 7, 3, 4),
    formula: attend(2, 5, 7, 3, 4, () => 0),
    run: (q, k, v) => fused.attention(q, k, v, { block: 3 }),
  },
  {
    name: "attention, causal, in blocks that do not fit",
    shapes: qkv(7, 7, 3, 3),
    formula: attend(2, 7, 7, 3, 3, (t, s) => (s > t ? Number.NEGATIVE_INFINITY : 0)),
    run: (q, k, v) => fused.attention(q, k, v, { causal: true, block: 2 }),
  },
  {
    name: "attention, causal, behind other keys",
    shapes: qkv(3, 8, 2, 3),
    formula: attend(2, 3, 8, 2, 3, (t, s) => (s > t + 5 ? Number.NEGATIVE_INFINITY : 0)),
    run: (q, k, v) => fused.attention(q, k, v, { causal: true, block: 2 }),
  },
  {
    name: "attention, with a mask",
    shapes: qkv(3, 4, 2, 2),
    formula: attend(2, 3, 4, 2, 2, (t, s) => mask[4 * t + s]),
    run: (q, k, v) => fused.attention(q, k, v, { mask: tf.tensor2d(mask, [3, 4]), block: 2 }),
  },
  {
    name: "lstm",
    shapes: [
      [5, 2, 12],
      [3, 12],
      [2, 3],
      [2, 3],
    ],
    formula: lstm(5, 2, 3),
    run: (inputs, u, h, c) => {
      const { out, state } = fused.lstm(inputs, u, { h, c });
      return tf.concat([out, state.h, state.c].map((x) => tf.reshape(x, [-1])));
    },
  },
  {
    name: "lstm, one step from zeros",
    shapes: [
      [1, 2, 8],
      [2, 8],
    ],
    formula: ([inputs, u]) => lstm(1, 2, 2)([inputs, u, new Float64Array(4), new Float64Array(4)]).slice(0, 4),
    run: (inputs, u) => fused.lstm(inputs, u).out,
  },
];

/** The gradient of the sum of f's values, weighted, by every input, by central differences in float64. */
function slopes(formula: Case["formula"], inputs: Values[], weights: Values): Values[] {
  const total = () => formula(inputs).reduce((sum, value, i) => sum + value * weights[i], 0);
  return inputs.map((input) =>
    input.map((value, i) => {
      const step = 1e-5 * Math.max(1, Math.abs(value));
      input[i] = value + step;
      const above = total();
      input[i] = value - step;
      const below = total();
      input[i] = value;
      return (above - below) / (2 * step);
    }),
  );
}

function close(found: ArrayLike<number>, wanted: Values, what: string) {
  assert.equal(found.length, wanted.length, what);
  const largest = wanted.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
  wanted.forEach((value, i) => {
    const error = Math.abs(found[i] - value);
    assert.ok(error <= 2e-6 * largest, `${what} [${i}]: ${found[i]}, wanted ${value}`);
  });
}

describe("fused", function () {
  this.timeout(60_000);

  after(() => useDevice("auto"));

  for (const device of ["cpu", "wasm"] as const) {
    for (const { name, shapes, formula, run, spread = 1 } of cases) {
      it(`${name} and its gradient are those of the formula on ${device}`, async () => {
        await useDevice(device);
        const draws = shapes.map((shape, i) => tf.mul(random.normal(random.key(i + 1), shape), spread));
        const inputs = draws.map((x) => Float64Array.from(x.dataSync()));
        const wanted = formula(inputs);
        const made = run(...draws);
        const weights = random.normal(random.key(9), made.shape);
        const slope = slopes(formula, inputs, Float64Array.from(weights.dataSync()));
        const loss = (xs: tf.Tensor[], w: tf.Tensor) => tf.sum(tf.mul(run(...xs), w));
        close(made.dataSync(), wanted, "value");
        for (const [way, f] of [
          ["eager", valueAndGrad(loss)],
          ["jit", jit((xs: tf.Tensor[], w: tf.Tensor) => valueAndGrad(loss)(xs, w))],
        ] as const) {
          const { grads } = f(draws, weights);
          grads.forEach((g, i) => {
            assert.deepEqual(g.shape, shapes[i]);
            close(g.dataSync(), slope[i], `${way}: gradient by input ${i}`);
          });
        }
      });
    }
  }

  it("trains the GPT with the losses of the plain formulas", async () => {
    await useDevice("cpu");
    const cfg: gpt.GptConfig = { layers: 1, width: 16, heads: 2, ctx: 8, vocab: 31, batch: 2 };
    const parts: gpt.Parts = {
      layerNorm: fused.layerNorm,
      attention: (q, k, v) => fused.attention(q, k, v, { causal: true, block: 4 }),
      crossEntropy: (logits, labels) => tf.mean(fused.softmaxCrossEntropy(logits, labels)),
    };
    const { ids, labels } = gpt.batch(cfg);
    const losses = [gpt.plain, parts].map((some) => {
      const step = jit((state: gpt.State) => {
        const { value, grads } = valueAndGrad(gpt.loss)(state.params, cfg, ids, labels, some);
        return { value, state: gpt.adam(state, grads, 1e-2) };
      });
      let state = gpt.start(gpt.init(cfg));
      return Array.from({ length: 5 }, () => {
        const made = step(state);
        state = made.state;
        return made.value.dataSync()[0];
      });
    });
    losses[0].forEach((loss, i) => {
      assert.ok(Math.abs(loss - losses[1][i]) < 1e-5, `${losses[0]} and ${losses[1]}`);
    });
  });

  it("attention needs a fraction of the memory of its formula, and no array of its scores", async () => {
    await useDevice("cpu");
    const [B, H, T, d] = [1, 4, 1024, 16];
    const draw = (seed: number) => random.normal(random.key(seed), [B, H, T, d]);
    const inputs = [draw(1), draw(2), draw(3)];
    const program = (attention: gpt.Parts["attention"]) =>
      lowered((xs: tf.Tensor[]) => valueAndGrad(([q, k, v]: tf.Tensor[]) => tf.sum(attention(q, k, v)))(xs), inputs);
    const formula = program(gpt.plain.attention);
    const own = program((q, k, v) => fused.attention(q, k, v, { causal: true }));
    const scores = new RegExp(`f32\\[[\\d,]*${T},${T}\\]`);
    assert.match(formula.hlo, scores);
    assert.doesNotMatch(own.hlo, scores);
    assert.ok(own.bytes < formula.bytes / 3, `${own.bytes} and ${formula.bytes} bytes`);
  });

  it("softmaxCrossEntropy keeps nothing of the size of the logits beside them, eagerly", async () => {
    await useDevice("cpu");
    const [N, V] = [256, 4096];
    const logits = random.normal(random.key(1), [N, V]);
    const labels = tf.zeros([N], "int32");
    // Live memory when the gradient begins, in arrays of the size of the logits.
    const kept = (loss: gpt.Parts["crossEntropy"]) => {
      const before = memory().bytes;
      let held = 0;
      const watched = tf.customGrad((x) => ({
        value: tf.clone(x as tf.Tensor),
        gradFunc: (dy: tf.Tensor) => {
          held = memory().bytes - before;
          return tf.clone(dy);
        },
      }));
      tf.dispose(valueAndGrad((x: tf.Tensor) => watched(loss(x, labels)))(logits));
      return held / (N * V * 4);
    };
    const own = kept((x, ids) => tf.mean(fused.softmaxCrossEntropy(x, ids)));
    const formula = kept(gpt.plain.crossEntropy);
    assert.ok(own < 0.1 && formula > 1.9, `${own} and ${formula} arrays`);
  });

  it("names what does not fit", () => {
    const x = (...shape: number[]) => tf.zeros(shape);
    assert.throws(() => fused.softmaxCrossEntropy(x(2, 3), x(3)), /logits are \[2,3\], labels \[3\]; wanted/);
    assert.throws(() => fused.layerNorm(x(2, 3), x(3), x(2)), /x is \[2,3\], bias \[2\]; wanted/);
    assert.throws(() => fused.attention(x(2, 3), x(2, 3), x(3, 3)), /v \[3,3\]; wanted/);
    assert.throws(() => fused.attention(x(3, 2), x(2, 2), x(2, 2), { causal: true }), /3 queries and only 2 keys/);
    assert.throws(() => fused.attention(x(3, 2), x(3, 2), x(3, 2), { mask: x(3) }), /mask is \[3\]; wanted/);
    assert.throws(() => fused.attention(x(3, 2), x(3, 2), x(3, 2), { block: 0.5 }), /block is 0.5/);
    assert.throws(() => fused.lstm(x(5, 2, 12), x(2, 12)), /u \[2,12\]; wanted \[T, B, 4 d\]/);
    assert.throws(
      () => fused.lstm(x(5, 2, 12), x(3, 12), { h: x(2, 3), c: x(3) }),
      /state's c is \[3\]; wanted \[2,3\]/,
    );
  });
});
