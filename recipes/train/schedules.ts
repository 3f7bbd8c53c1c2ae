// Step sizes over time, as functions of the step counter tensor: they work inside a compiled step.
//   optim.update(grads, state, params, rate(state.t))
import * as tf from "@tensorflow/tfjs-core";

/** The step size after `t` steps (a scalar tensor). */
export type Schedule = (t: tf.Tensor) => tf.Tensor;

export interface WarmupCosineOptions {
  peak: number;
  /** steps of the linear rise to the peak: Adam's second moments need them */
  warmup: number;
  /** all steps; at the last one the step size is `end` */
  steps: number;
  end?: number;
}

/** A linear rise to `peak`, then half a cosine down to `end` (Loshchilov 2017). */
export function warmupCosine({ peak, warmup, steps, end = peak / 10 }: WarmupCosineOptions): Schedule {
  if (!(warmup >= 0 && warmup < steps))
    throw new Error(`warmupCosine: warmup is ${warmup} of ${steps} steps; wanted fewer.`);
  return (t) => {
    const up = tf.mul(tf.div(tf.add(t, 1), warmup + 1), peak);
    const way = tf.minimum(tf.div(tf.sub(t, warmup), steps - warmup), 1); // 0 at the peak, 1 at the end
    const down = tf.add(tf.mul(tf.add(tf.cos(tf.mul(way, Math.PI)), 1), (peak - end) / 2), end);
    return tf.where(tf.less(t, warmup), up, down);
  };
}
