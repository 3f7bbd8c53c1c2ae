// What the bench of an eager add times, here and in its peer.
import * as tf from "@tensorflow/tfjs-core";

const ADDS = 3000;

/** Microseconds of an eager add of two scalars, its result disposed. */
export function addTime(one: tf.Scalar): number {
  const begin = performance.now();
  for (let i = 0; i < ADDS; i++) tf.add(one, one).dispose();
  return ((performance.now() - begin) / ADDS) * 1e3;
}
