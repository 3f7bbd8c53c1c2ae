import assert from "node:assert/strict";
import type { Comparison } from "../../kernel/run/compare.ts";
import { compareNotebooks, compareOutputs, defaultTolerance } from "../../kernel/run/compare.ts";
import type { CodeCell } from "../../kernel/run/notebook.ts";
import type { Output } from "../../kernel/run/outputs.ts";
import { differenceOfTexts, differenceOfValues } from "../../kernel/run/tolerance.ts";
import { notebookOf } from "../made.ts";

const text = (words: string, name: "stdout" | "stderr" = "stdout"): Output => ({
  output_type: "stream",
  name,
  text: words,
});
const data = (bundle: Record<string, unknown>): Output => ({ output_type: "display_data", data: bundle, metadata: {} });
const result = (words: string, count: number): Output => ({
  output_type: "execute_result",
  data: { "text/plain": words },
  metadata: {},
  execution_count: count,
});
const difference = (before: Output[], now: Output[], settings: Comparison = {}) =>
  compareOutputs(before, now, { ...defaultTolerance, ...settings });

describe("runner: outputs compared", () => {
  it("numbers within the tolerance are equal, and others are named with what stands before them", () => {
    const tolerance = { rtol: 1e-3, atol: 0 };
    assert.equal(differenceOfTexts("loss 1.2340, T5", "loss  1.2345, T5", tolerance), undefined);
    assert.match(differenceOfTexts("loss 1.2, T5", "loss 1.3, T5", tolerance)!, /^1\.2 → 1\.3 after "loss" \(7\.69 % apart, 0\.1 % allowed\)$/); // biome-ignore format: one line
    assert.match(differenceOfTexts("loss 1.2, T5", "loss 1.2, T6", tolerance)!, /", T5" → ", T6"/);
    assert.match(differenceOfTexts("1 2", "1 2 3", tolerance)!, /no number → 3/);
    assert.match(differenceOfTexts("1 2 3", "1 2", tolerance)!, /3 → no number/);
    assert.match(differenceOfTexts("-1", "1", tolerance)!, /-1 → 1/);
    assert.equal(differenceOfTexts("1e-3 and 12\u202f345", "0.001 and 12345", tolerance), undefined);
    assert.match(differenceOfTexts("h1 0", "h1 0.1", tolerance)!, /0 → 0\.1/);
    assert.equal(differenceOfTexts("0", "0.1", { rtol: 1e-3, atol: 0.2 }), undefined);
    assert.match(differenceOfTexts("NaN", "1", tolerance)!, /"NaN" → ""/);
  });

  it("values of JSON are compared by their parts, packed arrays by their numbers", () => {
    const pack = (values: number[]) => ({
      dtype: "f4",
      bdata: Buffer.from(new Float32Array(values).buffer).toString("base64"),
    });
    const tolerance = { rtol: 1e-3, atol: 0 };
    const figure = (y: unknown) => ({ data: [{ type: "bar", y }], layout: { title: "a" } });
    assert.equal(differenceOfValues(figure([1, 2]), figure([1, 2.001]), tolerance), undefined);
    assert.match(differenceOfValues(figure([1, 2]), figure([1, 3]), tolerance)!, /^2 → 3 at data\.0\.y\.1/);
    assert.match(differenceOfValues(figure([1, 2]), figure([1]), tolerance)!, /at data\.0\.y\.1/);
    assert.equal(differenceOfValues(figure(pack([1, 2])), figure(pack([1, 2.001])), tolerance), undefined);
    assert.match(
      differenceOfValues(figure(pack([1, 2])), figure(pack([1, 4])), tolerance)!,
      /2 → 4 at data\.0\.y\.values\.1/,
    );
    assert.match(differenceOfValues({ a: null }, { a: 1 }, tolerance)!, /"null" → "1" at a/);
  });

  it("in which pieces a stream comes is chance, and so are counts of executions", () => {
    assert.equal(difference([text("a\n"), result("1", 3), text("b\n")], [text("a\nb\n"), result("1", 4)]), undefined);
    assert.match(difference([text("a")], [text("a", "stderr")])!, /output 1 \(stderr\) differs from the one before/);
    assert.match(difference([text("a")], [])!, /the output \(nothing\) differs from the one before \(stdout\)/);
  });

  it("times, durations, addresses, ids, folders and colours are different each time", () => {
    const old =
      "at 2026-01-02T03:04:05.678Z in 12.5 s, 300 ms and 2 min: 0x7ffe12ab in /home/a/b/c.ts \u001b[31mred\u001b[0m";
    const now = "at 2027-11-12T13:14:15Z in 9 s, 1\u202f300 ms and 3 min: 0x55aa99887766 in /srv/x/c.ts red";
    assert.equal(difference([text(old)], [text(now)]), undefined);
    assert.match(difference([text("12 samples")], [text("15 samples")])!, /12 → 15/);
    assert.match(difference([text("12 MB/s")], [text("15 MB/s")])!, /12 → 15/);
  });

  it("pictures are compared by their size, claims about speed not at all", () => {
    const png = (width: number, fill: number) => {
      const bytes = Buffer.alloc(60, fill);
      bytes.writeUInt32BE(width, 16);
      bytes.writeUInt32BE(10, 20);
      return data({ "image/png": bytes.toString("base64"), "text/plain": "a figure" });
    };
    assert.equal(difference([png(640, 1)], [png(640, 2)]), undefined);
    assert.match(difference([png(640, 1)], [png(800, 1)])!, /image\/png: 640 → 800/);
    const claim = (kind: string, value: number) =>
      data({ "application/vnd.claim+json": { id: "a", kind, value }, "text/plain": `✔ a ${value} times` });
    assert.equal(difference([claim("speed", 2)], [claim("speed", 3)]), undefined);
    assert.match(difference([claim("exact", 2)], [claim("exact", 3)])!, /2 → 3 at value/);
  });

  it("a cell says what may differ in it: tags and metadata", () => {
    const before = notebookOf(["1", { source: "2", tags: ["volatile"] }, "3", "4"]);
    const now = structuredClone(before);
    for (const [i, cell] of before.cells.entries()) (cell as CodeCell).outputs = [text(`value ${i + 1}`)];
    for (const [i, cell] of now.cells.entries()) (cell as CodeCell).outputs = [text(`value ${(i + 1) * 1.05}`)];
    now.cells[2]!.metadata.whetstone = { compare: { rtol: 0.1 } };
    now.cells[3]!.metadata.whetstone = { compare: { replace: [["value \\S+", "VALUE"]] } };
    const found = compareNotebooks(before, now, { what: "the one in the file" });
    assert.deepEqual(
      [...found.keys()].map(({ id }) => id),
      ["c1"],
    );
    assert.match(
      [...found.values()][0]!,
      /^output 1 \(stdout\) differs from the one in the file: 1 → 1\.05 after "value"/,
    );
    now.metadata.whetstone = { compare: { ignore: ["stdout"] } };
    assert.equal(compareNotebooks(before, now).size, 0);
  });
});
