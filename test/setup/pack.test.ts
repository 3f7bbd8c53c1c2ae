// The package as people get it who have no clone: packed, installed into an empty project, run and type-checked there.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack } from "../../setup/pack.mjs";

const root = join(import.meta.dirname, "../..");
const libraries = join(root, ".libtensorflow");

const script = `
import * as tf from "@tensorflow/tfjs-core";
import { type Device, devices, jit, memory, random, valueAndGrad } from "@whetstone/engine";

type Params = { w: tf.Tensor };
const loss = (p: Params, x: tf.Tensor, y: tf.Tensor): tf.Tensor => tf.mean(tf.square(tf.sub(tf.matMul(x, p.w), y)));
const step = jit(
  (p: Params, x: tf.Tensor, y: tf.Tensor) => {
    const { value, grads } = valueAndGrad(loss)(p, x, y);
    return { value, p: { w: tf.sub(p.w, tf.mul(grads.w, 0.1)) } };
  },
  { donate: [0] },
);
const x = random.normal(random.key(1), [64, 4]);
const y = tf.matMul(x, tf.tensor2d([1, -2, 3, 0.5], [4, 1]));
let p: Params = { w: random.normal(random.key(0), [4, 1]) };
p = (await step.async(p, x, y)).p;
for (let i = 0; i < 200; i++) {
  const { value, p: next } = step(p, x, y);
  value.dispose();
  p = next;
}
const list: Device[] = await devices();
const device = list.find(({ active }) => active)?.type;
console.log(JSON.stringify({ device, w: Array.from(p.w.dataSync(), (v) => +v.toFixed(3)), bytes: memory().bytes > 0 }));
`;

describe("the packed engine in an empty project", function () {
  this.timeout(300_000);
  let project: string;
  before(async () => {
    project = mkdtempSync(join(realpathSync(tmpdir()), "whetstone-pack-"));
    const file = await pack("engine", join(project, "packed"));
    writeFileSync(join(project, "package.json"), JSON.stringify({ name: "empty", private: true, type: "module" }));
    const npm = process.env.npm_execpath?.endsWith(".js") ? [process.execPath, process.env.npm_execpath] : ["npm"];
    const args = [...npm.slice(1), "install", "--prefer-offline", "--no-audit", "--no-fund", file];
    // npm would take the clone's settings from the variables that npm test sets.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_config_/i.test(name)));
    const { status, stderr } = spawnSync(npm[0], args, { cwd: project, encoding: "utf8", env });
    assert.equal(status, 0, stderr);
    writeFileSync(join(project, "train.ts"), script);
    writeFileSync(
      join(project, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { strict: true, module: "nodenext", target: "es2022", types: [], outDir: "out" },
        files: ["train.ts"],
      }),
    );
  });
  after(() => rmSync(project, { recursive: true, force: true }));

  /** Runs the compiled script on a Node of this machine. */
  function train(node: string, env: Record<string, string> = {}) {
    const { WHETSTONE_LIBTENSORFLOW: _, WHETSTONE_DEVICE: __, ...rest } = process.env;
    const run = spawnSync(node, ["out/train.js"], { cwd: project, encoding: "utf8", env: { ...rest, ...env } });
    assert.equal(run.status, 0, run.stderr);
    return { ...JSON.parse(run.stdout), err: run.stderr };
  }

  it("holds JavaScript and declarations, no sources, and asks for no package that it carries", () => {
    const folder = join(project, "node_modules/@whetstone/engine");
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    for (const file of ["index.js", "index.d.ts", "install/cli.mjs", "LICENSE", "README.md"])
      assert.ok(existsSync(join(folder, file)), file);
    assert.ok(!existsSync(join(folder, "index.ts")));
    assert.equal(manifest.exports["."].types, "./index.d.ts");
    assert.ok(!("@tensorflow/tfjs-node-gpu" in manifest.dependencies));
    const vendored = join(folder, "vendor/@tensorflow/tfjs-node-gpu/package.json");
    assert.equal(JSON.parse(readFileSync(vendored, "utf8")).license, "Apache-2.0");
    assert.ok(!existsSync(join(project, "node_modules/@tensorflow/tfjs-node-gpu")));
  });

  it("has types that hold under strict, its declarations included", () => {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const { stdout } = spawnSync(process.execPath, [tsc, "-p", "."], { cwd: project, encoding: "utf8" });
    // Declarations of tfjs 4.22 itself do not hold without skipLibCheck.
    const own = stdout.split("\n").filter((line) => /^(train\.ts|node_modules\/@whetstone\/)/.test(line));
    assert.deepEqual(own, []);
    assert.ok(existsSync(join(project, "out/train.js")));
  });

  it("trains on WASM where there is no TensorFlow, and says in one line how to get it", () => {
    const { device, w, bytes, err } = train("node");
    assert.deepEqual([device, w, bytes], ["wasm", [1, -2, 3, 0.5], true]);
    assert.match(err, /^engine: running on WASM.*npx @whetstone\/engine setup[^\n]*\n$/);
  });

  it("trains on TensorFlow with the libraries of a folder, on the system's Node and on this one", function () {
    if (!existsSync(libraries)) this.skip();
    for (const node of ["node", process.execPath]) {
      const { w, err, device } = train(node, { WHETSTONE_LIBTENSORFLOW: libraries });
      assert.deepEqual([w, err], [[1, -2, 3, 0.5], ""]);
      assert.notEqual(device, "wasm");
    }
  });

  it("its set-up says what it needs where there is no Python, and how it is called", () => {
    const bin = join(project, "node_modules/@whetstone/engine/install/cli.mjs");
    mkdirSync(join(project, "path"));
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [bin, ...args], {
        cwd: project,
        encoding: "utf8",
        env: { PATH: join(project, "path"), WHETSTONE_TENSORFLOW: "cpu" },
      });
    const { status, stderr } = run("setup");
    assert.equal(status, 1);
    assert.match(stderr, /no Python with pip was found|has no library for/);
    assert.ok(!existsSync(join(project, ".libtensorflow")));
    assert.equal(run("install").status, 2);
    assert.match(run("install").stderr, /^npx @whetstone\/engine setup \[folder\]/);
  });
});
