// The parameters of a model: a plain record of tensors, by the names of the Hugging Face file.
import * as tf from "@tensorflow/tfjs-core";

/** Tensors by name, as in `h.0.attn.c_attn.weight`. Weights of linear layers are [out, in]. */
export type Params = Record<string, tf.Tensor>;

/** A record with the same names, each tensor replaced by `f(tensor, name)`. */
export function map(params: Params, f: (tensor: tf.Tensor, name: string) => tf.Tensor): Params {
  return Object.fromEntries(Object.entries(params).map(([name, tensor]) => [name, f(tensor, name)]));
}

/** How many numbers the parameters are. */
export function count(params: Params): number {
  return Object.values(params).reduce((sum, { size }) => sum + size, 0);
}

/** Bytes in memory: float32 and int32 take four, bool one. */
export function bytes(params: Params): number {
  return Object.values(params).reduce((sum, { size, dtype }) => sum + size * tf.util.bytesPerElement(dtype), 0);
}

/** A copy whose tensors live on their own: for a jitted step that frees the parameters it is given. */
export function clone(params: Params): Params {
  return map(params, (tensor) => tf.clone(tensor));
}

/** Frees every tensor of the record. */
export function dispose(params: Params): void {
  tf.dispose(params);
}

/** The tensor of that name. Throws with the names that come closest when there is none. */
export function get(params: Params, name: string): tf.Tensor {
  const tensor = params[name];
  if (tensor) return tensor;
  const last = name.split(".").at(-1)!;
  const near = Object.keys(params).filter((other) => other.endsWith(last));
  const some = (near.length ? near : Object.keys(params)).slice(0, 4).join(", ");
  throw new Error(`No parameter "${name}" among ${Object.keys(params).length}; there are ${some || "none"}, ...`);
}
