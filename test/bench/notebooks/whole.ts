// All notebooks in quick mode by the command itself: two workers beside one, and a run in which nothing has changed beside the full one.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Report } from "../../../kernel/run/report.ts";
import type { Row } from "../run.ts";

const root = join(import.meta.dirname, "../../..");

/** The whole command, in seconds. */
interface Ran {
  seconds: number;
  report: Report;
}

export async function* rows(): AsyncGenerator<Row> {
  const reports = mkdtempSync(join(tmpdir(), "whetstone-whole-"));
  try {
    // The first run tells the others how long each takes, and fills the cache.
    const one = run(reports, "--fresh", "--workers", "1");
    const two = run(reports, "--fresh", "--workers", "2");
    const again = run(reports, "--workers", "2");
    const { notebooks } = again.report;
    const kept = notebooks.filter(({ isCached }) => isCached).length;
    if (kept < notebooks.length)
      throw new Error(`only ${kept} of ${notebooks.length} notebooks were known as unchanged`);
    const longest = one.report.notebooks.toSorted((a, b) => b.seconds - a.seconds)[0]!;
    yield {
      id: "parallel",
      value: two.seconds / one.seconds,
      unit: "x",
      note: `${notebooks.length} notebooks: ${two.seconds.toFixed(1)} s on 2 workers, ${one.seconds.toFixed(1)} s on 1; the longest, ${longest.name}, takes ${longest.seconds.toFixed(1)} s alone`,
    };
    yield {
      id: "cached",
      value: again.seconds / two.seconds,
      unit: "x",
      note: `${again.seconds.toFixed(2)} s when nothing has changed`,
    };
  } finally {
    rmSync(reports, { recursive: true });
  }
}

/** The committed ones: somebody may be writing another. */
function notebooks(): string[] {
  const { status, stdout } = spawnSync("git", ["ls-files", "notebooks/*.ipynb"], { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout.trim().split("\n") : ["notebooks"];
}

function run(reports: string, ...args: string[]): Ran {
  const began = performance.now();
  const command = [join(root, "kernel/run/cli.ts"), "--quick", "--reports", reports, ...args, ...notebooks()];
  const { status, stdout } = spawnSync(process.execPath, command, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const seconds = (performance.now() - began) / 1000;
  if (status !== 0) throw new Error(`the notebooks do not pass: ${stdout}`);
  return { seconds, report: JSON.parse(readFileSync(join(reports, "notebooks.json"), "utf8")) };
}
