import assert from "node:assert/strict";
import { isAlive, until } from "./made.ts";
import { runPart } from "./part.ts";

const node = (code: string, seconds = 30) =>
  runPart(process.execPath, ["-e", code], { cwd: import.meta.dirname, seconds, env: { WHETSTONE_X: "given" } });

describe("a part of the tests", () => {
  it("tells how it ended and what it said", async () => {
    const good = await node("console.log(process.env.WHETSTONE_X, process.cwd()); console.error('err')");
    assert.deepEqual([good.code, good.signal, good.late, good.left], [0, null, false, []]);
    assert.match(good.output, /^given .*test\n/);
    assert.match(good.output, /err\n/);
    const bad = await node("process.exit(3)");
    assert.deepEqual([bad.code, bad.signal], [3, null]);
    const killed = await node("process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1000)");
    assert.deepEqual([killed.code, killed.signal], [null, "SIGKILL"]);
    const none = await runPart("/no/such/program", [], { cwd: import.meta.dirname, seconds: 5 });
    assert.equal(none.code, 1);
    assert.match(none.output, /no\/such\/program/);
  });

  it("is ended when it takes too long, also when it does not want to", async () => {
    const late = await node("setInterval(() => {}, 1000)", 0.5);
    assert.deepEqual([late.late, late.signal], [true, "SIGTERM"]);
    const deaf = await node("process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)", 4);
    assert.deepEqual([deaf.late, deaf.signal], [true, "SIGKILL"]);
  });

  it("leaves no process: those in other groups are found, ended and named", async function () {
    if (process.platform !== "linux") this.skip();
    const code = `const child = require("node:child_process").spawn("sleep", ["301"], { detached: true, stdio: "ignore" });
console.log(child.pid); child.unref()`;
    const { code: exit, output, left } = await node(code);
    assert.equal(exit, 0);
    assert.deepEqual(left, ["sleep 301"]);
    await until("its end", () => !isAlive(Number(output)));
  });
});
