// The floor: tfjs' WASM backend, which runs where TensorFlow cannot be had, with the kernels that training needs and it lacks.
import * as tf from "@tensorflow/tfjs-core";
import { registerWasmKernels } from "./wasm-kernels.ts";

let registered: Promise<unknown> | undefined;

/** Registers the backend "wasm" once. */
export function registerWasm(): Promise<unknown> {
  registered ??= (async () => {
    // tfjs greets Node users with an advertisement for tfjs-node, which this engine replaces.
    tf.env().set("IS_TEST", true);
    await import("@tensorflow/tfjs-backend-wasm");
    registerWasmKernels();
  })();
  return registered;
}
