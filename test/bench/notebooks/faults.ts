// Twenty faulty notebooks: how many get the right verdicts and a message that helps. And how soon the death of a kernel is seen.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startKernel } from "../../../kernel/run/client.ts";
import { judgeFaults } from "../../notebooks/faults.ts";
import type { Row } from "../run.ts";

const deaths = 10;

export async function* rows(): AsyncGenerator<Row> {
  const folder = mkdtempSync(join(tmpdir(), "whetstone-faults-"));
  try {
    const judged = await judgeFaults(folder);
    const wrong = [...judged].filter(([, { wrong }]) => wrong.length > 0).map(([name]) => name);
    yield {
      id: "faults",
      value: judged.size - wrong.length,
      unit: "right",
      note: `of ${judged.size}${wrong.length === 0 ? "" : `; wrong: ${wrong.join(", ")}`}`,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const seen: number[] = [];
  for (let i = 0; i < deaths; i++) seen.push(await timeOfDeath());
  seen.sort((a, b) => a - b);
  yield {
    id: "death",
    value: seen.at(-1)!,
    unit: "ms",
    note: `the latest of ${deaths}; the median is ${seen[deaths >> 1]!.toFixed(0)} ms`,
  };
}

/** Milliseconds from the kill of a kernel that computes until its cell's promise is rejected. */
async function timeOfDeath(): Promise<number> {
  const kernel = await startKernel("whetstone");
  await kernel.execute("1");
  const running = kernel.execute("while (true) {}").then(
    () => NaN,
    () => performance.now(),
  );
  await new Promise((done) => setTimeout(done, 200));
  const began = performance.now();
  process.kill(kernel.pid, "SIGKILL");
  return (await running) - began;
}
