import assert from "node:assert/strict";
import { countCells, failuresOf, junit, markdown, type Report } from "../kernel/run/report.ts";
import type { NotebookResult } from "../kernel/run/runner.ts";
import { readJUnit } from "./junit.ts";

const suite = (cases: string, { failures = 0, errors = 0 } = {}) =>
  `<?xml version="1.0"?><testsuites><testsuite name="s" failures="${failures}" errors="${errors}">${cases}</testsuite></testsuites>\n`;

describe("JUnit", () => {
  it("counts the cases themselves, each by what became of it", () => {
    const cases = `
      <testcase classname="a" name="one" time="0.1"/>
      <testcase classname="a" name="two"></testcase>
      <testcase classname="a" name="x &gt; &quot;y&quot; /&gt;"><failure message="m">1 &lt; 2 <![CDATA[& <b>]]> &#233;&#x21;</failure></testcase>
      <testcase name='single > quotes'><error message="only a message"/></testcase>
      <testcase name="three"><skipped message="no GPU"/></testcase>
      <testcase name="four"><system-out>a &lt;failure&gt; that is printed</system-out></testcase>`;
    assert.deepEqual(readJUnit(suite(cases, { failures: 1, errors: 1 })), {
      passed: 3,
      failed: [
        { name: 'a x > "y" />', text: "1 < 2 & <b> é!" },
        { name: "single > quotes", text: "only a message" },
      ],
      skipped: [{ name: "three", why: "no GPU" }],
    });
  });

  it("refuses a report that is cut off, or claims more failures than it holds", () => {
    const whole = suite('<testcase name="a"/><testcase name="b"/>');
    assert.equal(readJUnit(whole).passed, 2);
    assert.throws(() => readJUnit(whole.slice(0, -20)), /cut off/);
    assert.throws(() => readJUnit(""), /cut off/);
    const lacking = suite('<testcase name="a"><failure message="m"/></testcase>', { failures: 1, errors: 1 });
    assert.throws(() => readJUnit(lacking), /claims 2 failures, but holds 1/);
  });

  it("gets errors of any length from the notebook runner, in their beginning and end", () => {
    const reason = ["first", ...Array.from({ length: 30_000 }, (_, i) => `line ${i}`), "x".repeat(1e6), "last"].join(
      "\n",
    );
    const cells: NotebookResult["cells"] = [{ position: 1, seconds: 1, verdict: "error", reason, traceback: [reason] }];
    const result = { name: "n", path: "/r/n.ipynb", isPassed: false, seconds: 1, startSeconds: 1, cells };
    const report: Report = { ...countCells([result]), mode: "full", seconds: 3, notebooks: [result] };
    const [failure] = readJUnit(junit(report, "/r")).failed;
    assert.match(failure!.text, /^first\nline 0\n.*\n\[\.\.\. \d+ lines that notebooks\.json has \.\.\.\]\n.*\nlast$/s);
    assert.match(failure!.text, /\nx{500} \[\.\.\. 1000000 characters\]\nlast$/);
    for (const text of [failure!.text, ...failuresOf(result, "/r").flat(), markdown(report, "/r")]) {
      assert.ok(text.length < 10_000, `${text.length}`);
    }
    assert.ok(JSON.stringify(report).includes("line 29999"));
  });

  it("reads what the notebook runner writes, whatever stands in it", () => {
    const nasty = '</failure>]]> & <testcase name="none"/> \u001b[31mred\u001b[0m \u0000\ud800 "';
    const cell = { position: 1, seconds: 1 };
    const results: NotebookResult[] = [
      {
        name: 'n"<&', path: "/r/n.ipynb", isPassed: false, seconds: 3, startSeconds: 1,
        cells: [
          { ...cell, id: "a", verdict: "ok" },
          { ...cell, id: "b", verdict: "skipped", reason: nasty },
          { ...cell, verdict: "error", reason: nasty, traceback: [nasty], line: 2, source: nasty },
          { ...cell, verdict: "timeout", reason: "long" },
          { ...cell, verdict: "dead" },
          { ...cell, verdict: "not reached" },
        ],
      },
      { name: "m", path: "/r/m.ipynb", isPassed: false, seconds: 0, startSeconds: 0, cells: [], problem: nasty },
    ]; // biome-ignore format: short
    const report: Report = { ...countCells(results), mode: "full", seconds: 3, notebooks: results };
    const { passed, failed, skipped } = readJUnit(junit(report, "/r"));
    assert.deepEqual([passed, failed.length, skipped.length], [report.passed, report.failed, report.skipped]);
    assert.deepEqual([passed, failed.length, skipped.length], [1, 4, 2]);
    assert.match(failed[0]!.text, /^<\/failure>\]\]> & <testcase name="none"\/> red ��/);
    assert.equal(failed[0]!.name, 'n"<& cell 1');
  });
});
