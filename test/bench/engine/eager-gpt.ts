// An eager training step of the small GPT beside Python's TensorFlow: blocks of steps in turn.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { tf, valueAndGrad } from "@whetstone/engine";
import { median, pythonWith } from "../peers.ts";
import type { Row } from "../run.ts";
import * as gpt from "./gpt.ts";

const ROUNDS = 9;
const STEPS = 5;
const VERSION = "2.21.0";

export async function* rows(): AsyncGenerator<Row> {
  const ours = trainer();
  const peer = startTensorFlow();
  try {
    const version = await peer.read();
    for (let i = 0; i < 3; i++) {
      ours();
      await peer.step();
    }
    const speeds = { ours: [] as number[], peer: [] as number[] };
    const tokens = gpt.small.batch * gpt.small.ctx;
    for (let round = 0; round < ROUNDS; round++) {
      const own: number[] = [];
      const other: number[] = [];
      for (let i = 0; i < STEPS; i++) own.push(ours());
      for (let i = 0; i < STEPS; i++) other.push(await peer.step());
      speeds.ours.push((tokens / median(own)) * 1e3);
      speeds.peer.push((tokens / median(other)) * 1e3);
    }
    const ratios = speeds.ours.map((speed, i) => speed / speeds.peer[i]);
    yield {
      id: "eager-gpt-vs-tf",
      value: median(ratios),
      unit: "ratio",
      note: `${median(speeds.ours).toFixed(0)} tokens/s, Python TensorFlow ${version[1]} eager ${median(speeds.peer).toFixed(0)} (its own Adam op, oneDNN as it comes, freed memory kept as in ours); rounds ${ratios.map((r) => r.toFixed(2)).join(" ")}`,
    };
  } finally {
    await peer.stop();
  }
}

/** An eager step of the small GPT; each call gives its milliseconds. */
function trainer(): () => number {
  const cfg = gpt.small;
  const { ids, labels } = gpt.batch(cfg);
  let state = gpt.start(gpt.init(cfg));
  return () => {
    const begin = performance.now();
    const out = tf.tidy(() => {
      const { value, grads } = valueAndGrad(gpt.loss)(state.params, cfg, ids, labels);
      return { loss: value, state: gpt.adam(state, grads, 1e-3) } as any;
    }) as { loss: tf.Tensor; state: gpt.State };
    const [value] = out.loss.dataSync();
    out.loss.dispose();
    tf.dispose(state as any);
    state = out.state;
    if (!Number.isFinite(value)) throw new Error(`the loss became ${value}`);
    return performance.now() - begin;
  };
}

function startTensorFlow() {
  const { TF_ENABLE_ONEDNN_OPTS: _ours, ...env } = process.env;
  const child = spawn(
    pythonWith([`tensorflow-cpu==${VERSION}`]),
    [join(import.meta.dirname, "gpt_tensorflow.py"), "eager"],
    {
      stdio: ["pipe", "pipe", "inherit"],
      // What the engine sets by mallopt: without it glibc gives memory back at every free.
      env: { ...env, MALLOC_TRIM_THRESHOLD_: `${2 ** 30}`, MALLOC_TOP_PAD_: `${2 ** 26}`, MALLOC_MMAP_MAX_: "0" },
    },
  );
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const read = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("gpt_tensorflow.py ended early");
    return String(value).split(" ");
  };
  return {
    read,
    async step(): Promise<number> {
      child.stdin.write("\n");
      return Number((await read())[0]);
    },
    async stop() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}
