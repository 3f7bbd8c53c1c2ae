import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { processesWith, temporaryFolder, until } from "./made.ts";

const root = join(import.meta.dirname, "..");

describe("npm test", () => {
  const folder = temporaryFolder();
  let serial = 0;

  function start(args: string[], mark = "") {
    const reports = join(folder.path, `reports-${++serial}`);
    const child = spawn(process.execPath, ["test/run.ts", "--reports", reports, ...args], {
      cwd: root,
      env: { ...process.env, WHETSTONE_MARK: mark },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
      });
    }
    const ended = new Promise<{ code: number | null; output: string; last: string }>((resolve) => {
      child.on("close", (code) => resolve({ code, output, last: output.trimEnd().split("\n").at(-1)! }));
    });
    return { child, ended };
  }

  const write = (name: string, code: string) => {
    const path = join(folder.path, name);
    writeFileSync(path, code);
    return path;
  };
  const good = () =>
    write(
      "good.test.ts",
      `describe("good", () => { it("one", () => {}); it("two", () => {}); it.skip("three", () => {}); });`,
    );

  it("passes when all pass, and counts every test of every part", async () => {
    const { code, output, last } = await start([good(), folder.make("fine", ["1", "2"])]).ended;
    assert.equal(code, 0, output);
    assert.equal(last, "4 passed, 0 failed, 1 skipped");
    assert.match(output, /skipped: mocha .*: good three/);
  });

  it("fails when one notebook fails, or one test, and says which", async () => {
    const bad = write("bad.test.ts", `it("sums", () => { throw new Error("3 is not 4"); });`);
    const notebook = folder.make("wrong", ["1", "throw new Error('the cell is wrong')", "3"]);
    const { code, output, last } = await start([good(), bad, folder.make("fine", ["1"]), notebook]).ended;
    assert.equal(code, 1, output);
    assert.equal(last, "4 passed, 2 failed, 2 skipped");
    assert.match(output, /✗ mocha .*: sums\nError: 3 is not 4/);
    assert.match(output, /✗ notebooks: wrong cell 2 \(c2\)\nError: the cell is wrong/);
    const one = await start([folder.make("fine", ["1"]), notebook]).ended;
    assert.deepEqual([one.code, one.last], [1, "2 passed, 1 failed, 1 skipped"]);
  });

  it("fails when a part dies, hangs, does not load or leaves a process", async () => {
    const dying = write("a-dying.test.ts", `it("one", () => {}); it("two", () => process.exit(0));`);
    const died = await start([dying]).ended;
    assert.deepEqual([died.code, died.last], [1, "1 passed, 1 failed"]);
    assert.match(died.output, /it died before its last test \(exit code 0\)/);

    const hanging = write("hanging.test.ts", `it("one", () => {}); it("two", () => { for (;;); });`);
    const hung = await start([hanging, "--limit", "5"]).ended;
    assert.deepEqual([hung.code, hung.last], [1, "1 passed, 1 failed"]);
    assert.match(hung.output, /it died before its last test \(it was ended after 5 s\)/);

    const broken = await start([write("broken.test.ts", `import "./nowhere.ts";`)]).ended;
    assert.deepEqual([broken.code, broken.last], [1, "0 passed, 1 failed"]);
    assert.match(broken.output, /nowhere\.ts/);

    if (process.platform !== "linux") return;
    const code = `require("node:child_process").spawn("sleep", ["302"], { detached: true, stdio: "ignore" }).unref();`;
    const left = await start([write("left.test.ts", `it("one", () => { ${code} });`)]).ended;
    assert.deepEqual([left.code, left.last], [1, "1 passed, 1 failed"]);
    assert.match(left.output, /processes left behind\nsleep 302/);
  });

  it("ends all it has started when it is stopped", async function () {
    if (process.platform !== "linux") this.skip();
    const mark = `stop-${process.pid}-${Date.now()}`;
    const path = write(
      "long.test.ts",
      `it("one", (done) => { require("node:fs").writeFileSync(__filename + ".begun", ""); });`,
    );
    const run = start([path], mark);
    await until("the test", () => {
      try {
        return readFileSync(`${path}.begun`, "utf8") === "";
      } catch {
        return false;
      }
    });
    assert.ok(processesWith(mark).length > 1);
    run.child.kill("SIGTERM");
    assert.equal((await run.ended).code, 143);
    await until("the end of all processes", () => processesWith(mark).length === 0, 10);
  });

  it("refuses a wrong command line", async () => {
    for (const [args, message] of [
      [["--only", "mocha,unit"], /--only unit: there are types, lint, mocha, pytest, notebooks/],
      [["--limit", "soon"], /--limit soon: a number of seconds above 0 is wanted/],
      [["no.test.ts"], /no\.test\.ts does not exist/],
      [["README.md"], /README\.md is no test/],
      [["--only", "types", "test/run.test.ts"], /no part of the tests is left to run/],
    ] as const) {
      const { code, output } = await start([...args]).ended;
      assert.equal(code, 2, output);
      assert.match(output, message);
    }
  });
});
