// Collectives between two processes beside gloo, and what a second process brings to training; each process has one thread.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { median, pythonWith } from "../peers.ts";
import type { Row } from "../run.ts";
import * as gpt from "./gpt.ts";

const ROUNDS = 9;
const STEPS = 4;

/** Processes that do the same command at the same time. */
interface Team {
  /** what they said when they were ready */
  about: string;
  /** Milliseconds of the slowest. */
  run(command: string): Promise<number>;
  stop(): Promise<void>;
}

export async function* rows(): AsyncGenerator<Row> {
  yield* allReduce();
  yield* scaling();
}

async function* allReduce(): AsyncGenerator<Row> {
  const teams: Team[] = [];
  try {
    const [ours, ring, gloo] = [await engine(2), await engine(2, { BENCH_TRANSPORT: "tensorflow" }), await torch()];
    teams.push(ours, ring, gloo);
    for (const [megabytes, repeats] of [
      [4, 20],
      [64, 4],
    ]) {
      const times = { ours: [] as number[], ring: [] as number[], gloo: [] as number[] };
      for (let round = -2; round < ROUNDS; round++) {
        const taken = {
          ours: await ours.run(`reduce ${megabytes} ${repeats}`),
          gloo: await gloo.run(`${megabytes} ${repeats}`),
          ring: await ring.run(`reduce ${megabytes} ${repeats}`),
        };
        if (round < 0) continue; // warm-up
        for (const who of ["ours", "ring", "gloo"] as const) times[who].push(taken[who]);
      }
      const ratios = (who: "ours" | "ring") => times.gloo.map((time, i) => time / times[who][i]);
      const note = (who: "ours" | "ring", about: string) =>
        `${about} ${median(times[who]).toFixed(1)} ms, torch ${gloo.about} gloo, 1 thread, ${median(times.gloo).toFixed(1)} ms; rounds ${spread(ratios(who))}`;
      yield {
        id: `allreduce-vs-gloo-${megabytes}MB`,
        value: median(ratios("ours")),
        unit: "ratio",
        note: note("ours", ours.about),
      };
      yield {
        id: `allreduce-grpc-vs-gloo-${megabytes}MB`,
        value: median(ratios("ring")),
        unit: "ratio",
        note: note("ring", `${ring.about} (gRPC ring)`),
      };
    }
  } finally {
    for (const team of teams) await team.stop();
  }
}

async function* scaling(): AsyncGenerator<Row> {
  const [one, two] = [await engine(1), await engine(2)];
  try {
    const times = { one: [] as number[], two: [] as number[], apart: [] as number[] };
    for (let round = -2; round < ROUNDS; round++) {
      const taken = {
        one: await one.run(`apart ${STEPS}`),
        two: await two.run(`step ${STEPS}`),
        apart: await two.run(`apart ${STEPS}`),
      };
      if (round < 0) continue; // compiles
      for (const who of ["one", "two", "apart"] as const) times[who].push(taken[who]);
    }
    const ratios = (who: "two" | "apart") => times.one.map((time, i) => (2 * time) / times[who][i]);
    const tokens = gpt.small.batch * gpt.small.ctx;
    const speed = (count: number, list: number[]) => ((count * tokens) / median(list)) * 1e3;
    yield {
      id: "dp-scaling",
      value: median(ratios("two")),
      unit: "ratio",
      note: `${speed(2, times.two).toFixed(0)} tokens/s over ${speed(1, times.one).toFixed(0)}, ${two.about}; rounds ${spread(ratios("two"))}; two processes that do not talk ${median(ratios("apart")).toFixed(2)}`,
    };
  } finally {
    await one.stop();
    await two.stop();
  }
}

const spread = (ratios: number[]) => ratios.map((ratio) => ratio.toFixed(2)).join(" ");

async function engine(size: number, env: NodeJS.ProcessEnv = {}): Promise<Team> {
  const worker = await Promise.all(Array.from({ length: size }, async () => `127.0.0.1:${await freePort()}`));
  const script = join(import.meta.dirname, "collectives-peer.ts");
  return team(
    worker.map((_, index) =>
      spawn(process.execPath, [script], {
        stdio: ["pipe", "pipe", "inherit"],
        env: {
          ...process.env,
          ...env,
          TF_NUM_INTRAOP_THREADS: "1",
          TF_CONFIG: JSON.stringify({ cluster: { worker }, task: { type: "worker", index } }),
        },
      }),
    ),
  );
}

async function torch(): Promise<Team> {
  const python = pythonWith(["torch==2.13.0", "numpy==2.4.6"]);
  const port = String(await freePort());
  const script = join(import.meta.dirname, "gloo_torch.py");
  return team(
    [0, 1].map((rank) => spawn(python, [script, String(rank), port], { stdio: ["pipe", "pipe", "inherit"] })),
  );
}

async function team(children: ChildProcess[]): Promise<Team> {
  const lines = children.map((child) => createInterface({ input: child.stdout! })[Symbol.asyncIterator]());
  const read = async (i: number) => {
    const { value, done } = await lines[i].next();
    if (done) throw new Error(`process ${i} of ${children[i].spawnargs.slice(1).join(" ")} ended early`);
    return String(value);
  };
  const stop = async () => {
    for (const child of children) {
      child.stdin!.end();
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    }
  };
  try {
    const [first] = await Promise.all(children.map((_, i) => read(i)));
    return {
      about: first.replace("ready ", ""),
      async run(command) {
        for (const child of children) child.stdin!.write(`${command}\n`);
        return Math.max(...(await Promise.all(children.map((_, i) => read(i)))).map(Number));
      },
      stop,
    };
  } catch (error) {
    for (const child of children) child.kill();
    throw error;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
