// Where tensors lie and ops run, when there is more than one device: several GPUs, or several virtual CPU devices
// (WHETSTONE_CPU_DEVICES=4). TensorFlow copies between devices what an op needs; here is what decides on which it runs.
import * as tf from "@tensorflow/tfjs-core";
import { type TensorFlowBackend, tensorflowBackend } from "./backend.ts";
import { finish } from "./finished.ts";
import { userFrame } from "./frame.ts";
import { flatten } from "./pytree.ts";
import { registerAnew } from "./register.ts";

const KERNEL = "CopyTo";

/** Makes copies part of a tape, so that gradients flow through them. */
export function registerPlacement(): void {
  if (tf.getGradient(KERNEL)) return;
  tf.registerGradient({
    kernelName: KERNEL,
    gradFunc: (dy, _saved, { from }) => ({ x: () => copyTo(dy as tf.Tensor, from as unknown as string) }),
  });
}

/** The kernel of `copyTo` on TensorFlow. */
export function registerCopyTo(): void {
  registerAnew({
    kernelName: KERNEL,
    backendName: "tensorflow",
    kernelFunc: ({ inputs, backend, attrs }) => {
      const { native } = backend as TensorFlowBackend;
      const id = (backend as TensorFlowBackend).idOf(inputs.x!);
      return (backend as TensorFlowBackend).createOutputTensor(native.copyTo(id, String(attrs?.to)));
    },
  });
}

/** The devices of the backend in use, as `CPU:0`. */
function names(): string[] {
  return tensorflowBackend()?.native.deviceNames ?? [tf.getBackend().toUpperCase()];
}

/** `CPU:1` from what a user writes: any case, `cuda:1` for `GPU:1`, a type alone for its first device. */
function resolve(what: string, name: string): string {
  const there = names();
  const wanted = String(name).toUpperCase().replace(/^CUDA/, "GPU");
  const found = there.find((device) => device === wanted || device === `${wanted}:0`);
  if (!found) throw new Error(`${what}: there is no device "${name}"; there are ${there.join(", ")}`);
  return found;
}

function refuseWhileTracing(what: string): void {
  if (!tensorflowBackend()?.native.tracer()) return;
  const advice = "a program runs on one device, that of its first placed argument. Place arguments before the call";
  throw finish(new Error(`jit: cannot call ${what} while tracing${userFrame()}: ${advice}.`));
}

/**
 * Copies tensors to a device, where they are placed: ops on them run there.
 * @param tree a tensor, or tensors in records and arrays
 * @param device `CPU:1`, `GPU:0`
 * @throws Error with the list of devices that are there when it is not
 */
export function copyTo<T>(tree: T, device: string): T {
  const to = resolve("copyTo", device);
  refuseWhileTracing("copyTo");
  const copy = (x: tf.Tensor): tf.Tensor =>
    tensorflowBackend() ? tf.engine().runKernel(KERNEL, { x }, { to, from: deviceOf(x) }) : tf.clone(x);
  const flat = flatten(tree, "copyTo's argument");
  return flat.rebuild(flat.leaves.map(copy));
}

/** The device on which a tensor lies: `CPU:1`, `GPU:0`, `WASM`. One made of JavaScript values goes to where it is first used. */
export function deviceOf(tensor: tf.Tensor): string {
  const backend = tensorflowBackend();
  if (!backend) return names()[0];
  return backend.native.deviceOf(backend.idOf(tensor));
}

/**
 * Runs a synchronous function with its ops on a device: their results, and tensors it makes of JavaScript values, are placed there.
 * What an op takes from another device is copied.
 * @throws Error with the list of devices that are there when it is not
 */
export function withDevice<T>(device: string, f: () => T): T {
  const on = resolve("withDevice", device);
  refuseWhileTracing("withDevice");
  const native = tensorflowBackend()?.native;
  const before = native?.scope();
  native?.setScope(on);
  try {
    const result = f();
    if (result instanceof Promise)
      throw new Error("withDevice: the function is asynchronous, and other code would run on the device meanwhile");
    return result;
  } finally {
    native?.setScope(before);
  }
}
