// Kernels that tfjs-backend-wasm 4.22 lacks and that training a transformer needs (tensorflow/tfjs#8082). Plain loops on the
// WASM heap: they are not what takes the time.
import * as tf from "@tensorflow/tfjs-core";

type WasmBackend = {
  makeOutput(shape: readonly number[], dtype: tf.DataType): tf.TensorInfo;
  typedArrayFromHeap(tensor: tf.TensorInfo): Float32Array | Int32Array | Uint8Array;
};

export function registerWasmKernels(): void {
  // Gradient of gather: rows of x are added into the segment that segmentIds names. x [n, ...rest], segmentIds [n].
  register("UnsortedSegmentSum", (backend, { x, segmentIds }, { numSegments }) => {
    const out = backend.makeOutput([numSegments, ...x.shape.slice(1)], x.dtype);
    const from = backend.typedArrayFromHeap(x);
    const ids = backend.typedArrayFromHeap(segmentIds);
    const to = backend.typedArrayFromHeap(out).fill(0);
    const width = x.shape.slice(1).reduce((a, b) => a * b, 1);
    for (let row = 0; row < ids.length; row++) {
      if (ids[row] < 0) continue; // as TensorFlow: negative ids are dropped
      if (ids[row] >= numSegments)
        throw new Error(`UnsortedSegmentSum: segment id ${ids[row]} is not in [0, ${numSegments})`);
      for (let i = 0; i < width; i++) to[ids[row] * width + i] += from[row * width + i];
    }
    return out;
  });

  // Largest subtracted first, so that large logits do not overflow.
  register("LogSoftmax", (backend, { logits }) => {
    const out = backend.makeOutput(logits.shape, "float32");
    const from = backend.typedArrayFromHeap(logits);
    const to = backend.typedArrayFromHeap(out);
    const width = logits.shape[logits.shape.length - 1];
    for (let row = 0; row < from.length; row += width) {
      let max = Number.NEGATIVE_INFINITY;
      for (let i = 0; i < width; i++) max = Math.max(max, from[row + i]);
      let sum = 0;
      for (let i = 0; i < width; i++) sum += Math.exp(from[row + i] - max);
      const lse = max + Math.log(sum);
      for (let i = 0; i < width; i++) to[row + i] = from[row + i] - lse;
    }
    return out;
  });

  register("LogicalXor", (backend, { a, b }) => {
    const shape = tf.backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
    const x = (tf.broadcastTo(a as tf.Tensor, shape as any) as tf.Tensor).dataSync();
    const y = (tf.broadcastTo(b as tf.Tensor, shape as any) as tf.Tensor).dataSync();
    const out = backend.makeOutput(shape, "bool");
    const to = backend.typedArrayFromHeap(out);
    for (let i = 0; i < to.length; i++) to[i] = x[i] !== y[i] ? 1 : 0;
    return out;
  });
}

function register(
  kernelName: string,
  run: (backend: WasmBackend, inputs: Record<string, tf.TensorInfo>, attrs: any) => tf.TensorInfo,
): void {
  if (tf.getKernel(kernelName, "wasm")) return;
  tf.registerKernel({
    kernelName,
    backendName: "wasm",
    kernelFunc: ({ inputs, backend, attrs }) =>
      run(backend as WasmBackend, inputs as Record<string, tf.TensorInfo>, attrs),
  });
}
