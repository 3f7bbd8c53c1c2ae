// What the doctor says of NVIDIA's cards: from a recorded nvidia-smi (a program on the PATH that prints it), and without one.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeGpu, parseGpus, readGpus } from "../../setup/nvidia-smi.mjs";

const root = join(import.meta.dirname, "../..");
const rows = `NVIDIA H100 80GB HBM3, 550.54.15, 9.0, 81559, 1204, 3, 34, 71.42, 700.00
Tesla T4, 550.54.15, 7.5, 15360, 3, 0, [N/A], [Not Supported], 70.00`;
const banner = "| NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |";

describe("nvidia-smi", function () {
  this.timeout(60_000);
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(realpathSync(tmpdir()), "whetstone-smi-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Puts a program of this name on a PATH of its own. */
  function provide(script: string): NodeJS.ProcessEnv {
    const file = join(folder, "nvidia-smi");
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
    return { PATH: folder };
  }
  const recorded = (table: string) => `case "$1" in --query-gpu=*) echo '${table}';; *) echo '${banner}';; esac`;

  function doctor(env: NodeJS.ProcessEnv) {
    const args = [join(root, "setup/run.mjs"), "doctor", "GPU"];
    const run = spawnSync(process.execPath, args, { env: { ...process.env, ...env }, encoding: "utf8" });
    return { status: run.status, out: run.stdout };
  }

  it("is read card by card; what a card does not tell is left out", () => {
    const [h100, t4] = parseGpus(rows);
    assert.deepEqual(h100, {
      name: "NVIDIA H100 80GB HBM3",
      driver: "550.54.15",
      compute: "9.0",
      memoryMB: 81559,
      usedMB: 1204,
      busyPercent: 3,
      celsius: 34,
      watts: 71.42,
      wattsLimit: 700,
    });
    assert.deepEqual([t4.celsius, t4.watts, t4.wattsLimit], [undefined, undefined, 70]);
    assert.equal(describeGpu(t4), "Tesla T4, driver 550.54.15, compute 7.5, 0.0 of 15.0 GiB used, 0 % busy");
    assert.throws(() => parseGpus('Field "compute_cap" is not a valid field to query.'), /9 values were asked for/);
  });

  it("stands in the doctor's report, a line for each card", () => {
    const { status, out } = doctor(provide(recorded(rows)));
    assert.equal(status, 0, out);
    assert.match(
      out,
      /✓ GPU +NVIDIA H100 80GB HBM3, driver 550\.54\.15 \(CUDA 12\.4\), compute 9\.0, 1\.2 of 79\.6 GiB used, 3 % busy, 34 °C, 71 of 700 W\n/,
    );
    assert.match(out, /✓ GPU +Tesla T4, /);
  });

  it("tells an old driver and one that does not answer, with the cure", () => {
    const old = doctor(provide(recorded("Tesla K80, 470.57.02, 3.7, 11441, 0, 0, 40, 26.10, 149.00")));
    assert.equal(old.status, 1);
    assert.match(old.out, /✗ GPU +Tesla K80.*\n +cure: CUDA 12 wants NVIDIA's driver 525 or newer/);
    const failing = 'echo "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver."; exit 9';
    const broken = doctor(provide(failing));
    assert.equal(broken.status, 1);
    assert.match(
      broken.out,
      /✗ GPU +nvidia-smi: NVIDIA-SMI has failed because.*\n +cure: nvidia-smi must list the card/,
    );
  });

  it("is not needed: a machine without it is told as such", async () => {
    const found = await readGpus({ PATH: folder });
    assert.deepEqual(found, { absent: true, why: "there is no nvidia-smi on the PATH" });
    const { status, out } = doctor({ PATH: folder });
    assert.equal(status, 0, out);
    assert.match(out, /· GPU +there is no nvidia-smi on the PATH: no NVIDIA driver here, or a container/);
  });

  it("the doctor names its checks when one is asked for that it does not have", () => {
    const run = spawnSync(process.execPath, [join(root, "setup/run.mjs"), "doctor", "gpu"], { encoding: "utf8" });
    assert.equal(run.status, 2);
    assert.match(run.stderr, /there is no check "gpu"; there are Node, .*GPU/);
  });
});
