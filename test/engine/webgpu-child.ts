// The process of webgpu.test.ts that has a GPU: `kernels`, `train`, `ops` or `missing`; prints one line of JSON.
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as engine from "@whetstone/engine";
import { devices, jit, memory, random, scan, tf, useDevice, valueAndGrad } from "@whetstone/engine";
import { adam, batch, type GptConfig, init, loss, type State, start } from "../bench/engine/gpt.ts";
import { difference, type Read, read } from "./compare.ts";
import { build, run } from "./drawn.ts";
import { DRAWS, referenced } from "./kernel-references.ts";
import { type Drawn, drawsOf, table } from "./kernel-table.ts";
import { likeCpu, TRIED, toleranceOf, wrong } from "./webgpu-table.ts";

const parts: Record<string, () => Promise<unknown>> = { kernels, train, ops, missing };
console.log(JSON.stringify(await parts[process.argv[2]]()));

/** Where each kernel differs, on shaders alone and as it is used: then small tensors are computed in JavaScript. */
async function kernels() {
  const fixture = `${import.meta.dirname}/../fixtures/engine/kernels.json`;
  const references: Record<string, Read[][]> = JSON.parse(readFileSync(fixture, "utf8"));
  await useDevice("webgpu");
  const names = Object.keys(table).filter((name) => !wrong[name]);
  const picked = names.map((name) => {
    const chosen = drawsOf(name, DRAWS).flatMap((drawn, i) => (i % DRAWS < TRIED ? [{ drawn, i }] : []));
    const fromPython = referenced[name] && !likeCpu.includes(name);
    return {
      name,
      draws: chosen.map(({ drawn }) => drawn),
      wanted: fromPython ? chosen.map(({ i }) => references[name][i]) : undefined,
    };
  });
  await tf.setBackend("cpu");
  const wanted = picked.map(({ name, draws, wanted }) => wanted ?? draws.map((drawn) => resultOf(name, drawn)));
  await tf.setBackend("webgpu");
  const faults: Record<string, string[]> = {};
  for (const shadersOnly of [true, false]) {
    tf.env().set("WEBGPU_CPU_FORWARD", !shadersOnly);
    picked.forEach(({ name, draws }, k) => {
      faults[name] ??= [];
      draws.forEach((drawn, i) => {
        const [f, w] = [resultOf(name, drawn), wanted[k][i]];
        const says =
          f instanceof Error ? f.message : w instanceof Error ? w.message : difference(f, w, toleranceOf(name));
        if (says) faults[name].push(`${says}\n    ${JSON.stringify(drawn).slice(0, 600)}`);
      });
    });
  }
  return { faults, registered: tf.getKernelsForBackend("webgpu").map(({ kernelName }) => kernelName) };
}

function resultOf(name: string, drawn: Drawn): Read[] | Error {
  tf.engine().startScope();
  try {
    return read(run(name, build(drawn), drawn.attrs));
  } catch (error) {
    return error as Error;
  } finally {
    tf.engine().endScope();
  }
}

/** The GPT of the bench, small: eager on the CPU, and through jit and its asynchronous call on WebGPU. */
async function train() {
  const cfg: GptConfig = { layers: 2, width: 32, heads: 4, ctx: 16, vocab: 64, batch: 4 };
  const steps = 4;
  const one = (state: State, ids: tf.Tensor, labels: tf.Tensor) => {
    const { value, grads } = valueAndGrad(loss)(state.params, cfg, ids, labels);
    return { value, grads, state: adam(state, grads, 1e-3) };
  };
  const step = jit(one, { donate: [0] });
  const trainOn = async (
    call: (...args: Parameters<typeof one>) => ReturnType<typeof one> | Promise<ReturnType<typeof one>>,
  ) => {
    const { ids, labels } = batch(cfg);
    let state = start(init(cfg));
    const losses: number[] = [];
    const gradients: Record<string, number[]> = {};
    const held: { tensors: number; gpuBytes: number }[] = [];
    for (let i = 0; i < steps; i++) {
      const { value, grads, state: next } = await call(state, ids, labels);
      if (i === 0) for (const [name, grad] of Object.entries(grads)) gradients[name] = Array.from(await grad.data());
      losses.push((await value.data())[0]);
      tf.dispose([value, grads]);
      state = next;
      const { numBytesInGPU = 0 } = tf.memory() as { numBytesInGPU?: number };
      held.push({ tensors: memory().numTensors, gpuBytes: numBytesInGPU });
    }
    return { losses, gradients, held, backend: tf.getBackend() };
  };
  const reference = await useDevice("auto");
  const cpu = await trainOn((...args) => tf.tidy(() => one(...args) as never) as ReturnType<typeof one>);
  await useDevice("webgpu");
  let count = 0;
  const gpu = await trainOn((...args) => (count++ % 2 ? step.async(...args) : step(...args)));
  return { reference, cpu, gpu, compiled: step.cacheSize() };
}

