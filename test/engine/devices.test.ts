// The choice of a device, and what is said when it is less than what was hoped for.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as core from "@tensorflow/tfjs-core";
import { devices, tf, useDevice } from "@whetstone/engine";
import { choose } from "../../engine/devices.ts";

/** Runs code in a fresh process with these variables. */
function fresh(code: string, env: Record<string, string>) {
  const run = spawnSync(process.execPath, ["--input-type=module", "-e", code], {
    cwd: import.meta.dirname,
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.equal(run.status, 0, `exit status ${run.status}, signal ${run.signal}: ${run.stderr}`);
  return { out: run.stdout.trim(), err: run.stderr.trim() };
}

describe("devices", function () {
  this.timeout(60_000);
  after(() => useDevice("auto"));

  it("shares tfjs-core with whoever imports it", () => {
    assert.equal(core.engine(), tf.engine());
    assert.equal(core.getBackend(), tf.getBackend());
  });

  it("lists devices with their memory; one is active", async () => {
    const list = await devices();
    assert.equal(list.filter((device) => device.active).length, 1);
    assert.ok(list.some((device) => device.type === "wasm"));
    for (const device of list) assert.ok(device.memoryBytes! > 2 ** 20, device.name);
  });

  it("moves tensors along when the device changes", async () => {
    const x = tf.tensor([1, 2, 3]);
    const y = tf.add(x, 1);
    await useDevice("wasm");
    assert.deepEqual(Array.from(tf.add(y, 1).dataSync()), [3, 4, 5]);
    assert.equal((await devices()).find((device) => device.active)!.type, "wasm");
    await useDevice("auto");
    assert.deepEqual(Array.from(tf.add(y, 2).dataSync()), [4, 5, 6]);
  });

  it("refuses a device that is not there with the list of those that are", async () => {
    await assert.rejects(useDevice("tpu" as any), /no device "tpu"; there are .*"wasm"/);
  });

  it("takes the CPU when the CUDA build finds no GPU, and says so in one line", () => {
    const { type, line } = choose(["cpu", "wasm"], "cuda");
    assert.equal(type, "cpu");
    assert.match(line!, /CUDA build .* no GPU/);
    assert.ok(!line!.includes("\n"));
    assert.deepEqual(choose(["cuda", "cpu", "wasm"], "cuda"), { type: "cuda" });
    assert.deepEqual(choose(["cpu", "wasm"], "cpu"), { type: "cpu" });
  });

  it("starts quietly on TensorFlow", () => {
    const { out, err } = fresh(`import { tf } from "@whetstone/engine"; console.log(tf.add(1, 1).dataSync()[0])`, {});
    assert.deepEqual([out, err], ["2", ""]);
  });

  it("starts on WASM when asked, and when TensorFlow cannot be loaded it says why and how to mend it", () => {
    const code = `import { tf } from "@whetstone/engine"; console.log(tf.getBackend())`;
    assert.deepEqual(fresh(code, { WHETSTONE_DEVICE: "wasm" }), { out: "wasm", err: "" });
    const { out, err } = fresh(code, { WHETSTONE_LIBTENSORFLOW: "/nowhere" });
    assert.equal(out, "wasm");
    assert.match(err, /^engine: running on WASM.*WHETSTONE_LIBTENSORFLOW is \/nowhere/);
    assert.equal(err.split("\n").length, 1);
  });
});
