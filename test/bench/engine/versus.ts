// A training step or a forward pass beside a peer in Python: blocks of steps in turn, so that both see the same machine.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { median, pythonWith } from "../peers.ts";
import type { Row } from "../run.ts";

export interface Peer {
  /** name, version and settings */
  about: string;
  /** does a step, gives its milliseconds */
  step(): Promise<number>;
  /** does a step, gives the number that the script prints beside its milliseconds */
  check(): Promise<number>;
  stop(): Promise<void>;
}

// What the engine asks of glibc for itself (libtensorflow.ts): PyTorch's median step is up to a fifth shorter with it.
const keepFreedMemory = {
  MALLOC_TRIM_THRESHOLD_: String(2 ** 30),
  MALLOC_TOP_PAD_: String(2 ** 26),
  MALLOC_MMAP_MAX_: "0",
};

/** Starts a Python script of this folder, or of a path from it, as a peer; see startCommand. Scripts find peer.py. */
export function startPeer(name: string, packages: string[], script: string, args: string[] = []): Promise<Peer> {
  return startCommand(name, pythonWith(packages), [join(import.meta.dirname, script), ...args]);
}

/**
 * Starts a program which prints `ready <version> <threads>` when it is, and for every line that it reads does a step and prints
 * its milliseconds, and a number to check it by.
 */
export async function startCommand(name: string, command: string, args: string[], cwd?: string): Promise<Peer> {
  // The engine has set it for itself; the peer decides as it does everywhere.
  const { TF_ENABLE_ONEDNN_OPTS: _ours, ...env } = process.env;
  const child = spawn(command, args, {
    cwd,
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...env, ...keepFreedMemory, PYTHONPATH: import.meta.dirname },
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const read = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${name} ended early: ${command} ${args.join(" ")}`);
    return String(value).split(" ");
  };
  const [, version, threads] = await read();
  const step = async () => {
    child.stdin.write("\n");
    return (await read()).map(Number);
  };
  return {
    about: `${name} ${version}, ${threads} threads, malloc that keeps memory,`,
    step: async () => (await step())[0],
    check: async () => (await step())[1],
    async stop() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}

/**
 * The speed of `ours` over the peer's: the median of the ratios of `rounds` rounds, each of `steps` steps of the one and then of
 * the other. `items` is how many `unit`s a step does.
 */
export async function race(
  id: string,
  ours: () => number,
  peer: Peer,
  { items, unit, steps = 8, rounds = 5 }: { items: number; unit: string; steps?: number; rounds?: number },
): Promise<Row> {
  for (let i = 0; i < 3; i++) {
    ours();
    await peer.step();
  }
  const speeds = { ours: [] as number[], peer: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const own: number[] = [];
    const other: number[] = [];
    for (let i = 0; i < steps; i++) own.push(ours());
    for (let i = 0; i < steps; i++) other.push(await peer.step());
    speeds.ours.push((items / median(own)) * 1e3);
    speeds.peer.push((items / median(other)) * 1e3);
  }
  const ratios = speeds.ours.map((speed, i) => speed / speeds.peer[i]);
  const told = ratios.map((r) => r.toFixed(2)).join(" ");
  const note = `${median(speeds.ours).toFixed(0)} ${unit}/s, ${peer.about} ${median(speeds.peer).toFixed(0)}; rounds ${told}`;
  return { id, value: median(ratios), unit: "ratio", note };
}
