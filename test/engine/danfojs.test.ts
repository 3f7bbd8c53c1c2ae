// danfojs on the engine's tfjs.
import assert from "node:assert/strict";
import { tf } from "@whetstone/engine";
import { dfd } from "@whetstone/engine/danfojs";

describe("danfojs", () => {
  it("has the engine's tfjs, so its tensors go into the engine's ops", () => {
    assert.equal(dfd.tensorflow, tf);
    const frame = new dfd.DataFrame({ a: [1, 2, 3] });
    assert.ok(frame.tensor instanceof tf.Tensor);
    assert.equal(tf.sum(frame.tensor).dataSync()[0], 6);
  });

  it("describes columns with holes as if they were not there", () => {
    const frame = new dfd.DataFrame({
      a: [1, 2, null, 4, 5],
      name: ["x", null, "y", "z", "x"],
      b: [1.5, 2.5, 3.5, 4.5, NaN],
    });
    const stats = frame.describe();
    const row = (column: string) =>
      Object.fromEntries(stats.index.map((k: string, i: number) => [k, stats[column].values[i]]));
    assert.deepEqual(stats.columns, ["a", "b"]);
    assert.deepEqual(
      [row("a").count, row("a").mean, row("a").min, row("a").max, row("a").median, row("b").count, row("b").mean],
      [4, 3, 1, 5, 3, 4, 3],
    );
  });
});
