import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { showProgress } from "../../kernel/run/progress.ts";
import { roughly, secondsLeft } from "../../kernel/run/remaining.ts";
import type { NotebookResult } from "../../kernel/run/result.ts";

describe("runner: time that is left", () => {
  it("shares what waits among the workers as the run does, the longest first", () => {
    assert.equal(secondsLeft([30, 20, 10], [], 1), 60);
    assert.equal(secondsLeft([30, 20, 10], [], 2), 30);
    assert.equal(secondsLeft([10, 40, 10, 10], [], 2), 40);
  });

  it("takes off what has passed, and never less than nothing", () => {
    assert.equal(secondsLeft([], [{ elapsed: 4, expected: 10 }], 2), 6);
    assert.equal(secondsLeft([10], [{ elapsed: 99, expected: 10 }], 1), 10);
  });

  it("counts the unknown as the mean of the known, and knows nothing of nothing", () => {
    assert.equal(secondsLeft([undefined, 10], [{ elapsed: 0, expected: 20 }], 1), 45);
    assert.equal(secondsLeft([undefined], [{ elapsed: 3 }], 1), undefined);
  });

  it("says it roughly", () => {
    assert.deepEqual([0.2, 45, 100, 3000, 5000, 9000].map(roughly), ["1 s", "45 s", "2 min", "50 min", "83 min", "2 h 30 min"]); // biome-ignore format: one line
  });
});

describe("runner: progress", () => {
  const result = (name: string, rest: Partial<NotebookResult> = {}): NotebookResult => ({
    name,
    path: name,
    isPassed: true,
    seconds: 3,
    startSeconds: 1,
    cells: [{ position: 1, verdict: "ok", seconds: 2 }],
    ...rest,
  });

  function shown(isTTY: boolean) {
    let text = "";
    const stream = new Writable({
      write(chunk, _encoding, done) {
        text += chunk;
        done();
      },
    });
    const out = Object.assign(stream, { isTTY, columns: 60 }) as unknown as NodeJS.WriteStream;
    const progress = showProgress({ expected: new Map([["a", 100], ["b", 40]]), workers: 1, out }); // biome-ignore format: pairs
    progress.start({ name: "a", cells: 9 });
    progress.cell({ name: "a", position: 4, label: `cell 7 (${"long-".repeat(20)})` });
    progress.done(result("a"));
    progress.done(result("b", { isPassed: false, isCached: true, cells: [] }));
    progress.stop();
    return text;
  }

  it("is one line in a terminal, never longer than it, with the time left, and gone in the end", () => {
    const lines = shown(true).split("\r\x1b[K");
    assert.ok(lines.includes("0/2  0 s, about 2 min left   a 0/9 kernel starts"), lines.join("|"));
    assert.ok(
      lines.some((line) => line.startsWith("0/2  0 s, about 2 min left   a 4/9 cell 7 (long-")),
      lines.join("|"),
    );
    assert.ok(
      lines.some((line) => line.startsWith("1/2  0 s, about 40 s left")),
      lines.join("|"),
    );
    assert.ok(lines.every((line) => line.includes("\n") || line.length < 60));
    assert.equal(lines.at(-1), "");
    assert.ok(lines.includes("✔ a  1 passed, 0 failed  3.0 s\n"));
  });

  it("is plain lines elsewhere", () => {
    assert.equal(shown(false), "  a  starts, 9 cells\n✔ a  1 passed, 0 failed  3.0 s\n✘ b  0 passed, 0 failed  unchanged since it passed\n"); // biome-ignore format: lines
  });
});
