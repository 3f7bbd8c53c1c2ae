// What XLA makes of a function: its HLO before and after optimization, and the memory it needs.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { tensorflowBackend } from "./backend.ts";
import { type JitOptions, jit, origins } from "./jit.ts";
import { HLO_MARK, hloFolder } from "./libtensorflow.ts";

export interface Lowered {
  /** the HLO that runs: fused, laid out and scheduled */
  hlo: string;
  /** the HLO as traced */
  before: string;
  /** bytes of the program's buffers at their peak: arguments, results and temporaries */
  bytes: number;
}

let count = 0;

/**
 * Compiles `f` for these arguments and shows what XLA made of it. `f` is a function or a jitted one, whose options count.
 * It is run once, as XLA compiles a program when it is called.
 */
export function lowered<A extends any[]>(f: (...args: A) => unknown, ...args: A): Lowered {
  if (!tensorflowBackend())
    throw new Error(`lowered: the device is ${tf.getBackend()}; XLA compiles on cpu and cuda only`);
  if (!process.env.XLA_FLAGS?.includes(hloFolder))
    throw new Error("lowered: XLA_FLAGS has an --xla_dump_to of its own; run without it");
  const origin = origins.get(f);
  const options: JitOptions = { ...origin?.options, donate: [] };
  const name = `${HLO_MARK}_${++count}_`;
  const marked = jit(
    Object.defineProperty((...all: any[]) => (origin?.f ?? f)(...(all as A)), "name", { value: name }),
    options,
  );
  tf.tidy(() => {
    marked(...args);
  });
  try {
    const files = readdirSync(hloFolder).filter((file) => file.includes(name));
    const read = (ending: string) => {
      const file = files.find((candidate) => candidate.endsWith(ending));
      if (!file) throw new Error(`lowered: XLA wrote no ${ending}; it wrote ${files.join(", ") || "nothing"}`);
      return readFileSync(join(hloFolder, file), "utf8");
    };
    const report = read("after_optimizations-memory-usage-report.txt");
    return {
      hlo: read("after_optimizations.txt"),
      before: read(".before_optimizations.txt"),
      bytes: Number(/Total bytes used: (\d+)/.exec(report)?.[1] ?? Number.NaN),
    };
  } finally {
    rmSync(hloFolder, { recursive: true, force: true });
  }
}
