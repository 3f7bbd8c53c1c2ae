// The engine beside PyTorch on the same model: blocks of steps in turn, so that both see the same machine.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { jit, type tf, valueAndGrad } from "@whetstone/engine";
import { median, pythonWith } from "../peers.ts";
import type { Row } from "../run.ts";
import * as gpt from "./gpt.ts";

const ROUNDS = 5;
const STEPS = 8;

export async function* rows(): AsyncGenerator<Row> {
  yield await gptSmallVsTorch();
}

async function gptSmallVsTorch(): Promise<Row> {
  const ours = trainer();
  const torch = await startTorch();
  try {
    for (let i = 0; i < 3; i++) {
      ours();
      await torch.step();
    }
    const tokens = gpt.small.batch * gpt.small.ctx;
    const speeds = { ours: [] as number[], torch: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      const own: number[] = [];
      const peer: number[] = [];
      for (let i = 0; i < STEPS; i++) own.push(ours());
      for (let i = 0; i < STEPS; i++) peer.push(await torch.step());
      speeds.ours.push((tokens / median(own)) * 1e3);
      speeds.torch.push((tokens / median(peer)) * 1e3);
    }
    const ratios = speeds.ours.map((speed, i) => speed / speeds.torch[i]);
    return {
      id: "gpt-small-vs-torch",
      value: median(ratios),
      unit: "ratio",
      note: `${median(speeds.ours).toFixed(0)} tokens/s, ${torch.about} ${median(speeds.torch).toFixed(0)}; rounds ${ratios.map((r) => r.toFixed(2)).join(" ")}`,
    };
  } finally {
    torch.stop();
  }
}

/** A jitted training step of the small GPT; each call gives its milliseconds. */
function trainer(): () => number {
  const cfg = gpt.small;
  const { ids, labels } = gpt.batch(cfg);
  const step = jit(
    (state: gpt.State, ids: tf.Tensor, labels: tf.Tensor) => {
      const { value, grads } = valueAndGrad(gpt.loss)(state.params, cfg, ids, labels);
      return { loss: value, state: gpt.adam(state, grads, 1e-3) };
    },
    { donate: [0] },
  );
  let state = gpt.start(gpt.init(cfg));
  return () => {
    const begin = performance.now();
    const { loss, state: next } = step(state, ids, labels);
    state = next;
    const [value] = loss.dataSync();
    loss.dispose();
    if (!Number.isFinite(value)) throw new Error(`the loss became ${value}`);
    return performance.now() - begin;
  };
}

async function startTorch() {
  const child = spawn(pythonWith(["torch==2.13.0", "numpy==2.4.6"]), [join(import.meta.dirname, "gpt_torch.py")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const read = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("gpt_torch.py ended early");
    return String(value).split(" ");
  };
  const [, version, threads] = await read();
  return {
    about: `PyTorch ${version}, ${threads} threads,`,
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
