// One process of collectives.ts, alone or in a cluster. Reads a line, does what it says, prints milliseconds:
//   reduce MEGABYTES REPEATS   an all-reduce
//   step REPEATS               a training step of the small GPT with gradients averaged over the cluster
//   apart REPEATS              the same step, each process for itself
import { createInterface } from "node:readline";
import { cluster, jit, tf, valueAndGrad } from "@whetstone/engine";
import * as gpt from "./gpt.ts";

const group = await cluster({ transport: process.env.BENCH_TRANSPORT === "tensorflow" ? "tensorflow" : "auto" });
const cfg = gpt.small;
const { ids, labels } = gpt.batch(cfg, 7 + group.rank);
const state = gpt.start(gpt.init(cfg));

const grad = (state: gpt.State, ids: tf.Tensor, labels: tf.Tensor) =>
  valueAndGrad(gpt.loss)(state.params, cfg, ids, labels);
const apart = jit(
  (state: gpt.State, ids: tf.Tensor, labels: tf.Tensor) => {
    const { value, grads } = grad(state, ids, labels);
    return { loss: value, state: gpt.adam(state, grads, 1e-3) };
  },
  { donate: [0] },
);
// The all-reduce stands in the jitted step: the program is cut there.
const together = jit(
  (state: gpt.State, ids: tf.Tensor, labels: tf.Tensor) => {
    const { value, grads } = group.allReduce(grad(state, ids, labels), "mean");
    return { loss: value, state: gpt.adam(state, grads, 1e-3) };
  },
  { donate: [0] },
);

const copy = (state: gpt.State): gpt.State => ({
  params: copied(state.params),
  m: copied(state.m),
  v: copied(state.v),
  t: tf.clone(state.t),
});
const copied = (params: gpt.Params) =>
  Object.fromEntries(Object.entries(params).map(([name, value]) => [name, tf.add(value, 0)]));
const states = { step: copy(state), apart: copy(state) };

function train(mode: "step" | "apart", repeats: number): number {
  const step = mode === "step" ? together : apart;
  const begin = performance.now();
  for (let i = 0; i < repeats; i++) {
    const { loss, state } = step(states[mode], ids, labels);
    states[mode] = state;
    const [value] = loss.dataSync();
    loss.dispose();
    if (!Number.isFinite(value)) throw new Error(`the loss became ${value}`);
  }
  return (performance.now() - begin) / repeats;
}

const tensors = new Map<number, tf.Tensor>();
function reduce(megabytes: number, repeats: number): number {
  const x = tensors.get(megabytes) ?? tf.ones([megabytes * 2 ** 18]);
  tensors.set(megabytes, x);
  group.barrier();
  const begin = performance.now();
  let last: tf.Tensor | undefined;
  for (let i = 0; i < repeats; i++) {
    last?.dispose();
    last = group.allReduce(x);
  }
  const taken = (performance.now() - begin) / repeats;
  const sum = tf.tidy(() => last!.slice([x.size - 1], [1]).dataSync()[0]);
  if (sum !== group.size) throw new Error(`the sum is ${sum}`);
  last!.dispose();
  return taken;
}

console.log("ready", group.transport);
for await (const line of createInterface({ input: process.stdin })) {
  const [what, ...numbers] = line.split(" ");
  const [first, second] = numbers.map(Number);
  if (what !== "reduce") group.barrier();
  console.log(what === "reduce" ? reduce(first, second) : train(what as "step" | "apart", first));
}
process.exit(0);
