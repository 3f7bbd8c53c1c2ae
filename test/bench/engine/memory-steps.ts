// A fresh process trains a small MLP (64-128-128-10 with Adam, batch 32) for 10 000 jitted steps after a warm-up. `donated`: the state is
// donated, the loop never yields. `yield`: nothing is donated or disposed, and the loop yields once a step. Prints the growth of its memory.
import { setImmediate } from "node:timers/promises";
import { jit, random, tf, valueAndGrad } from "@whetstone/engine";
import { adam, type Params, type State, start } from "./gpt.ts";

// V8 widens its young generation with the first collections: in 7 000 steps, where nothing is disposed.
const WARM_UP = 8_000;
const STEPS = WARM_UP + 10_000;
const EVERY = 200;
const sizes = [64, 128, 128, 10];

const donated = process.argv[2] === "donated";
const batch = 32;
const x = random.normal(random.key(1), [batch, sizes[0]]);
const labels = tf.oneHot(tf.range(0, batch, 1, "int32"), sizes[3]);
const params: Params = {};
for (let l = 0; l + 1 < sizes.length; l++) {
  params[`${l}.w`] = tf.mul(random.normal(random.key(l), [sizes[l], sizes[l + 1]]), sizes[l] ** -0.5);
  params[`${l}.b`] = tf.zeros([sizes[l + 1]]);
}

function loss(p: Params, x: tf.Tensor, labels: tf.Tensor): tf.Tensor {
  let h = x;
  for (let l = 0; l + 1 < sizes.length; l++) {
    h = tf.add(tf.matMul(h, p[`${l}.w`]), p[`${l}.b`]);
    if (l + 2 < sizes.length) h = tf.relu(h);
  }
  return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(h), labels), -1)));
}

const step = jit(
  (state: State, x: tf.Tensor, labels: tf.Tensor) => {
    const { value, grads } = valueAndGrad(loss)(state.params, x, labels);
    return { value, state: adam(state, grads, 1e-3) };
  },
  donated ? { donate: [0] } : {},
);

let state = start(params);
const samples: { step: number; bytes: number }[] = [];
for (let i = 1; i <= STEPS; i++) {
  const out = step(state, x, labels);
  state = out.state;
  if (donated) out.value.dispose();
  else await setImmediate();
  if (i >= WARM_UP && i % EVERY === 0) samples.push({ step: i, bytes: process.memoryUsage.rss() });
}

// The slope of the least squares line.
const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const at = mean(samples.map(({ step }) => step));
const level = mean(samples.map(({ bytes }) => bytes));
const slope =
  mean(samples.map(({ step, bytes }) => (step - at) * (bytes - level))) /
  mean(samples.map(({ step }) => (step - at) ** 2));
console.log(
  JSON.stringify({
    megabytesPer1000: (slope * 1000) / 1e6,
    from: samples[0].bytes / 1e6,
    to: samples[samples.length - 1].bytes / 1e6,
    tensors: tf.memory().numTensors,
  }),
);
