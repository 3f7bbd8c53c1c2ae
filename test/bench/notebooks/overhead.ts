// What the runner itself adds to a cell, beside nbclient's addition, with the same kernel and the same 200 cells.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kernel } from "../../../kernel/run/client.ts";
import { writeNotebook } from "../../../kernel/run/notebook.ts";
import { runNotebook } from "../../../kernel/run/runner.ts";
import { notebookOf } from "../../made.ts";
import { median } from "../peers.ts";
import type { Row } from "../run.ts";

const root = join(import.meta.dirname, "../../..");
const python = join(root, ".venv", process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
const rounds = 5;
const cells = 200;
/** What comes before is warm-up. */
const first = 20;

/** A run: when each cell began, how long the kernel said it was busy with it, and the processor time of the runner itself. All in ms. */
export interface Timed {
  begins: number[];
  busy: number[];
  cpu: number;
}

export async function* rows(): AsyncGenerator<Row> {
  if (!existsSync(python)) throw new Error("nbclient stands in .venv, which is not there: npm run setup says why");
  const folder = mkdtempSync(join(tmpdir(), "whetstone-overhead-"));
  try {
    const path = join(folder, "cells.ipynb");
    writeNotebook(path, notebookOf(Array.from({ length: cells }, (_, i) => `${i} + 1`)));
    const kernels = join(folder, "kernels");
    run(process.execPath, [join(root, "kernel/install/kernelspec.ts"), join(kernels, "whetstone")]);
    const pairs: [own: Timed, peer: Timed][] = [];
    for (let i = 0; i < rounds; i++) {
      const peer = () =>
        JSON.parse(run(python, [join(import.meta.dirname, "nbclient_cells.py"), path, kernels])) as Timed;
      const own = () => timeOurs(path, join(kernels, "whetstone"));
      // Each goes first as often as the other.
      if (i % 2 === 0) pairs.push([await own(), peer()]);
      else {
        const timed = peer();
        pairs.push([await own(), timed]);
      }
    }
    const [ours, theirs] = [0, 1].map((i) => median(pairs.map((pair) => ownTime(pair[i]!)))) as [number, number];
    const [cpu, theirCpu] = [0, 1].map((i) => median(pairs.map((pair) => pair[i]!.cpu / cells))) as [number, number];
    const ms = (value: number) => value.toFixed(2);
    yield {
      id: "overhead",
      value: median(pairs.map(([own, peer]) => ownTime(own) / ownTime(peer))),
      unit: "x",
      note: `${ms(ours)} ms a cell beside nbclient's ${ms(theirs)}; processor time ${ms(cpu)} beside ${ms(theirCpu)} ms`,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** From the beginning of a cell to that of the next, without the time in which the kernel was busy with it. */
function ownTime({ begins, busy }: Timed): number {
  const inKernel = busy.slice(first, -1).reduce((sum, each) => sum + each, 0);
  return (begins.at(-1)! - begins[first]! - inKernel) / (cells - first - 1);
}

async function timeOurs(path: string, kernel: string): Promise<Timed> {
  const timed: Timed = { begins: [], busy: [], cpu: 0 };
  const used = process.cpuUsage();
  const { result } = await runNotebook(path, {
    kernel,
    onCell: () => void timed.begins.push(performance.now()),
    watch: {
      async begin(kernel) {
        kernel.execute = listening(kernel, timed.busy);
      },
      async end() {},
    },
  });
  const { user, system } = process.cpuUsage(used);
  if (!result.isPassed) throw new Error(`the cells did not pass: ${JSON.stringify(result)}`);
  return { ...timed, cpu: (user + system) / 1000 };
}

/** Notes how long the kernel was busy, by the dates of its own messages. */
function listening(kernel: Kernel, busy: number[]): Kernel["execute"] {
  const execute = kernel.execute.bind(kernel);
  return (code, options = {}) => {
    let began = 0;
    return execute(code, {
      ...options,
      onOutput(message) {
        const state = message.header.msg_type === "status" ? message.content.execution_state : undefined;
        if (state === "busy") began = Date.parse(message.header.date);
        if (state === "idle") busy.push(Date.parse(message.header.date) - began);
        return options.onOutput?.(message);
      },
    });
  };
}

function run(command: string, args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
  return stdout;
}
