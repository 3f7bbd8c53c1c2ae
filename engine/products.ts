// Matrix products as XLA's CPU compiler computes them fastest.
import * as tf from "@tensorflow/tfjs-core";
import type { TensorFlowBackend } from "./backend.ts";

/**
 * aᵀ b of a [K, M] and b [K, N], the form of every gradient by a weight, where M > N: inside jit on the CPU it is computed as
 * (bᵀ a)ᵀ. XLA packs a transposed first factor slowly, so it should be the smaller one: 2048x2048x128 takes 0.62 of the time
 * then, 512x2048x128 0.79, 8192x2048x384 0.87. Gives nothing for other products.
 */
export function smallerFirst({ inputs, attrs, backend }: Call, run: tf.KernelFunc): tf.Tensor | undefined {
  const { a, b } = inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
  const { transposeA, transposeB } = attrs as unknown as tf.BatchMatMulAttrs;
  const { native } = backend as TensorFlowBackend;
  if (!native.tracer() || native.isUsingGpuDevice() || !transposeA || transposeB) return undefined;
  if (a.shape.length !== 2 || b.shape.length !== 2 || a.shape[1] <= b.shape[1]) return undefined;
  return tf.tidy(() => {
    const turned = run({
      inputs: { a: b, b: a },
      attrs: { transposeA: true, transposeB: false },
      backend,
    }) as tf.Tensor;
    const [N, M] = turned.shape;
    // In two halves: XLA undoes the exchange where it sees the product turned over as a whole.
    const half = M >> 1;
    const rows = (from: number, count: number) => tf.transpose(tf.slice(turned, [0, from], [N, count]));
    return tf.concat([rows(0, half), rows(half, M - half)], 0);
  });
}

type Call = Parameters<tf.KernelFunc>[0];
