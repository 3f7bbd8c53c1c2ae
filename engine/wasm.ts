// The floor: tfjs' WASM backend, which runs where TensorFlow cannot be had, with the kernels that training needs and it lacks.
import { registerWasmKernels } from "./wasm-kernels.ts";

let registered: Promise<unknown> | undefined;

/** Registers the backend "wasm" once. */
export function registerWasm(): Promise<unknown> {
  registered ??= (async () => {
    await import("@tensorflow/tfjs-backend-wasm");
    registerWasmKernels();
  })();
  return registered;
}
