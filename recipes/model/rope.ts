// Rotary positions (Su 2021): the two halves of a query or key are the coordinates of d/2 points; at position t, point i
// is turned by the angle t θ^(-2i/d). The product of a query at m and a key at n then depends on m - n alone.
//   [x1, x2] -> [x1 cos - x2 sin, x2 cos + x1 sin]          cost: no parameters, 3 d FLOPs a position
import * as tf from "@tensorflow/tfjs-core";

/** How slower turning stretches a model to longer texts: evenly, or as in Llama 3.1 the slow points only. */
export type RopeScaling =
  | { type: "linear"; factor: number }
  | { type: "llama3"; factor: number; low: number; high: number; original: number };

/** Angle per position of each of the d/2 points, in float32 as other implementations have it. */
export function frequencies(d: number, theta = 10_000, scaling?: RopeScaling): Float32Array {
  if (d % 2) throw new Error(`rope: heads are ${d} wide; wanted an even width.`);
  return Float32Array.from({ length: d / 2 }, (_, i) => {
    const plain = Math.fround(1 / theta ** ((2 * i) / d));
    if (!scaling) return plain;
    if (scaling.type === "linear") return plain / scaling.factor;
    // Fast points, of many turns within the original context, stay; slow ones are stretched; between it is blended.
    const turns = (scaling.original * plain) / (2 * Math.PI);
    const fast = Math.min(1, Math.max(0, (turns - scaling.low) / (scaling.high - scaling.low)));
    return ((1 - fast) * plain) / scaling.factor + fast * plain;
  });
}

/** cos and sin of the angles at `positions` [..., T], each [..., T, d/2]: the same for every layer and head. */
export function rotation(positions: tf.Tensor, frequencies: Float32Array): { cos: tf.Tensor; sin: tf.Tensor } {
  const angles = tf.mul(
    tf.expandDims(tf.cast(positions, "float32"), -1),
    tf.tensor2d(frequencies, [1, frequencies.length]),
  );
  return { cos: tf.cos(angles), sin: tf.sin(angles) };
}

/** x [B, H, T, d] turned by the rotation of its T positions. */
export function rotate(x: tf.Tensor, { cos, sin }: { cos: tf.Tensor; sin: tf.Tensor }): tf.Tensor {
  const [a, b] = tf.split(x, 2, -1);
  return tf.concat([tf.sub(tf.mul(a, cos), tf.mul(b, sin)), tf.add(tf.mul(b, cos), tf.mul(a, sin))], -1);
}
