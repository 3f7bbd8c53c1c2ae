import assert from "node:assert/strict";
import { roughly, secondsLeft } from "../../kernel/run/remaining.ts";

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
