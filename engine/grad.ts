// Gradients of a scalar loss over a pytree of parameters, by tfjs' own autodiff.
import * as tf from "@tensorflow/tfjs-core";
import { flatten } from "./pytree.ts";

/**
 * Turns `loss(params, ...rest)` into a function that gives the loss and its gradients.
 *
 * `params` is a pytree of float32 tensors; `grads` has the same form, each leaf with the shape of its parameter. A
 * parameter that the loss does not use gets zeros. Numbers and strings among the params are passed through.
 * Works eagerly, inside `jit`, and on every device. The intermediates are freed.
 */
export function valueAndGrad<P, A extends unknown[]>(
  loss: (params: P, ...rest: A) => tf.Tensor,
): (params: P, ...rest: A) => { value: tf.Scalar; grads: P } {
  return (params, ...rest) => {
    const flat = flatten(params, "params");
    flat.leaves.forEach((leaf, i) => {
      if (leaf.dtype !== "float32") {
        throw new Error(
          `valueAndGrad: ${flat.paths[i]} is ${leaf.dtype}; gradients need float32. Pass it after the params.`,
        );
      }
    });
    return tf.tidy(() => {
      const { value, grads } = tf.engine().gradients(
        () => {
          const value = loss(params, ...rest);
          if (!(value instanceof tf.Tensor) || value.size !== 1 || value.rank !== 0) {
            const found = value instanceof tf.Tensor ? `a tensor of shape [${value.shape}]` : typeof value;
            throw new Error(
              `valueAndGrad: the loss must be a scalar tensor, but it is ${found}. End it with .mean() or .sum().`,
            );
          }
          return value;
        },
        flat.leaves,
        undefined,
        true,
      );
      return {
        value: value as tf.Scalar,
        grads: flat.rebuild(flat.leaves.map((leaf, i) => grads[i] ?? tf.zerosLike(leaf))),
      };
    });
  };
}
