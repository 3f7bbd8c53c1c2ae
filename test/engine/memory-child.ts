// The child of memory.test.ts: takes memory until none is left, lets go, and goes on.
import { memory, tf } from "@whetstone/engine";

const held: tf.Tensor[] = [];
let message = "";
try {
  while (held.length < 1000) held.push(tf.tidy(() => tf.add(tf.fill([1024, 1024, 16], 1), 1)));
} catch (error) {
  message = (error as Error).message;
}
const peak = memory().bytes;
tf.dispose(held);
const after = tf.sum(tf.fill([1024, 1024], 2)).dataSync()[0];
console.log(JSON.stringify({ message, peak, after, limit: memory().limit }));
