// Twenty notebooks, each with a fault of its own, and what must be said of them: the verdicts, and a message that one wants to read at night.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Kernelspec } from "../../kernel/run/kernelspec.ts";
import { formatNotebook } from "../../kernel/run/notebook.ts";
import { failuresOf } from "../../kernel/run/report.ts";
import { labelOf, type Verdict } from "../../kernel/run/result.ts";
import { type RunOptions, runNotebook } from "../../kernel/run/runner.ts";
import { type Made, notebookOf } from "../made.ts";

const front = join(import.meta.dirname, "../../kernel/dist/front.js");

interface Fault {
  /** Of the notebook. */
  name: string;
  cells: Made[];
  kernel?: Pick<Kernelspec, "name" | "language">;
  /** What the file holds instead of those cells. */
  file?: (whole: string) => string;
  options?: RunOptions;
  verdicts: Verdict[];
  /** The line of the failed cell that must be named. */
  line?: number;
  /** What the message must say beside the notebook, the cell, the line and the next step. */
  says: RegExp;
  /** What the next step must say. */
  next: RegExp;
}

const first = "const a = 1; a";

export const faults: Fault[] = [
  {
    name: "loop",
    cells: [first, "let n = 0;\nfunction spin() {\n  while (true) n++;\n}\nspin();", first],
    options: { budgets: { cell: 6 } },
    verdicts: ["ok", "timeout", "not reached"],
    line: 3,
    says: /longer than the 6 s a cell may take/,
    next: /--timeout SECONDS/,
  },
  {
    name: "never",
    cells: [first, "console.log('waits');\nawait new Promise(() => {});"],
    options: { budgets: { cell: 6 } },
    verdicts: ["ok", "timeout"],
    says: /longer than the 6 s a cell may take/,
    next: /waits for a promise.*--timeout SECONDS/,
  },
  {
    name: "deaf",
    cells: [first, "import { execSync } from 'node:child_process';\nexecSync('sleep 60');"],
    options: { budgets: { cell: 6, grace: 1 } },
    verdicts: ["ok", "timeout"],
    says: /longer than the 6 s a cell may take/,
    next: /--timeout SECONDS/,
  },
  {
    name: "silent",
    cells: [first, "console.log('begun');\nawait new Promise(() => {});"],
    options: { budgets: { silence: 6 } },
    verdicts: ["ok", "timeout"],
    says: /no sign of life for 6 s/,
    next: /--silence SECONDS/,
  },
  {
    name: "exit",
    cells: [first, "console.log('last');\nprocess.exit(3);", first],
    verdicts: ["ok", "dead", "not reached"],
    says: /ProcessExit: .*exit code 3/,
    next: /throw an error instead/,
  },
  {
    name: "killed",
    cells: [first, "process.kill(process.ppid, 'SIGKILL'); await new Promise(() => {});"],
    verdicts: ["ok", "dead"],
    says: /kernel whetstone died: its process was ended by SIGKILL/,
    next: /if memory ran out \(dmesg says so\)/,
  },
  {
    name: "memory",
    cells: [first, "const kept: number[][] = [];\nfor (;;) kept.push(new Array(1000).fill(1.5));"],
    options: { env: { NODE_OPTIONS: "--max-old-space-size=128" } },
    verdicts: ["ok", "dead"],
    says: /OutOfMemory/,
    next: /make the cell's data smaller/,
  },
  {
    name: "restarted",
    cells: [first, "process.kill(process.ppid, 'SIGKILL'); await new Promise(() => {});", first],
    options: {
      // As a server does that starts a dead kernel again, on the same ports.
      kernel: ["/bin/sh", "-c", `while true; do "$0" "$1" "$2"; done`, process.execPath, front, "{connection_file}"],
      budgets: { cell: 20 },
    },
    verdicts: ["ok", "dead", "not reached"],
    says: /the kernel has started over, and its variables are gone/,
    next: /run it again/,
  },
  {
    name: "another-error",
    cells: [
      {
        source: "let n = 7;\nthrow new RangeError('index ' + n + ' of 5');",
        tags: ["raises-exception", "expect:TS2322"],
      },
    ],
    verdicts: ["error"],
    line: 2,
    says: /an error with TS2322 is expected; it failed with RangeError: index 7 of 5/,
    next: /into the tag expect/,
  },
  {
    name: "no-error",
    cells: [{ source: "1 + 1", tags: ["raises-exception", "expect:RangeError"] }, first],
    verdicts: ["error", "not reached"],
    says: /it should fail \(an error with RangeError is expected\), and ran through/,
    next: /take its tags raises-exception and expect:\.\.\. away/,
  },
  {
    name: "flood",
    cells: [first, "const line = 'x'.repeat(10_000);\nfor (;;) console.log(line);"],
    options: { budgets: { output: 1 } },
    verdicts: ["ok", "error"],
    says: /more than the 1 MB a cell may show/,
    next: /a loop that prints.*--output-limit/,
  },
  {
    name: "conflict",
    cells: [first],
    file: (whole) => whole.replace(/( "cells": \[\n)/, "<<<<<<< ours\n$1=======\n$1>>>>>>> theirs\n"),
    verdicts: [],
    says: /not JSON: line 2 begins a merge conflict/,
    next: /git checkout --ours or --theirs/,
  },
  {
    name: "nul",
    cells: [first],
    file: (whole) => `${whole.slice(0, 60)}${"\0".repeat(200)}`,
    verdicts: [],
    says: /NUL bytes from byte 60 \(line \d+\) on/,
    next: /git checkout -- nul\.ipynb/,
  },
  {
    name: "old",
    cells: [first],
    file: (whole) => whole.replace('"nbformat": 4', '"nbformat": 3'),
    verdicts: [],
    says: /not a notebook of format 4: nbformat is 3/,
    next: /jupyter nbconvert --to notebook --nbformat 4 --inplace old\.ipynb/,
  },
  {
    name: "missing-recipe",
    cells: [first, "const rank = 4;\nimport { lora } from './recipes/lora.ts';\nlora(rank);"],
    verdicts: ["ok", "error"],
    line: 2,
    says: /Cannot find module '\.\/recipes\/lora\.ts'/,
    next: /git log --diff-filter=D --oneline -- '\*lora\.ts'/,
  },
  {
    name: "type-error",
    cells: [first, "const heads = 4;\nconst dim: number = String(heads);"],
    verdicts: ["ok", "error"],
    line: 2,
    says: /TS2322: Type 'string' is not assignable to type 'number'/,
    next: /mend the type error/,
  },
  {
    name: "no-kernel",
    cells: ["1"],
    kernel: { name: "no-such-kernel", language: "typescript" },
    verdicts: ["not reached"],
    says: /no kernelspec "no-such-kernel"; there (is none|are:)/,
    next: /--kernel NAME/,
  },
  {
    name: "late",
    cells: [
      "let isOver = false;\nconst timer = setInterval(() => {\n  if (!isOver) return;\n  clearInterval(timer);\n  throw new TypeError('nobody waits');\n}, 10);",
      "isOver = true;\nawait new Promise((done) => setTimeout(done, 300));",
    ],
    verdicts: ["error", "ok"],
    line: 5,
    says: /after the cell had ended: TypeError: nobody waits/,
    next: /await it in the cell/,
  },
  {
    name: "order",
    cells: [first, "const twice = 2;\nscale * twice;", { source: "const scale = 3;", id: "scale-cell" }],
    verdicts: ["ok", "error", "not reached"],
    line: 2,
    says: /Cannot find name 'scale'/,
    next: /cell 3 \(scale-cell\) defines scale, and comes later/,
  },
  {
    name: "asks",
    cells: [first, "const name = await prompt('who are you?');"],
    verdicts: ["ok", "error"],
    line: 1,
    says: /Error/,
    next: /give the answer as a parameter/,
  },
];

/** Runs the notebook of a fault and says what is wrong with what is said of it: nothing when all is right. `shown` is the message. */
export async function judgeFault(fault: Fault, folder: string): Promise<{ wrong: string[]; shown: string }> {
  const path = join(folder, `${fault.name}.ipynb`);
  const whole = formatNotebook(notebookOf(fault.cells, fault.kernel));
  writeFileSync(path, fault.file?.(whole) ?? whole);
  const { result } = await runNotebook(path, fault.options);
  const shown = failuresOf(result, folder)
    .map((lines) => lines.join("\n"))
    .join("\n");
  const wrong: string[] = [];
  const verdicts = result.cells.map(({ verdict }) => verdict);
  if (verdicts.join() !== fault.verdicts.join())
    wrong.push(`verdicts ${verdicts.join()}, not ${fault.verdicts.join()}`);
  if (result.isPassed) wrong.push("it counts as passed");
  const failed = result.cells.find(({ verdict }) => ["error", "timeout", "dead"].includes(verdict));
  const named = [
    [`${fault.name}.ipynb`, "the notebook"],
    ...(failed === undefined ? [] : [[`, ${labelOf(failed)}: ${failed.verdict} after`, "the cell"]]),
    ...(fault.line === undefined ? [] : [[`line ${fault.line}: `, "the line"]]),
  ];
  for (const [text, what] of named) if (!shown.includes(text!)) wrong.push(`it does not name ${what}: ${text}`);
  if (!fault.says.test(shown)) wrong.push(`it does not say ${fault.says}`);
  const next = /^Next: (.*)$/m.exec(shown)?.[1];
  if (next === undefined) wrong.push("it has no next step");
  else if (!fault.next.test(next)) wrong.push(`its next step is not ${fault.next}`);
  // Nothing of our own code, and nothing that fills the screen.
  if (/kernel\/(run|dist|core|worker)\//.test(shown)) wrong.push("it shows the runner's or kernel's own code");
  if (shown.split("\n").length > 25) wrong.push("it fills the screen");
  return { wrong, shown };
}

/** Judges all of them, some at a time. */
export async function judgeFaults(folder: string, lanes = 3) {
  const queue = [...faults];
  const judged = new Map<string, { wrong: string[]; shown: string }>();
  const work = async () => {
    for (let fault = queue.shift(); fault !== undefined; fault = queue.shift())
      judged.set(fault.name, await judgeFault(fault, folder));
  };
  await Promise.all(Array.from({ length: lanes }, work));
  return judged;
}
