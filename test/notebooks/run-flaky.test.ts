import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { temporaryFolder } from "../made.ts";

const root = join(import.meta.dirname, "../..");
const runs = 20;

describe("runner: the notebooks, again and again", () => {
  const folder = temporaryFolder();
  const slow = process.env.WHETSTONE_SLOW ? it : it.skip;

  slow(`${runs} quick runs of each show the same (slow)`, async function () {
    this.timeout(0); // the limit of the part ends it
    const args = [join(root, "kernel/run/cli.ts"), "--quick", "--repeat", String(runs), "--reports", folder.path];
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
    const code = await new Promise((resolve) => child.on("close", resolve));
    assert.equal(code, 0, said);
  });
});
