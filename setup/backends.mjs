// @ts-check
// Measures each device of the engine with a product of two 1024 x 1024 float matrices; run by the doctor on Node 24.
// Prints JSON: [{ name, type, gflops, memoryBytes }].
import { devices, tf, useDevice } from "@whetstone/engine";

const n = 1024;
const rounds = 5;
/** @type {{ name: string, type: string, memoryBytes?: number, gflops: number }[]} */
const measured = [];
for (const { name, type, memoryBytes } of await devices()) {
  if (measured.some((device) => device.type === type)) continue;
  // A GPU in software would take minutes.
  if (type === "webgpu" && (await softwareGpu())) continue;
  await useDevice(type);
  const a = tf.ones([n, n]);
  const seconds = [];
  for (let round = 0; round <= rounds; round++) {
    const begin = performance.now();
    const product = tf.matMul(a, a);
    // Reading one value back waits for the product, on a GPU too.
    const [first] = await product.slice([0, 0], [1, 1]).data();
    // The first round also loads and compiles.
    if (round > 0) seconds.push((performance.now() - begin) / 1000);
    if (first !== n) throw new Error(`${name}: a product of ones gives ${first}, not ${n}`);
    product.dispose();
  }
  seconds.sort((x, y) => x - y);
  measured.push({ name, type, memoryBytes, gflops: (2 * n ** 3) / seconds[rounds >> 1] / 1e9 });
}

async function softwareGpu() {
  const { findAdapter } = await import("../engine/webgpu/webgpu-adapter.ts");
  const adapter = await findAdapter();
  return "software" in adapter && adapter.software;
}
console.log(JSON.stringify(measured));
process.exit();
