// What a jitted step costs before it is fast, and what a long loop of them holds. Each figure is of fresh processes.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "../peers.ts";
import type { Row } from "../run.ts";

const ROUNDS = 5;

interface FirstCall {
  first: number;
  later: number;
  eager: number;
}

interface Slope {
  megabytesPer1000: number;
  from: number;
  to: number;
}

export function* rows(): Generator<Row> {
  const plain: FirstCall[] = [];
  const cached: FirstCall[] = [];
  const cache = mkdtempSync(join(tmpdir(), "whetstone-xla-"));
  try {
    const env = { WHETSTONE_XLA_CACHE: cache };
    fresh("first-call.ts", [], env);
    for (let round = 0; round < ROUNDS; round++) {
      plain.push(fresh("first-call.ts", []));
      cached.push(fresh("first-call.ts", [], env));
    }
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
  yield overhead("jit-overhead", plain);
  yield overhead("jit-overhead-cached", cached);
  for (const way of ["donated", "yield"]) {
    const { megabytesPer1000, from, to } = fresh<Slope>("memory-steps.ts", [way]);
    yield {
      id: `memory-slope-${way}`,
      value: megabytesPer1000,
      unit: "MB/1000",
      note: `MLP 64-128-128-10, Adam, 10 000 steps after 8 000: ${from.toFixed(0)} MB at the first, ${to.toFixed(0)} at the last`,
    };
  }
}

function overhead(id: string, runs: FirstCall[]): Row {
  const ratios = runs.map(({ first, later, eager }) => (first - later) / eager);
  const ms = (of: (run: FirstCall) => number) => median(runs.map(of)).toFixed(0);
  return {
    id,
    value: median(ratios),
    unit: "ratio",
    note: `trace and compile ${ms((run) => run.first - run.later)} ms, an eager step ${ms((run) => run.eager)}, a jitted one ${ms((run) => run.later)}; runs ${ratios.map((r) => r.toFixed(1)).join(" ")}`,
  };
}

/** The last line of a script of this folder, as JSON. */
function fresh<T = FirstCall>(script: string, args: string[], env: Record<string, string> = {}): T {
  const run = spawnSync(process.execPath, [join(import.meta.dirname, script), ...args], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  if (run.status !== 0) throw new Error(`${script} ${args}: ${run.signal ?? run.status}\n${run.stderr}`);
  return JSON.parse(run.stdout.trim().split("\n").at(-1)!);
}
