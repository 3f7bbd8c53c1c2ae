// The kernel beside Deno's and ipykernel over jupyter_client: time until it is ready, round trips of cells, interrupts, volume.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deno, median, pythonWith } from "../peers.ts";
import type { Row } from "../run.ts";

const ROUNDS = 7;
const root = join(import.meta.dirname, "../../..");

interface Round {
  kernel: string;
  /** seconds */
  ready: number;
  first: number;
  plain: number;
  fresh: number;
  /** the cells of `fresh` with their types unchecked; what cannot be switched off is the same */
  unchecked: number;
}

/** What is timed of each kernel. */
type Measure = "ready" | "first" | "plain" | "fresh" | "unchecked";

interface Own {
  kernel: "own";
  /** seconds, by the kind of cell */
  stops: Record<string, number[]>;
  lines: number;
  messages: number;
  /** seconds for one write of 50 MB */
  write: number;
}

const ms = (seconds: number) => (seconds * 1e3).toPrecision(3);

export async function* rows(): AsyncGenerator<Row> {
  const python = pythonWith(["ipykernel==7.4.0", "jupyter-client==8.9.1"]);
  const folder = mkdtempSync(join(tmpdir(), "whetstone-bench-"));
  try {
    spec(folder, "deno", {
      argv: [deno(), "jupyter", "--kernel", "--conn", "{connection_file}"],
      language: "typescript",
    });
    spec(folder, "ipykernel", {
      argv: [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
      language: "python",
    });
    run(process.execPath, [join(root, "kernel/install/kernelspec.ts"), join(folder, "kernels/whetstone")]);
    const names = ["whetstone", "deno", "ipykernel"];
    const printed = run(python, [join(import.meta.dirname, "kernel_client.py"), folder, String(ROUNDS), ...names]);
    const told = printed
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Round | Own);
    const rounds = told.filter((each): each is Round => each.kernel !== "own");
    const own = told.find((each): each is Own => each.kernel === "own")!;
    const of = (kernel: string, what: Measure) =>
      rounds.filter((round) => round.kernel === kernel).map((round) => round[what]);
    const note = (what: Measure) => names.map((name) => `${name} ${ms(median(of(name, what)))} ms`).join(", ");
    const ratio = (what: Measure, peer: string) =>
      median(of("whetstone", what).map((value, i) => value / of(peer, what)[i]));

    yield { id: "ready-vs-deno", value: ratio("ready", "deno"), unit: "ratio", note: note("ready") };
    yield { id: "ready-vs-ipykernel", value: ratio("ready", "ipykernel"), unit: "ratio" };
    yield { id: "roundtrip-vs-ipykernel", value: ratio("fresh", "ipykernel"), unit: "ratio", note: note("fresh") };
    yield { id: "roundtrip-vs-deno", value: ratio("fresh", "deno"), unit: "ratio" };
    yield {
      id: "roundtrip-unchecked-vs-deno",
      value: ratio("unchecked", "deno"),
      unit: "ratio",
      note: note("unchecked"),
    };
    yield { id: "plain-vs-ipykernel", value: ratio("plain", "ipykernel"), unit: "ratio", note: note("plain") };
    yield { id: "plain-vs-deno", value: ratio("plain", "deno"), unit: "ratio" };
    yield { id: "first-cell", value: median(of("whetstone", "first")) * 1e3, unit: "ms", note: note("first") };
    for (const [kind, stops] of Object.entries(own.stops)) {
      const worst = `of ${stops.length}, longest ${ms(Math.max(...stops))} ms; variables kept`;
      yield { id: `interrupt-${kind}`, value: median(stops) * 1e3, unit: "ms", note: worst };
    }
    const lines = `complete and in order, ${own.messages} messages`;
    yield { id: "million-lines", value: own.lines, unit: "s", note: lines };
    yield { id: "write-50-MB", value: own.write, unit: "s", note: "complete" };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function spec(folder: string, name: string, { argv, language }: { argv: string[]; language: string }) {
  const to = join(folder, "kernels", name);
  mkdirSync(to, { recursive: true });
  writeFileSync(join(to, "kernel.json"), JSON.stringify({ argv, display_name: name, language }));
}

function run(command: string, args: string[]): string {
  // The peers warn at every start; what they say matters only when something fails.
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args[0]}: ${error?.message ?? `exit code ${status}`}\n${stderr}`);
  return stdout;
}
