// The device webgpu on a GPU in software, in processes of its own: Dawn finds its driver when it is loaded.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { choose } from "../../engine/devices.ts";
import { table } from "./kernel-table.ts";
import { noSwiftShader, unpackSwiftShader } from "./swiftshader.ts";
import { wrong } from "./webgpu-table.ts";

describe("webgpu", function () {
  this.timeout(180_000);
  let folder: string;
  let env: Record<string, string>;

  before(function () {
    if (noSwiftShader) this.skip();
    folder = mkdtempSync(join(tmpdir(), "whetstone-gpu-"));
    env = unpackSwiftShader(folder);
  });
  after(() => folder && rmSync(folder, { recursive: true, force: true }));

  /** What a part of webgpu-child.ts prints. It ends by itself. */
  async function child(part: string, more: Record<string, string> = {}) {
    const { WHETSTONE_DEVICE: _, ...rest } = process.env;
    const process_ = spawn(process.execPath, [join(import.meta.dirname, "webgpu-child.ts"), part], {
      env: { ...rest, ...env, ...more },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 170_000,
    });
    let [out, err] = ["", ""];
    process_.stdout.on("data", (chunk) => {
      out += chunk;
    });
    process_.stderr.on("data", (chunk) => {
      err += chunk;
    });
    const [code, signal] = await once(process_, "close");
    assert.equal(code, 0, `${part}: exit code ${code}, signal ${signal}: ${err}\n${out.slice(-2000)}`);
    return { ...JSON.parse(out.trim().split("\n").at(-1)!), err };
  }

  it("trains the GPT as the CPU does: losses and gradients within 1e-4", async () => {
    const { cpu, gpu, compiled } = await child("train");
    assert.deepEqual([gpu.backend, compiled], ["webgpu", 0]);
    assert.notEqual(cpu.backend, "webgpu");
    cpu.losses.forEach((wanted: number, i: number) => {
      assert.ok(Math.abs(gpu.losses[i] - wanted) <= 1e-4 * wanted, `step ${i}: ${gpu.losses[i]}, wanted ${wanted}`);
    });
    assert.ok(cpu.losses.at(-1) < 0.95 * cpu.losses[0], "it learns");
    assert.ok(Object.keys(cpu.gradients).length > 20);
    for (const [name, wanted] of Object.entries<number[]>(cpu.gradients)) {
      const largest = Math.max(...wanted.map(Math.abs));
      const off = Math.max(...wanted.map((x, i) => Math.abs(x - gpu.gradients[name][i])));
      assert.ok(largest > 0 && off <= 1e-4 * largest, `${name}: ${off} off, values up to ${largest}`);
    }
    // Donated and scoped tensors are gone: nothing grows.
    assert.deepEqual(gpu.held.at(-1), gpu.held.at(-3));
  });

  it("runs what recipes are made of as the CPU does, draws the same random bits, and explains errors", async () => {
    const { faults, errors, after, again, abandoned, listed } = await child("ops");
    assert.deepEqual(faults, []);
    assert.match(errors["too large"], /^fill: no memory for float32\[100000,100000\] \(40\.0 GB\).*webgpu-child\.ts/);
    assert.match(errors.shapes, /^matMul: .*\[2,3\].*\[2,3\]/);
    assert.match(errors.disposed, /disposed/);
    assert.deepEqual(after, [2, -1, 4, 1.5, 3, 0]);
    assert.match(errors.lost, /^the GPU was lost.*useDevice\("webgpu"\)/);
    assert.equal(errors["lost for good"], errors.lost);
    assert.deepEqual(again, [2, 3]);
    // Two may still be written down in a register or a stack.
    assert.ok(abandoned <= 2 * 2 ** 20, `${abandoned} bytes of tensors that nobody holds`);
    const { name, active } = listed.find(({ type }: { type: string }) => type === "webgpu");
    assert.match(name, /swiftshader/i);
    assert.equal(active, true);
  });

  it("says why there is no adapter and what there is; until then Dawn is not loaded", async () => {
    const none = await child("missing", { VK_DRIVER_FILES: "/nowhere", VK_ICD_FILENAMES: "/nowhere" });
    assert.match(none.message, /^there is no device "webgpu"; there are .*"wasm".* WebGPU: no Vulkan driver was found/);
    assert.deepEqual([none.atStart, none.loaded, none.err], [false, false, ""]);
    assert.ok(!none.types.includes("webgpu"));
  });

  it("is what auto takes where TensorFlow is missing, and says so", () => {
    assert.deepEqual(choose(["cpu", "webgpu", "wasm"], "cpu"), { type: "cpu" });
    const { type, line } = choose(["webgpu", "wasm"], undefined, "no .libtensorflow folder found");
    assert.equal(type, "webgpu");
    assert.match(line!, /WebGPU.*no \.libtensorflow folder found$/);
  });

  describe("kernels on drawn inputs equal tfjs' CPU backend, or TensorFlow in Python where that is wrong", () => {
    let faults: Record<string, string[]>;
    before(async function () {
      if (noSwiftShader) this.skip();
      const found = await child("kernels");
      ({ faults } = found);
      const lacking = Object.keys(table).filter((name) => !found.registered.includes(name));
      assert.deepEqual(lacking, []);
    });
    for (const name of Object.keys(table).filter((name) => !wrong[name]))
      it(name, () => assert.deepEqual(faults[name], []));
  });
});
