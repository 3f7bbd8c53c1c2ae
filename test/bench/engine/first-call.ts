// A fresh process: the milliseconds of the first call of a jitted training step of the small GPT, of later ones, and of an eager one.
import { jit, tf, valueAndGrad } from "@whetstone/engine";
import { median } from "../peers.ts";
import * as gpt from "./gpt.ts";

const cfg = gpt.small;
const { ids, labels } = gpt.batch(cfg);

function train(state: gpt.State, ids: tf.Tensor, labels: tf.Tensor) {
  const { value, grads } = valueAndGrad(gpt.loss)(state.params, cfg, ids, labels);
  return { loss: value, state: gpt.adam(state, grads, 1e-3) };
}

const compiled = jit(train, { donate: [0] });
let state = gpt.start(gpt.init(cfg));

function time(step: typeof train): number {
  const begin = performance.now();
  const out = step(state, ids, labels);
  const [loss] = out.loss.dataSync();
  if (!Number.isFinite(loss)) throw new Error(`the loss became ${loss}`);
  const ms = performance.now() - begin;
  out.loss.dispose();
  // An eager step leaves the old state to us.
  tf.dispose([state.params, state.m, state.v, state.t]);
  state = out.state;
  return ms;
}

const first = time(compiled);
const later = median(Array.from({ length: 5 }, () => time(compiled)));
const eager = median(
  Array.from({ length: 5 }, () => time(((...args) => tf.tidy(() => train(...args) as any)) as typeof train)),
);
console.log(JSON.stringify({ first, later, eager }));
