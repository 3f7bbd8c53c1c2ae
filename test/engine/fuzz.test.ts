// Whatever goes into the binding, the process lives: the inputs are drawn in a child process, which writes each before it is
// tried, so that a crash names its cause.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";

const SEED = 7;

function fuzz(what: string) {
  const run = spawnSync(process.execPath, [`${import.meta.dirname}/fuzz-child.ts`, what, String(SEED)], {
    encoding: "utf8",
    // Drawn sizes reach far beyond: what cannot be had is refused, and the machine keeps its memory.
    env: { ...process.env, WHETSTONE_MEMORY_LIMIT: "2GB" },
    maxBuffer: 2 ** 28,
    timeout: 55_000,
  });
  const lines = run.stdout.trim().split("\n");
  assert.equal(
    run.status,
    0,
    `${run.signal ?? run.status} at ${lines.at(-1)?.slice(0, 600)}\n${run.stderr.slice(-2000)}`,
  );
  return JSON.parse(lines.at(-1)!) as { tried: number; refused: number };
}

describe("no input ends the process", function () {
  this.timeout(60_000);

  it("binding: wrong ids, ops, attributes, shapes, values", () => {
    const { tried, refused } = fuzz("binding");
    assert.ok(tried >= 1000 && refused > tried / 4, `${refused} of ${tried} refused`);
  });

  it("kernels: empty, huge, disposed and mismatched inputs, NaN, wrong attributes", () => {
    const { tried, refused } = fuzz("kernels");
    assert.ok(tried >= 1000 && refused > tried / 4 && refused < tried, `${refused} of ${tried} refused`);
  });
});
