// What the bench of an eager add times, here and in its peer.
import * as tf from "@tensorflow/tfjs-core";

const ADDS = 1000;
const BLOCKS = 15;

/** Microseconds of an eager add of two scalars, its result disposed: those of the fastest of a few blocks, which no other process held up. */
export function addTime(one: tf.Scalar): number {
  let fastest = Number.POSITIVE_INFINITY;
  for (let block = 0; block < BLOCKS; block++) {
    const begin = performance.now();
    for (let i = 0; i < ADDS; i++) tf.add(one, one).dispose();
    fastest = Math.min(fastest, performance.now() - begin);
  }
  return (fastest / ADDS) * 1e3;
}
