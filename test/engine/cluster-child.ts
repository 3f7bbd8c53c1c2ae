// One process of cluster.test.ts: `cluster-child.ts WHAT,WHAT... [FOLDER]` does these in turn and prints what came out as a line of JSON.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { cluster, jit, random, tf, useDevice, valueAndGrad } from "@whetstone/engine";

type Params = Record<string, tf.Tensor>;

await useDevice("cpu");
const [what, folder = ""] = process.argv.slice(2);
const group = await cluster({
  transport: process.env.TRANSPORT === "tensorflow" ? "tensorflow" : "auto",
  startTimeout: 40,
  timeout: what === "late" ? 2 : 60,
});
const { rank, size } = group;
const values = (x: tf.Tensor) => Array.from(x.dataSync());

/** A two-layer network on a batch that is the same for any number of processes, of which each takes its rows. */
const ROWS = 32;
function network(): Params {
  const [a, b] = random.split(random.key(3));
  return { w1: random.normal(a, [16, 24]), b1: tf.zeros([24]), w2: random.normal(b, [24, 1]) };
}
const data = tf.tidy(() => {
  const [a, b] = random.split(random.key(5));
  const rows = ROWS / size;
  return [random.normal(a, [ROWS, 16]), random.normal(b, [ROWS, 1])].map((all) =>
    tf.keep(tf.slice(all, rank * rows, rows)),
  );
});
const loss = (p: Params, x: tf.Tensor, y: tf.Tensor) =>
  tf.mean(tf.square(tf.sub(tf.matMul(tf.tanh(tf.add(tf.matMul(x, p.w1), p.b1)), p.w2), y)));
const lossAndGrads = jit(valueAndGrad(loss));
const update = jit(
  (p: Params, grads: Params) =>
    Object.fromEntries(Object.keys(p).map((name) => [name, tf.sub(p[name], tf.mul(grads[name], 0.05))])),
  { donate: [0] },
);

