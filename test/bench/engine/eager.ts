// What an eager op costs, and how fast the largest of them is.
import { tf } from "@whetstone/engine";
import { median } from "../peers.ts";
import type { Row } from "../run.ts";

const ROUNDS = 5;

export function* rows(): Generator<Row> {
  const one = tf.scalar(1);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const begin = performance.now();
    for (let i = 0; i < 2000; i++) tf.add(one, one).dispose();
    return ((performance.now() - begin) / 2000) * 1e3;
  });
  yield { id: "eager-add", value: median(rounds), unit: "us" };
  const n = 1024;
  const a = tf.randomNormal([n, n], 0, 1, "float32", 1);
  const speeds = Array.from({ length: ROUNDS }, () => {
    const begin = performance.now();
    const c = tf.matMul(a, a);
    c.dataSync();
    c.dispose();
    return (2 * n ** 3) / (performance.now() - begin) / 1e6;
  });
  yield { id: "matmul-1024", value: median(speeds), unit: "GFLOP/s" };
}
