// The one seam: every linear layer of a model goes through a function of this type. LoRA, masks, fake quantization and
// calibration are functions around it, so no technique has to take a model apart.
import * as tf from "@tensorflow/tfjs-core";

/**
 * y = x wᵀ + b for the layer of that name (`h.0.attn.c_attn`, `lm_head`; its weight is the parameter `${name}.weight`).
 * x [..., in], w [out, in], b [out]; y [..., out].
 */
export type Linear = (name: string, x: tf.Tensor, w: tf.Tensor, b?: tf.Tensor) => tf.Tensor;

/** Something around a linear layer: computes with `next`, before it or after it. */
export type Around = (next: Linear) => Linear;

/** The layer itself. One matrix product on [rows, in]: batched products of a shared matrix are slower on every backend. */
export const linear: Linear = (name, x, w, b) => {
  const [out, into] = w.shape;
  if (w.rank !== 2 || x.shape.at(-1) !== into) {
    throw new Error(
      `${name}: x is [${x.shape}], w is [${w.shape}]; wanted x [..., in] and w [out, in] with the same in.`,
    );
  }
  const rows = x.rank === 2 ? x : tf.reshape(x, [-1, into]);
  const product = tf.matMul(rows, w, false, true); // [rows, out]
  const y = b ? tf.add(product, b) : product;
  return x.rank === 2 ? y : tf.reshape(y, [...x.shape.slice(0, -1), out]);
};

/** `compose(a, b)`: a around b around the plain layer. */
export function compose(...around: Around[]): Linear {
  return around.reduceRight<Linear>((inner, outer) => outer(inner), linear);
}

/** A linear layer that hands its input to `see(name, x)`, x as [rows, in], before it computes: for calibration. */
export function capture(see: (name: string, x: tf.Tensor2D) => void, next: Linear = linear): Linear {
  return (name, x, w, b) => {
    see(name, tf.reshape(x, [-1, x.shape.at(-1)!]));
    return next(name, x, w, b);
  };
}
