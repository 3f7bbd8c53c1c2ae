// The child of memory.test.ts: takes memory until none is left, lets go, and goes on; and asks for what no machine has.
import { jit, memory, tf } from "@whetstone/engine";

// tfjs-core as a recipe has it, imported after the engine.
const core = await import("@tensorflow/tfjs-core");
const held: tf.Tensor[] = [];
let message = "";
try {
  while (held.length < 1000) held.push(tf.tidy(() => tf.add(tf.fill([1024, 1024, 16], 1), 1)));
} catch (error) {
  message = (error as Error).message;
}
const peak = memory().bytes;
tf.dispose(held);

const outer = jit(function outer(x: tf.Tensor) {
  return tf.add(tf.reshape(x, [-1, 1]), tf.reshape(x, [1, -1]));
});
const inside = jit(function inside(x: tf.Tensor) {
  const square = tf.tanh(tf.add(tf.reshape(x, [-1, 1]), tf.reshape(x, [1, -1])));
  return tf.sum(tf.matMul(square, square));
});
const shape: [number, number] = [1e6, 1e6];
const asked: Record<string, () => unknown> = {
  zeros: () => tf.zeros(shape),
  ones: () => tf.ones(shape),
  fill: () => tf.fill(shape, 1),
  randomNormal: () => tf.randomNormal(shape),
  randomUniform: () => tf.randomUniform(shape),
  truncatedNormal: () => tf.truncatedNormal(shape),
  eye: () => tf.eye(...shape),
  buffer: () => tf.buffer(shape),
  imported: () => core.zeros(shape),
  linspace: () => tf.linspace(0, 1, 1e12),
  tile: () => tf.tile(tf.zeros([3]), [1e12]),
  results: () => outer(tf.zeros([1e5])),
  intermediate: () => inside(tf.zeros([3e4])),
  asynchronous: () => outer.async(tf.zeros([1e5])),
};
const impossible: Record<string, string> = {};
for (const [name, ask] of Object.entries(asked)) {
  try {
    await ask();
  } catch (error) {
    impossible[name] = (error as Error).message;
  }
}
const after = tf.sum(tf.fill([1024, 1024], 2)).dataSync()[0];
console.log(JSON.stringify({ impossible, message, peak, after, limit: memory().limit }));
