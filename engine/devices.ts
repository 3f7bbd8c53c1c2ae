// Which devices there are, and the choice of one.
import { freemem, totalmem } from "node:os";
import * as tf from "@tensorflow/tfjs-core";
import { registerTensorFlow } from "./backend.ts";
import type { Binding } from "./binding.ts";
import { findLibTensorFlow, listNativeDevices, loadLibTensorFlow, type NativeDevice } from "./libtensorflow.ts";

export type DeviceType = "cuda" | "cpu" | "wasm" | "webgpu";

export interface Device {
  /** as TensorFlow names it (`CPU:0`, `GPU:0`), `WASM`, or the name of WebGPU's adapter */
  name: string;
  type: DeviceType;
  /** bytes of memory it may use, where that is known */
  memoryBytes?: number;
  active: boolean;
}

interface Native {
  binding: Binding;
  devices: NativeDevice[];
}

let native: Native | undefined;
/** why TensorFlow could not be loaded */
let nativeFailure: string | undefined;
/** name of the device in use */
let active: string | undefined;

async function openNative(): Promise<Native | undefined> {
  if (native || nativeFailure) return native;
  try {
    const dir = findLibTensorFlow();
    if (!dir) {
      const setup = import.meta.dirname.includes("node_modules") ? "npx @whetstone/engine setup" : "npm run setup";
      nativeFailure = `no .libtensorflow folder found (${setup} brings it)`;
      return undefined;
    }
    const lib = loadLibTensorFlow(dir);
    native = { binding: await registerTensorFlow(lib), devices: listNativeDevices(lib) };
  } catch (error) {
    nativeFailure = (error as Error).message;
  }
  return native;
}

/** The devices of this machine; `active` marks the one in use. */
export async function devices(): Promise<Device[]> {
  return [...(await builtIn()), ...(await throughWebGpu())];
}

/** The adapter of WebGPU, or why there is none. It takes 0.1 s to know, once. */
const adapterOfWebGpu = async () => (await import("./webgpu/webgpu-adapter.ts")).findAdapter();

async function throughWebGpu({ software = true } = {}): Promise<Device[]> {
  const adapter = await adapterOfWebGpu();
  if ("missing" in adapter || (adapter.software && !software)) return [];
  const { name } = adapter;
  // WebGPU does not tell how much memory a card has.
  return [{ name, type: "webgpu", memoryBytes: adapter.software ? totalmem() : undefined, active: active === name }];
}

async function builtIn(): Promise<Device[]> {
  const found: Device[] = [];
  for (const { name, type, memoryBytes } of (await openNative())?.devices ?? []) {
    const short = name.replace(/^.*device:/, "");
    if (type === "GPU") found.push({ name: short, type: "cuda", memoryBytes, active: active === short });
    // TensorFlow reports a fixed 256 MB for the CPU; the machine's memory is the truth.
    if (type === "CPU") found.push({ name: short, type: "cpu", memoryBytes: totalmem(), active: active === short });
  }
  found.push({ name: "WASM", type: "wasm", memoryBytes: Math.min(freemem(), 2 ** 32), active: active === "WASM" });
  return found;
}

/** The first device of a type, or the one of a name: `cpu`, `CPU:1`, `gpu:0` and `cuda:0` alike. */
function find(there: Device[], name: string): Device | undefined {
  const wanted = name.toUpperCase().replace(/^CUDA:/, "GPU:");
  return there.find((device) => device.type === name || device.name === wanted);
}

/** `"cpu" (CPU:0, CPU:1), "wasm"` */
function listOf(there: Device[]): string {
  const namesOf = (type: DeviceType) => there.filter((device) => device.type === type).map(({ name }) => name);
  return [...new Set(there.map(({ type }) => type))]
    .map((type) => `"${type}"${namesOf(type).length > 1 ? ` (${namesOf(type).join(", ")})` : ""}`)
    .join(", ");
}

/**
 * What `auto` takes of the devices that are there, and the line to print when it is less than what was installed.
 * A CUDA build without a GPU (no driver, no card) goes on on the CPU; without TensorFlow there is a GPU through WebGPU, else WASM.
 */
export function choose(
  types: DeviceType[],
  variant?: "cpu" | "cuda",
  failure?: string,
): { type: DeviceType; line?: string } {
  if (types.includes("cuda")) return { type: "cuda" };
  if (types.includes("cpu")) {
    if (variant !== "cuda") return { type: "cpu" };
    return {
      type: "cpu",
      line: "engine: the CUDA build of TensorFlow finds no GPU (see nvidia-smi); running on the CPU",
    };
  }
  if (types.includes("webgpu")) {
    const reason = failure ?? "TensorFlow is missing";
    return { type: "webgpu", line: `engine: running on a GPU through WebGPU, jit does not compile there: ${reason}` };
  }
  return {
    type: "wasm",
    line: `engine: running on WASM, 10 to 100 times slower than TensorFlow: ${failure ?? "TensorFlow is missing"}`,
  };
}

/**
 * Makes a device the one on which tensors are made and ops run.
 * @param name `auto` takes CUDA, else the CPU; without TensorFlow a GPU through WebGPU, else WASM. A type takes its first device;
 *   `CPU:1`, `GPU:1` that one
 * @returns the type of the device now in use
 * @throws Error with the list of devices that are there when `name` is not
 */
export async function useDevice(name: "auto" | DeviceType | `${"CPU" | "GPU"}:${number}`): Promise<DeviceType> {
  const there = await builtIn();
  const onTensorFlow = there.some(({ type }) => type === "cuda" || type === "cpu");
  // Asked for only where it is wanted; what computes on the CPU anyway is never better than WASM.
  if (name === "auto" ? !onTensorFlow : !find(there, name))
    there.push(...(await throughWebGpu({ software: name !== "auto" })));
  const types = there.map((device) => device.type);
  let wanted: string = name;
  if (name === "auto") {
    const choice = choose(types, native?.binding.lib.variant, nativeFailure);
    if (choice.line) console.warn(choice.line);
    wanted = choice.type;
  }
  const device = find(there, wanted);
  if (!device) {
    const adapter = name === "webgpu" ? await adapterOfWebGpu() : undefined;
    const failure = adapter
      ? "missing" in adapter && `WebGPU: ${adapter.missing}`
      : nativeFailure && `TensorFlow is not loaded: ${nativeFailure}`;
    const reason = failure ? ` ${failure}.` : "";
    throw new Error(`there is no device "${name}"; there are ${listOf(there)}.${reason}`);
  }
  const { type } = device;
  if (type === "wasm") {
    const { registerWasm } = await import("./wasm.ts");
    await registerWasm();
    await tf.setBackend("wasm");
  } else if (type === "webgpu") {
    const { registerWebGpu } = await import("./webgpu/webgpu.ts");
    await registerWebGpu();
    await tf.setBackend("webgpu");
  } else {
    // What TensorFlow would choose needs no hint: the first GPU, or where there is none the first CPU.
    native!.binding.setDevice(device.name === (types.includes("cuda") ? "GPU:0" : "CPU:0") ? "" : device.name);
    await tf.setBackend("tensorflow");
  }
  await tf.ready();
  active = device.name;
  // For programs that say on what they measured, such as the notebooks' claims, and do not import the engine for it.
  (globalThis as Record<symbol, unknown>)[Symbol.for("whetstone.device")] = type;
  return type;
}
