// Runs as it is: node --test frame.test.ts. Any class that takes columns will do in place of danfojs' DataFrame.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromFrame, toFrame } from "./frame.ts";

class DataFrame {
  readonly columns: string[];
  readonly values: unknown[][];
  constructor(columns: Record<string, unknown[]>) {
    this.columns = Object.keys(columns);
    const [first = []] = Object.values(columns);
    this.values = first.map((_, i) => this.columns.map((name) => columns[name][i]));
  }
}

test("rows become columns and rows again; what a row has not is null", () => {
  const frame = toFrame({ DataFrame }, [{ a: 1 }, { b: "x", a: 2 }]);
  assert.deepEqual(frame.columns, ["a", "b"]);
  assert.deepEqual(fromFrame(frame), [
    { a: 1, b: null },
    { a: 2, b: "x" },
  ]);
  assert.throws(() => toFrame({ DataFrame }, []), /0 rows without a field/);
});
