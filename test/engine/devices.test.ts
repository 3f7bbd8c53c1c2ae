// The choice of a device, and what is said when it is less than what was hoped for.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as core from "@tensorflow/tfjs-core";
import { copyTo, deviceOf, devices, memory, tensorFloat32, tf, useDevice, withDevice } from "@whetstone/engine";
import koffi from "koffi";
import { tensorflowBackend } from "../../engine/backend.ts";
import { allowsGrowth, configProto, cpuDevices } from "../../engine/config.ts";
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
    // WebGPU does not tell a card's memory.
    for (const { name, type, memoryBytes } of list) assert.ok(type === "webgpu" || memoryBytes! > 2 ** 20, name);
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

describe("several devices", function () {
  this.timeout(90_000);
  let found: any;
  before(() => {
    const run = spawnSync(process.execPath, [`${import.meta.dirname}/devices-child.ts`], {
      env: { ...process.env, WHETSTONE_CPU_DEVICES: "4", WHETSTONE_DEVICE: "cpu", CUDA_VISIBLE_DEVICES: "" },
      encoding: "utf8",
    });
    assert.equal(run.status, 0, `${run.signal} ${run.stderr}`);
    found = JSON.parse(run.stdout);
  });

  const cpu = (i: number) => [`CPU:${i}`, `CPU:${i}`];

  it("are listed by name", () => {
    const names = found.list.filter(([, type]: string[]) => type === "cpu").map(([name]: string[]) => name);
    assert.deepEqual(names, ["CPU:0", "CPU:1", "CPU:2", "CPU:3"]);
  });

  it("take copies, alone and in trees, and TensorFlow says that they lie there", () => {
    const { x, y, tree, label, values } = found.copies;
    assert.deepEqual([x, y, tree], [cpu(0), cpu(1), [cpu(2), cpu(2)]]);
    assert.deepEqual([label, values], ["a", [1, 2, 3]]);
  });

  it("run the ops on what was placed there, with copies of what lies elsewhere", () => {
    assert.deepEqual(found.ops, { placed: cpu(1), mixed: cpu(1), plain: cpu(0), sum: [2, 4, 6] });
  });

  it("hold what withDevice makes; the innermost counts", () => {
    assert.deepEqual(found.inside, { made: cpu(2), sum: cpu(2), nested: cpu(3) });
  });

  it("keep a variable and its optimizer", () => {
    assert.deepEqual(found.variable.at, cpu(3));
    for (const [i, v] of found.variable.values.entries()) assert.ok(Math.abs(v - (i + 0.9)) < 1e-4, String(v));
  });

  it("run compiled programs where their arguments are, with the same values and random bits everywhere", () => {
    const [first, ...others] = found.runs;
    assert.deepEqual(first.at, Array(4).fill(cpu(0)));
    assert.deepEqual(others[0].at, Array(4).fill(cpu(1)));
    assert.deepEqual(others[1].at, Array(4).fill(cpu(3)));
    for (const other of others) assert.deepEqual(other.found, first.found);
    assert.equal(found.programs, 3);
    assert.deepEqual(found.asynchronous, cpu(3));
    assert.deepEqual(found.scan, { at: cpu(1), values: [[10], [0, 0, 2, 9, 24]] });
  });

  it("let gradients flow back through copies", () => {
    assert.deepEqual(found.grad, { at: cpu(0), values: [2, 16, 54] });
  });

  it("count their memory", () => {
    const { grown, left, peak, process, names, limits } = found.memory;
    assert.deepEqual([grown, left, peak, process, limits], [256 * 256 * 4, 0, true, true, true]);
    assert.equal(names.length, 4);
  });

  it("one of them can be the one in use; what is placed elsewhere stays there", () => {
    assert.deepEqual(found.useDevice, { active: ["CPU:2"], onDefault: cpu(2), elsewhere: cpu(1) });
  });

  it("that are not there are refused with the list of those that are, and so is what cannot be", () => {
    const { refusals } = found;
    assert.match(refusals.copyTo, /copyTo: there is no device "CPU:9"; there are CPU:0, CPU:1, CPU:2, CPU:3/);
    assert.match(refusals.withDevice, /withDevice: there is no device "GPU:0"; there are CPU:0/);
    assert.match(refusals.useDevice, /no device "GPU:1"; there are "cpu" \(CPU:0, CPU:1, CPU:2, CPU:3\), "wasm"/);
    assert.match(refusals.inJit, /^jit: cannot call copyTo while tracing at .*devices-child\.ts:\d+.*one device/);
    assert.match(refusals.asynchronous, /withDevice: the function is asynchronous/);
    assert.deepEqual(refusals.scopeLeft, cpu(2));
  });

  it("a number of them that is none is named", () => {
    const { out, err } = fresh(`import { tf } from "@whetstone/engine"; console.log(tf.getBackend())`, {
      WHETSTONE_CPU_DEVICES: "many",
    });
    assert.equal(out, "wasm");
    assert.match(err, /WHETSTONE_CPU_DEVICES is "many"; it is a number of devices from 1 to 64/);
  });
});

describe("one device", () => {
  it("takes the same calls", async () => {
    await useDevice("cpu");
    const x = copyTo(tf.tensor([1, 2]), "CPU:0");
    assert.equal(deviceOf(x), "CPU:0");
    assert.deepEqual(Array.from(withDevice("cpu", () => tf.add(x, 1)).dataSync()), [2, 3]);
    assert.equal(memory().devices![0].bytes, memory().bytes);
    await useDevice("wasm");
    assert.equal(deviceOf(copyTo(tf.tensor([1]), "wasm")), "WASM");
    assert.equal(
      withDevice("WASM", () => tf.add(1, 1).dataSync()[0]),
      2,
    );
    assert.throws(() => copyTo(tf.tensor([1]), "CPU:0"), /no device "CPU:0"; there are WASM/);
    assert.ok(memory().processBytes > 50e6);
    await useDevice("auto");
  });
});

describe("TensorFlow's configuration", () => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

  // SerializeToString of ConfigProto(device_count={"CPU": 4}, gpu_options=GPUOptions(allow_growth=True)) in Python, and so on.
  it("is encoded as protobuf does it", () => {
    assert.equal(hex(configProto({ cpus: 4, growth: true })), "0a070a03435055100432022001");
    assert.equal(hex(configProto({ cpus: 1, growth: true })), "32022001");
  });

  it("lets a GPU's memory grow on demand unless it is told not to, and shows one CPU", () => {
    const { TF_FORCE_GPU_ALLOW_GROWTH: before } = process.env;
    assert.equal(allowsGrowth(), true);
    process.env.TF_FORCE_GPU_ALLOW_GROWTH = "false";
    assert.equal(allowsGrowth(), false);
    if (before === undefined) delete process.env.TF_FORCE_GPU_ALLOW_GROWTH;
    else process.env.TF_FORCE_GPU_ALLOW_GROWTH = before;
    assert.equal(cpuDevices(), Number(process.env.WHETSTONE_CPU_DEVICES || 1));
  });

  it("has TF32 off, so that products are float32 on every card, until it is switched on", async () => {
    await useDevice("auto");
    const { lib } = tensorflowBackend()!.native;
    const isOn = koffi
      .load(`${lib.dir}/libtensorflow_framework.so.2`)
      .func("bool _ZN3tsl33tensor_float_32_execution_enabledEv()");
    assert.deepEqual([tensorFloat32(), isOn()], [false, false]);
    assert.deepEqual([tensorFloat32(true), isOn()], [true, true]);
    assert.deepEqual([tensorFloat32(false), isOn()], [false, false]);
  });
});
