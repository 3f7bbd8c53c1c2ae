// What tensors hold.
import * as tf from "@tensorflow/tfjs-core";
import { tensorflowBackend } from "./backend.ts";
import { memoryLimit } from "./libtensorflow.ts";

/** What tensors hold on one device. */
export interface DeviceMemory {
  /** `CPU:0`, `GPU:0` */
  name: string;
  /** bytes of the tensors that ops on it made and that are alive */
  bytes: number;
  /** most of them at once, since the start or the last `resetPeak` */
  peakBytes: number;
  /** bytes that the device may hold: a GPU's memory as TensorFlow takes it; for a CPU `limit` */
  memoryBytes: number;
}

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
  /** bytes of memory that the process holds: tensors on the CPU, and all else */
  processBytes: number;
  /** the same by device (TensorFlow devices) */
  devices?: DeviceMemory[];
}

/** Memory of the tensors of the active device. */
export function memory(): Memory {
  const { numTensors, numBytes } = tf.memory();
  const processBytes = process.memoryUsage.rss();
  const binding = tensorflowBackend()?.native;
  if (!binding) return { numTensors, bytes: numBytes, processBytes };
  const native = binding.memory();
  const limit = memoryLimit();
  return {
    numTensors,
    bytes: native.liveBytes,
    peakBytes: native.peakBytes,
    numHandles: native.numHandles,
    limit,
    processBytes,
    devices: native.byDevice.map(({ name, liveBytes, peakBytes, memoryBytes }) => ({
      name,
      bytes: liveBytes,
      peakBytes,
      // TensorFlow reports a fixed 256 MB for the CPU.
      memoryBytes: name.startsWith("CPU") ? limit : memoryBytes,
    })),
  };
}

/** Lets `peakBytes` begin anew: to measure what one call needs. */
export function resetPeak(): void {
  tensorflowBackend()?.native.resetPeak();
}