/** What the recipes use beyond single kernels, on the CPU and on WebGPU; random numbers; errors. */
async function ops() {
  const a = tf.tensor([1, -2, 3, 0.5, 2, -1], [2, 3]);
  const b = tf.tensor([0.5, 1, -1, 2, 0, 3, 1, -2, 1, 0, 2, 1], [3, 4]);
  const key = random.key(7);
  const at = tf.tensor2d(
    [
      [0, 1],
      [1, 2],
      [0, 1],
    ],
    [3, 2],
    "int32",
  );
  const cases: Record<string, () => tf.Tensor | tf.Tensor[]> = {
    "einsum of three, without an arrow": () => tf.einsum("ij,jk,kl", a, b, tf.transpose(b)),
    "gradients of einsum": () => tf.grads((x, y) => tf.square(tf.einsum("ij,jk->ik", x as any, y as any)))([a, b]),
    "gradient of gatherND": () => tf.grad((x) => tf.square(tf.gatherND(x, at)))(a),
    "gradient of topk": () => tf.grad((x) => tf.square(tf.topk(x, 2).values))(a),
    "gradient of logSoftmax": () => tf.grad((x) => tf.square(tf.logSoftmax(x)))(a),
    "gradient of cumsum, reversed": () => tf.grad((x) => tf.square(tf.cumsum(x, 1, false, true)))(a),
    "gradient of a gather with repeated rows": () =>
      tf.grad((x) => tf.square(tf.gather(x, tf.tensor1d([1, 0, 1, 1], "int32"))))(a),
    "scan and its gradient": () => {
      const run = (w: tf.Tensor) =>
        scan((h: tf.Tensor, x: tf.Tensor) => [tf.tanh(tf.add(tf.mul(h, w), x)), h], tf.zeros([3]), a);
      const [last, all] = run(tf.tensor1d([0.5, 1, -1]));
      return [last, all, tf.grad((w) => run(w)[0])(tf.tensor1d([0.5, 1, -1]))];
    },
    "gradient of checkpoint": () => tf.grad((x) => engine.checkpoint((y: tf.Tensor) => tf.exp(tf.tanh(y)))(x))(a),
    "unique, bandPart, logicalXor, isNaN": () => [
      tf.unique(tf.tensor1d([1, 2, 1, 3, 2])).values,
      tf.linalg.bandPart(a as tf.Tensor2D, 0, 1),
      tf.logicalXor(tf.greater(a, 0), tf.less(a, 1)),
      tf.isNaN(tf.tensor1d([1, Number.NaN, Number.POSITIVE_INFINITY])),
    ],
    "a layer's training": () => {
      const model = tf.sequential({
        layers: [tf.layers.dense({ units: 2, inputShape: [3], kernelInitializer: "ones" })],
      });
      const f = () => tf.mean(tf.square(model.apply(a) as tf.Tensor)) as tf.Scalar;
      for (let i = 0; i < 3; i++) tf.train.adam(0.1).minimize(f);
      return model.getWeights();
    },
  };
  const exact: Record<string, () => tf.Tensor | tf.Tensor[]> = {
    "random.bits": () => random.bits(key, [3, 5]),
    "random.split, fold": () => [...random.split(key, 3), random.fold(key, 9), random.fold(random.split(key)[1], 2)],
    "random.uniform": () => random.uniform(key, [70]),
    "random.bernoulli": () => random.bernoulli(key, 0.3, [100]),
    "integers beyond 2^24": () => {
      const large = tf.range(2 ** 24 + 1, 2 ** 24 + 2501, 1, "int32");
      const places = tf.range(0, 1500, 1, "int32");
      return [
        tf.gather(large, places),
        tf.slice(large, 3, 1500),
        tf.concat([large, large]),
        tf.transpose(tf.reshape(large, [50, 50])),
        tf.add(large, tf.scalar(1, "int32")),
        tf.mul(large, tf.scalar(3, "int32")),
        tf.equal(large, tf.scalar(2 ** 24 + 5, "int32")),
      ];
    },
    "a key out of many": () => random.bits(tf.unstack(tf.stack(random.split(key, 1000)))[700], [2]),
    "a key that has been on the GPU": () => {
      tf.add(key, 1).dataSync();
      return random.bits(random.fold(key, 1), [2]);
    },
  };
  const all = { ...cases, ...exact, "random.normal": () => random.normal(key, [33]) };
  const resultsOn = async (device: "auto" | "webgpu") => {
    await useDevice(device);
    return Object.values(all).map((make) => read(tf.tidy(make as () => tf.Tensor)));
  };
  const [wanted, found] = [await resultsOn("auto"), await resultsOn("webgpu")];
  const faults = Object.keys(all).flatMap((name, i) => {
    const says = difference(found[i], wanted[i], name in exact ? 0 : 1e-4);
    return says ? [`${name}: ${says}`] : [];
  });
  const errors: Record<string, string> = {};
  const failing: Record<string, () => unknown> = {
    "too large": () => tf.fill([100_000, 100_000], 1),
    shapes: () => tf.matMul(a, a),
    disposed: () => tf.add(disposed(a), 1),
  };
  for (const [name, fail] of Object.entries(failing)) {
    try {
      fail();
      errors[name] = "no error";
    } catch (error) {
      errors[name] = (error as Error).message;
    }
  }
  const after = Array.from(tf.add(a, 1).dataSync());
  const abandoned = await heldByAbandoned();
  const onLostGpu = tf.fill([50, 50], 2);
  (tf.backend() as unknown as { device: { destroy(): void } }).device.destroy();
  for (const name of ["lost", "lost for good"]) {
    await onLostGpu.data().catch((error: Error) => {
      errors[name] = error.message;
    });
  }
  await useDevice("webgpu");
  const again = Array.from(tf.add(tf.tensor1d([1, 2]), 1).dataSync());
  // Work in flight at the end must not keep the process.
  const [c, d] = [tf.ones([64, 64]), tf.ones([64, 64])];
  for (let i = 0; i < 40; i++) tf.matMul(c, d);
  return { faults, errors, after, again, abandoned, listed: await devices() };
}

/** Bytes on the GPU that 20 MB of tensors which nobody holds still take after a garbage collection. */
async function heldByAbandoned(): Promise<number> {
  const held = () => (tf.memory() as { numBytesInGPU?: number }).numBytesInGPU!;
  const before = held();
  for (let i = 0; i < 20; i++) tf.fill([512, 512], i);
  setFlagsFromString("--expose-gc");
  for (let i = 0; i < 5; i++) {
    runInNewContext("gc")();
    await new Promise((done) => setTimeout(done, 20));
  }
  return held() - before;
}

function disposed(like: tf.Tensor): tf.Tensor {
  const gone = tf.add(like, 1);
  gone.dispose();
  return gone;
}

/** Where there is no adapter. */
async function missing() {
  const loaded = () => /dawn\.node/.test(readFileSync("/proc/self/maps", "latin1"));
  const atStart = loaded();
  const types = (await devices()).map(({ type }) => type);
  const message = await useDevice("webgpu").then(
    () => "no error",
    (error: Error) => error.message,
  );
  return { atStart, types, message, loaded: loaded() };
}