const everything: Record<string, () => unknown> = {
  values() {
    const x = tf
      .tensor2d([
        [1, 2],
        [3, -4],
      ])
      .mul(rank + 1);
    const tree = { x, n: [tf.scalar(rank, "int32")], name: "kept" };
    const ops = (["sum", "mean", "max", "min"] as const).map((op) => {
      const { x, n, name } = group.allReduce(tree, op);
      return { x: values(x), n: values(n[0]), name };
    });
    const root = size - 1;
    const sent = group.broadcast({ x, even: tf.tensor1d([rank % 2 === 0, true], "bool") }, root);
    const all = group.allGather({ x, s: tf.scalar(rank) });
    // Larger than a piece, and of several tensors that no piece ends with.
    const large = Array.from({ length: 3 }, (_, i) => tf.range(0, 300_001 + i).mul(rank + 1));
    const sums = group.allReduce(large);
    const gathered = group.allGather(large[0]);
    group.barrier();
    return {
      ops,
      sent: { x: values(sent.x), even: values(sent.even) },
      all: { x: all.x.shape, s: values(all.s) },
      scattered: values(group.reduceScatter(tf.range(0, 2 * size).reshape([2 * size, 1]))),
      empty: group.allReduce(tf.zeros([0, 3])).shape,
      largeIsRight: sums.every((sum, i) => {
        const wanted = tf.range(0, 300_001 + i).mul((size * (size + 1)) / 2);
        return tf.max(tf.abs(tf.sub(sum, wanted))).dataSync()[0] === 0;
      }),
      gatheredIsRight: Array.from({ length: size }, (_, r) => gathered.slice([r, 300_000], [1, 1]).dataSync()[0]).every(
        (last, r) => last === 300_000 * (r + 1),
      ),
    };
  },
  traced() {
    const f = jit((x: tf.Tensor) => {
      const sum = group.allReduce({ double: tf.mul(x, 2), one: tf.add(x, 1) });
      const total = group.allReduce(tf.sum(sum.one));
      return { y: tf.add(tf.reshape(sum.double, [4]), total), same: sum.double, constant: tf.ones([2]), x };
    });
    const x = tf
      .tensor2d([
        [1, 2],
        [3, 4],
      ])
      .mul(rank + 1);
    const before = tf.memory().numTensors;
    const calls = [f(x), f(x)].map(({ y, same, constant, x }) => [y, same, constant, x].map(values));
    const left = tf.memory().numTensors - before - 8;
    // Each process's loss is weighted by its rank + 1: the gradient of their sum comes back to all.
    const weighted = (p: tf.Tensor) => tf.sum(tf.mul(group.allReduce(tf.square(p)), rank + 1));
    const gradients = [valueAndGrad(weighted), jit(valueAndGrad(weighted))].map((f) => values(f(x).grads));
    const gathered = valueAndGrad((p: tf.Tensor) => tf.sum(tf.mul(group.allGather(p), rank + 1)))(x).grads;
    let maxGradient = "";
    try {
      jit((x: tf.Tensor) => group.allReduce(tf.add(x, 1), "max"))(x);
      valueAndGrad((p: tf.Tensor) => tf.sum(group.allReduce(p, "max")))(x);
    } catch (error) {
      maxGradient = (error as Error).message;
    }
    return { calls, left, gradients, gathered: values(gathered), maxGradient };
  },
  gradients() {
    const { value, grads } = group.allReduce(lossAndGrads(network(), data[0], data[1]), "mean");
    const whole = jit((p: Params) => group.allReduce(valueAndGrad(loss)(p, data[0], data[1]), "mean"))(network());
    return {
      value: values(value),
      grads: Object.values(grads).flatMap(values),
      traced: Object.values(whole.grads).flatMap(values),
    };
  },
  bad() {
    const errors = [
      () => group.allReduce(tf.tensor1d(["text"])),
      () => group.allReduce(tf.zeros([2]), "product" as "sum"),
      () => group.broadcast(tf.zeros([2]), size),
      () => group.reduceScatter(tf.zeros([size + 1])),
    ].map((call) => {
      try {
        call();
      } catch (error) {
        return (error as Error).message;
      }
      return "none";
    });
    // Nothing of this has broken the cluster.
    return { errors, sum: values(group.allReduce(tf.scalar(1))) };
  },
  late: async () => {
    if (rank === 1) await setTimeout(15_000);
    return failing(() => group.allReduce(tf.ones([3])));
  },
  differ: () => failing(() => group.allReduce(tf.zeros([rank + 1]))),
  abort: async () => {
    group.barrier();
    if (rank !== 1) return failing(() => group.allReduce(tf.ones([3])));
    await setTimeout(1000);
    group.abort("the loss is not a number");
    const failed = failing(() => group.allReduce(tf.ones([3])));
    // Its end would be another reason.
    await setTimeout(3000);
    return failed;
  },
  /** Process 1 ends at the tenth call. */
  gone() {
    const alive = new Promise((resolve) => group.health().then(resolve));
    let calls = 0;
    return alive.then((health) => ({
      health,
      ...failing(() => {
        for (;;) {
          if (rank === 1 && calls === 10) process.kill(process.pid, process.env.SIGNAL ?? "SIGKILL");
          group.allReduce(tf.ones([1000])).dispose();
          calls++;
        }
      }),
      calls,
    }));
  },
  /** Trains 60 steps; process 1 is killed in step 35 of the first run. Process 0 saves every 10. */
  train() {
    const file = join(folder, "checkpoint");
    let params = network();
    let step = 0;
    if (rank === 0 && existsSync(file)) {
      const saved = JSON.parse(readFileSync(file, "utf8"));
      step = saved.step;
      params = Object.fromEntries(Object.keys(params).map((name) => [name, tf.tensor(saved.params[name])]));
    }
    const begun = group.broadcast({ params, step: tf.scalar(step, "int32") });
    params = begun.params;
    [step] = begun.step.dataSync();
    const first = step;
    const losses: number[] = [];
    try {
      for (; step < 60; step++) {
        if (rank === 1 && step === 35 && first === 0 && folder) process.kill(process.pid, "SIGKILL");
        const { value, grads } = group.allReduce(lossAndGrads(params, data[0], data[1]), "mean");
        params = update(params, grads);
        losses.push(value.dataSync()[0]);
        if (rank === 0 && folder && (step + 1) % 10 === 0) {
          const saved = {
            step: step + 1,
            params: Object.fromEntries(Object.entries(params).map(([n, p]) => [n, p.arraySync()])),
          };
          writeFileSync(`${file}.new`, JSON.stringify(saved));
          renameSync(`${file}.new`, file);
        }
      }
    } catch (error) {
      return { first, step, error: (error as Error).message };
    }
    return { first, step, losses };
  },
};

function failing(call: () => unknown): { error: string; again: string; seconds: number } {
  const begin = performance.now();
  const messages: string[] = [];
  for (const f of [call, () => group.barrier()]) {
    try {
      f();
    } catch (error) {
      messages.push((error as Error).message);
    }
    if (messages.length === 1) messages.push(((performance.now() - begin) / 1000).toFixed(1));
  }
  return { error: messages[0], seconds: Number(messages[1]), again: messages[2] };
}

const told: Record<string, unknown> = { rank, size, transport: group.transport };
for (const name of what.split(",")) told[name] = await everything[name]();
console.log(JSON.stringify(told));
await group.close();
