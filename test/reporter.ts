// Mocha's reporter for test/run.ts: one JSON line for each finished test into the file that WHETSTONE_REPORT names, at
// once, so that a run which dies has told what it did; a last line says that it came to its end.
import { appendFileSync } from "node:fs";
import Mocha from "mocha";
import type { Verdicts } from "./junit.ts";

/** A line of the report. */
export type Told =
  | { event: "pass" | "skip"; name: string }
  | { event: "fail"; name: string; text: string }
  | { event: "end" };

export default class Reporter {
  constructor(runner: Mocha.Runner) {
    const file = process.env.WHETSTONE_REPORT;
    if (!file) throw new Error("test/reporter.ts needs WHETSTONE_REPORT, the file to write to; run tests by npm test");
    const tell = (line: Told) => appendFileSync(file, `${JSON.stringify(line)}\n`);
    const { EVENT_TEST_PASS, EVENT_TEST_FAIL, EVENT_TEST_PENDING, EVENT_RUN_END } = Mocha.Runner.constants;
    runner.on(EVENT_TEST_PASS, (test) => tell({ event: "pass", name: test.fullTitle() }));
    runner.on(EVENT_TEST_PENDING, (test) => tell({ event: "skip", name: test.fullTitle() }));
    runner.on(EVENT_TEST_FAIL, (test, error) => {
      const difference =
        error.actual !== undefined && error.expected !== undefined
          ? `\n${Mocha.reporters.Base.generateDiff(error.actual, error.expected)}`
          : "";
      tell({ event: "fail", name: test.fullTitle(), text: `${error.stack ?? error}${difference}` });
    });
    runner.on(EVENT_RUN_END, () => tell({ event: "end" }));
  }
}

/** The verdicts of the tests that mocha finished, and whether it came to its end. */
export function readTold(text: string): { verdicts: Verdicts; isWhole: boolean } {
  const verdicts: Verdicts = { passed: 0, failed: [], skipped: [] };
  let isWhole = false;
  for (const line of text.split("\n").filter(Boolean)) {
    const told = JSON.parse(line) as Told;
    if (told.event === "pass") verdicts.passed += 1;
    else if (told.event === "fail") verdicts.failed.push({ name: told.name, text: told.text });
    else if (told.event === "skip") verdicts.skipped.push({ name: told.name, why: "" });
    else isWhole = true;
  }
  return { verdicts, isWhole };
}
