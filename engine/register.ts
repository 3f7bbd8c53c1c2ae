// Kernels of the engine's own, also where an earlier load of the engine has registered one of the name: tfjs keeps the first.
import * as tf from "@tensorflow/tfjs-core";

/** Registers a kernel in place of the one that is there. */
export function registerAnew(kernel: tf.KernelConfig): void {
  if (tf.getKernel(kernel.kernelName, kernel.backendName)) tf.unregisterKernel(kernel.kernelName, kernel.backendName);
  tf.registerKernel(kernel);
}
