// What tensors hold.
import * as tf from "@tensorflow/tfjs-core";
import { tensorflowBackend } from "./backend.ts";
import { memoryLimit } from "./libtensorflow.ts";

export interface Memory {
  /** tensors that are alive */
  numTensors: number;
  /** bytes of their data; views share it */
  bytes: number;
  /** most bytes of native tensors alive at once, since the start or the last `resetPeak` (TensorFlow devices) */
  peakBytes?: number;
  /** native tensor handles (TensorFlow devices) */
  numHandles?: number;
  /** most bytes that the process may hold: WHETSTONE_MEMORY_LIMIT, else 90 % of the machine's memory (TensorFlow devices) */
  limit?: number;
}

/** Memory of the tensors of the active device. */
export function memory(): Memory {
  const { numTensors, numBytes } = tf.memory();
  const native = tensorflowBackend()?.native.memory();
  if (!native) return { numTensors, bytes: numBytes };
  return {
    numTensors,
    bytes: native.liveBytes,
    peakBytes: native.peakBytes,
    numHandles: native.numHandles,
    limit: memoryLimit(),
  };
}

/** Lets `peakBytes` begin anew: to measure what one call needs. */
export function resetPeak(): void {
  tensorflowBackend()?.native.resetPeak();
}
