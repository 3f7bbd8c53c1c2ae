import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isCode, readNotebook } from "../../kernel/run/notebook.ts";
import type { Report } from "../../kernel/run/report.ts";
import { readJUnit } from "../junit.ts";
import { processesWith, temporaryFolder, until } from "../made.ts";

const root = join(import.meta.dirname, "../..");
const cli = join(root, "kernel/run/cli.ts");

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  out: string;
  err: string;
}

/** Starts `npm run notebooks` as npm does; `mark` is in the environment of all that it starts. */
function start(cwd: string, args: string[], mark = "") {
  const child = spawn(process.execPath, [cli, ...args], {
    cwd,
    env: { ...process.env, WHETSTONE_QUICK: "", WHETSTONE_MARK: mark },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    err += text;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, out, err }));
  });
  return { child, ended };
}

const outputsOf = (path: string) => readNotebook(path).cells.map((cell) => (isCode(cell) ? cell.outputs : []));

describe("npm run notebooks: reports", () => {
  const folder = temporaryFolder();
  const at = (...names: string[]) => join(folder.path, ...names);

  it("says what failed and where, in the terminal and in three reports whose counts agree", async () => {
    folder.make("good", ["# title", "1 + 1", { source: "2", tags: ["skip-execution"] }]);
    folder.make("bad", ["1", { source: "\nthrow new Error('<&\"]]> \u001b[31mred')", id: "sad" }, "3", "4"]);
    folder.make("foreign", ["1"], { name: "no-such-kernel" });
    const before = readFileSync(at("bad.ipynb"), "utf8");
    const run = start(folder.path, [".", "--reports", "out", "--workers", "2", "--write"]);
    const { code, out, err } = await run.ended;
    assert.equal(code, 1, err);

    assert.match(
      out.trimEnd().split("\n").at(-1)!,
      /^2 passed, 2 failed, 4 skipped \(cells of 3 notebooks, full mode, /,
    );
    assert.match(out, /✘ bad\.ipynb, cell 2 \(sad\): error after \d+\.\d s\n +line 2: throw new Error/);
    assert.match(out, /✘ foreign\.ipynb did not run to its end\n +no kernelspec "no-such-kernel"/);
    assert.match(err, /✔ good {2}1 passed, 0 failed, 1 skipped/);
    assert.match(err, /✘ bad {2}1 passed, 1 failed, 2 skipped/);

    const verdicts = readJUnit(readFileSync(at("out/notebooks.xml"), "utf8"));
    assert.deepEqual([verdicts.passed, verdicts.failed.length, verdicts.skipped.length], [2, 2, 4]);
    assert.deepEqual(verdicts.failed.map(({ name }) => name).sort(), ["bad cell 2 (sad)", "foreign start"]);
    assert.match(verdicts.failed.find(({ name }) => name.startsWith("bad"))!.text, /^Error: <&"\]\]> red\nline 2: /);
    assert.deepEqual(verdicts.skipped.map(({ why }) => why).sort(), [
      'it has the tag "skip-execution"',
      "not reached",
      "not reached",
      "not reached",
    ]);
    const report = JSON.parse(readFileSync(at("out/notebooks.json"), "utf8")) as Report;
    assert.deepEqual([report.passed, report.failed, report.skipped, report.mode], [2, 2, 4, "full"]);
    assert.deepEqual(report.notebooks.map(({ name }) => name), ["bad", "foreign", "good"]); // biome-ignore format: one line
    const markdown = readFileSync(at("out/notebooks.md"), "utf8");
    assert.match(markdown, /2 cells passed, 2 failed, 4 skipped/);
    assert.match(markdown, /\| ✘ bad \| 1 \| 1 \| 2 \|/);
    assert.match(markdown, /\| ✔ good \| 1 \| 0 \| 1 \|/);

    // --write: those that passed only.
    assert.equal(readFileSync(at("bad.ipynb"), "utf8"), before);
    assert.equal((outputsOf(at("good.ipynb"))[1]![0] as any).data["text/plain"], "2");
    assert.equal(outputsOf(at("out/executed/bad.ipynb"))[1]![0]!.output_type, "error");
  });

  it("ends well when all is well, in quick mode, with parameters", async () => {
    const path = folder.make("set", [
      { source: "const quick = false;\nconst steps = 5;", tags: ["parameters"] },
      "[quick, steps, process.env.WHETSTONE_QUICK].join(' ')",
    ]);
    const before = readFileSync(path, "utf8");
    const run = start(folder.path, ["set", "--reports", "set", "--quick", "--set", "steps=7"]);
    const { code, out, err } = await run.ended;
    assert.equal(code, 0, out + err);
    assert.match(out, /\n3 passed, 0 failed \(cells of 1 notebooks, quick mode/);
    const outputs = outputsOf(at("set/executed/set.ipynb"));
    assert.equal((outputs.at(-1)![0] as any).data["text/plain"], "'true 7 1'");
    assert.equal(readFileSync(path, "utf8"), before);
  });

  it("refuses a wrong command line before anything runs", async () => {
    const cell = {
      source: "const steps = 5; import('node:fs').then((fs) => fs.writeFileSync('ran', ''))",
      tags: ["parameters"],
    };
    folder.make("first", [cell]);
    folder.make("second", ["1"]);
    mkdirSync(at("other"), { recursive: true });
    const refusals: [string[], RegExp][] = [
      [["first", "--set", "step=1"], /first\.ipynb: the notebook has no parameter "step"; it declares: steps/],
      [["first", "--set", "steps=many"], /"steps" is number; "many" is not/],
      [["first", "second", "--set", "steps=1"], /second\.ipynb: the notebook takes no parameters/],
      [["first", "--set", "steps"], /--set steps: name=value is wanted/],
      [["first", "--set", "steps=1", "--write"], /--write and --set do not go together/],
      [["first", "--workers", "1.5"], /--workers 1\.5: a whole number is wanted/],
      [["first", "--timeout", "soon"], /--timeout soon: a number above 0 is wanted/],
      [["first", "--fast"], /--fast/],
      [["frist"], /there is no notebook frist; looked for frist, frist\.ipynb, .*notebooks/],
      [["other"], /there is no notebook in other/],
    ];
    await Promise.all(
      refusals.map(async ([args, message]) => {
        const { code, err, out } = await start(folder.path, [...args, "--reports", "none"]).ended;
        assert.equal(code, 2, `${args}: ${out}${err}`);
        assert.match(err, message);
        assert.doesNotMatch(err, /\n +at /);
      }),
    );
    assert.deepEqual([existsSync(at("ran")), existsSync(at("none"))], [false, false]);
  }).timeout(240_000); // ten processes at once
});

describe("npm run notebooks: stopped", () => {
  const folder = temporaryFolder();
  const at = (...names: string[]) => join(folder.path, ...names);

  before(function () {
    if (process.platform !== "linux") this.skip();
  });

  // The cell is deaf to everything but an interrupt, and starts a process that would outlive it.
  const cells = (name: string) => [
    "console.log('first')",
    `import { spawn } from "node:child_process"; import { writeFileSync } from "node:fs";
spawn("sleep", ["300"], { stdio: "ignore" });
console.log("second"); writeFileSync("${name}.begun", "");
while (true) {}`,
    "3",
  ];

  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGKILL", null],
  ] as const) {
    it(`${signal} leaves no process and keeps what was shown`, async () => {
      const mark = `${signal}-${process.pid}-${Date.now()}`;
      folder.make(signal, cells(signal));
      folder.make(`${signal}-next`, ["1"]);
      const run = start(folder.path, [signal, `${signal}-next`, "--workers", "1", "--reports", signal], mark);
      await until("the second cell", () => existsSync(at(`${signal}.begun`)));
      const kept = at(signal, "executed", `${signal}.ipynb`);
      // What a killed process cannot do any more has been done while it lived.
      if (signal === "SIGKILL") await until("saved outputs", () => existsSync(kept) && outputsOf(kept)[1]!.length > 0);
      assert.ok(
        processesWith(mark).length > 3,
        "the runner, the kernel, the process of its cells, and what that started",
      );
      run.child.kill(signal);
      const ended = await run.ended;
      assert.deepEqual([ended.code, ended.signal], [code, code === null ? signal : null], ended.out + ended.err);
      await until("the end of all processes", () => processesWith(mark).length === 0, 10).catch((error) => {
        throw new Error(`${error.message}:\n${processesWith(mark).join("\n")}`);
      });
      const [first, second] = outputsOf(kept);
      assert.deepEqual([(first![0] as any).text, (second![0] as any).text], ["first\n", "second\n"]);
      if (code === null) return;
      assert.match(ended.out, new RegExp(`the run was stopped by ${signal}`));
      const { passed, failed, skipped } = readJUnit(readFileSync(at(signal, "notebooks.xml"), "utf8"));
      assert.deepEqual([passed, failed.length, skipped.length], [1, 2, 2]);
    });
  }

  it("a second signal ends it at once, and its kernels too", async () => {
    const mark = `twice-${process.pid}-${Date.now()}`;
    folder.make("twice", cells("twice"));
    const run = start(folder.path, ["twice", "--reports", "twice"], mark);
    await until("the second cell", () => existsSync(at("twice.begun")));
    run.child.kill("SIGTERM");
    run.child.kill("SIGINT");
    const { code } = await run.ended;
    assert.ok(code === 130 || code === 143, `${code}`);
    await until("the end of all processes", () => processesWith(mark).length === 0, 10);
  });
});
