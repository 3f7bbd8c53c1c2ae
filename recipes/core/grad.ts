// Gradients by the names of the parameters. tf.variableGrads needs tf.Variables, whose names must be unique in the process:
// a notebook cell that runs twice would fail (tfjs keeps them registered). This one works on plain tensors.
import * as tf from "@tensorflow/tfjs-core";
import { map, type Params } from "./params.ts";

/**
 * Turns `loss(params, ...rest)`, a scalar, into a function that gives the loss and its gradients, by the same names and
 * in the shapes of the parameters; zeros where the loss does not depend on one. Inside the engine's `jit` it compiles.
 */
export function valueAndGrads<A extends unknown[]>(
  loss: (params: Params, ...rest: A) => tf.Tensor,
): (params: Params, ...rest: A) => { value: tf.Scalar; grads: Params } {
  return (params, ...rest) =>
    tf.tidy(() => {
      if (!tf.getGradient("Add"))
        throw new Error(
          "valueAndGrads: tfjs-core alone has no gradients. On Node, import @tensorflow/tfjs-layers once, which brings them; " +
            "with a bundler @tensorflow/tfjs-core/dist/register_all_gradients.",
        );
      const names = Object.keys(params);
      const { value, grads } = tf.engine().gradients(
        () => {
          const value = loss(params, ...rest);
          if (value.rank !== 0)
            throw new Error(`valueAndGrads: the loss is [${value.shape}]; end it with tf.mean(...).`);
          return value as tf.Scalar;
        },
        Object.values(params),
        undefined,
        true,
      );
      const byName = Object.fromEntries(names.map((name, i) => [name, grads[i]]));
      return { value, grads: map(params, (tensor, name) => byName[name] ?? tf.zerosLike(tensor)) };
    });
}
