// `npm run verify:gpu` without a card, and its whole machinery on the CPU, with few tests, figures and notebooks.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { logOf, withoutMachine } from "../verify/log.ts";
import { look } from "../verify/machine.ts";

const root = join(import.meta.dirname, "../..");

describe("verify:gpu", function () {
  this.timeout(180_000);
  let folder: string;
  beforeEach(() => {
    // Within the clone, so that a notebook finds the engine.
    mkdirSync(join(root, "reports"), { recursive: true });
    folder = mkdtempSync(join(root, "reports/verify-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function verify(args: string[], env: NodeJS.ProcessEnv = {}) {
    const out = join(folder, "log.md");
    const command = [join(root, "test/verify-gpu.ts"), "--out", out, ...args];
    const run = spawnSync(process.execPath, command, { cwd: root, encoding: "utf8", env: { ...process.env, ...env } });
    return { ...run, log: () => readFileSync(out, "utf8") };
  }

  it("without a card says what was looked for and how to mend it, and exits with 3", () => {
    const { status, stderr } = verify([], { CUDA_VISIBLE_DEVICES: "", PATH: folder });
    assert.equal(status, 3, stderr);
    assert.match(stderr, /^there is no GPU that the engine can use\. Looked for:\n/);
    for (const line of [
      / {2}nvidia-smi: there is no nvidia-smi/,
      / {2}driver: /,
      / {2}TensorFlow: /,
      / {2}CUDA_VISIBLE_DEVICES is ""/,
    ])
      assert.match(stderr, line);
    assert.match(stderr, /devices that the engine finds: .*WASM\nTo mend it: /);
  });

  it("runs tests, bench and notebooks, and writes a log that tells the machine but does not name it", function () {
    if (!look({ WHETSTONE_DEVICE: "" }).devices.some(({ type }) => type === "cpu")) this.skip();
    const notebook = join(folder, "device.ipynb");
    const source = `import { tf } from "@whetstone/engine";\nif (tf.getBackend() !== "tensorflow") throw new Error(tf.getBackend());`;
    const cell = { cell_type: "code", id: "a", metadata: {}, outputs: [], execution_count: null, source };
    const kernelspec = { name: "whetstone", display_name: "TypeScript (Whetstone)", language: "typescript" };
    writeFileSync(
      notebook,
      JSON.stringify({ cells: [cell], metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 }),
    );
    const few = ["--tests", "test/engine/display.test.ts", "--bench", "engine/device", "--notebooks", notebook];
    const { status, stdout, stderr, log } = verify(["--device", "cpu", ...few]);
    assert.equal(status, 0, stdout + stderr);
    const text = log();
    assert.match(text, /^# Whetstone on the device cpu\n\n\d{4}-\d\d-\d\d: \*\*\d+ passed, 0 failed\*\*/);
    for (const row of ["device", "TensorFlow", "system", "processor", "Node", "Whetstone"])
      assert.match(text, new RegExp(`\\n\\| ${row} \\| [^|]+ \\|\\n`), row);
    assert.match(text, /\| device \| CPU:0 \|\n\| TensorFlow \| 2\.\d+\.\d+, (cpu|cuda) build \|/);
    assert.match(text, /## Numerics\n\n[1-9]\d* passed, 0 failed/);
    assert.match(text, /\| matmul-float32 \| [\d.e+]+ \| GFLOP\/s \| 1024 x 1024 on CPU:0; 7 rounds, /);
    assert.match(text, /## Notebooks, quick mode\n\n[1-9]\d* passed, 0 failed/);
    assert.ok(!text.includes(root) && !text.includes(folder) && !text.includes(homedir()), text);
  });

  it("shows what failed, without paths of the machine, and exits with 1", () => {
    const test = join(folder, "wrong.test.ts");
    writeFileSync(
      test,
      `it("adds", () => { throw new Error("3 is not 2: ${root}/engine/x.ts"); });\nit("holds", () => {});\n`,
    );
    const { status, stdout, log } = verify(["--device", "cpu", "--only", "numerics", "--tests", test]);
    assert.equal(status, 1, stdout);
    assert.match(stdout, /✗ numerics: 1 passed, 1 failed\n {2}✗ adds: Error: 3 is not 2/);
    assert.match(log(), /### failed: adds\n\n```\nError: 3 is not 2: engine\/x\.ts\n/);
    assert.ok(!log().includes(root) && !log().includes(folder), log());
  });

  it("refuses parts, devices and files that it does not have", () => {
    for (const args of [["--only", "speed"], ["--device", "tpu"], ["--tests", "test/none.test.ts"], ["--fast"]]) {
      const { status, stderr } = verify(args);
      assert.equal(status, 2, stderr);
      assert.match(stderr, new RegExp(args.at(-1)!.replace("--", "")));
    }
  });

  it("writes tables that their cells cannot break", () => {
    const rows = [{ id: "a", value: 1234.5, unit: "GB/s", note: "one | two\nthree" }];
    const section = { title: "Bench", passed: 1, failed: [], skipped: ["x (no peer)"], seconds: 2.4, rows };
    const text = logOf("Title", "2026-01-02", [["card", "A | B"]], [section]);
    assert.match(text, /\| card \| A \\\| B \|/);
    assert.match(text, /\n1 passed, 0 failed, 1 skipped, 2 s\n/);
    assert.match(text, /\| a \| 1235 \| GB\/s \| one \\\| two three \|\n\nSkipped: x \(no peer\)\n$/);
    assert.equal(withoutMachine(`at f (file://${root}/engine/a.ts:1) ${root}`, root), "at f (engine/a.ts:1) .");
  });
});
