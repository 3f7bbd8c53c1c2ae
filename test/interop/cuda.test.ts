// TensorFlow's CUDA build on a machine without a card: it loads, says so in one line, and runs on the CPU.
// It is 570 MB, so it is fetched only by who asks for it: WHETSTONE_TENSORFLOW=cuda npm run setup in a clone, whose .libtensorflow
// WHETSTONE_CUDA_BUILD then names. A clone that has the CUDA build itself is tested without it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const own = join(import.meta.dirname, "../../.libtensorflow");
const variantOf = (folder: string) => {
  const file = join(folder, "version.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).variant : undefined;
};
const build = process.env.WHETSTONE_CUDA_BUILD ?? (variantOf(own) === "cuda" ? own : undefined);

describe("the CUDA build without a card", () => {
  const name = "runs on the CPU and says so in one line";
  if (build === undefined) {
    it.skip(`${name} (570 MB; WHETSTONE_CUDA_BUILD names its folder)`);
    return;
  }
  it(name, () => {
    const code = `import { tf, devices } from "@whetstone/engine";
      console.log(JSON.stringify([tf.matMul(tf.ones([2, 3]), tf.ones([3, 2])).dataSync()[3], await devices()]))`;
    const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "-e", code], {
      cwd: import.meta.dirname,
      // An empty list of visible cards is a machine without one.
      env: { ...process.env, WHETSTONE_LIBTENSORFLOW: build, CUDA_VISIBLE_DEVICES: "" },
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    const [value, devices] = JSON.parse(stdout);
    assert.equal(value, 3);
    assert.equal(devices.find(({ active }: { active: boolean }) => active).type, "cpu");
    assert.match(stderr, /^engine: the CUDA build of TensorFlow finds no GPU[^\n]*running on the CPU\n$/);
  });
});
