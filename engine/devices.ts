// Which devices there are, and the choice of one.
import { freemem, totalmem } from "node:os";
import * as tf from "@tensorflow/tfjs-core";
import { registerTensorFlow } from "./backend.ts";
import type { Binding } from "./binding.ts";
import { findLibTensorFlow, listNativeDevices, loadLibTensorFlow, type NativeDevice } from "./libtensorflow.ts";

export type DeviceType = "cuda" | "cpu" | "wasm";

export interface Device {
  /** as TensorFlow names it (`CPU:0`, `GPU:0`), or `WASM` */
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
  const types = Map.groupBy(there, ({ type }) => type);
  return [...types]
    .map(([type, list]) => `"${type}"${list.length > 1 ? ` (${list.map((device) => device.name).join(", ")})` : ""}`)
    .join(", ");
}

/**
 * What `auto` takes of the devices that are there, and the line to print when it is less than what was installed.
 * A CUDA build without a GPU (no driver, no card) goes on on the CPU; without TensorFlow there is WASM.
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
  return {
    type: "wasm",
    line: `engine: running on WASM, 10 to 100 times slower than TensorFlow: ${failure ?? "TensorFlow is missing"}`,
  };
}

/**
 * Makes a device the one on which tensors are made and ops run.
 * @param name `auto` takes CUDA, else the CPU, else WASM; a type its first device; `CPU:1`, `GPU:1` that one
 * @returns the type of the device now in use
 * @throws Error with the list of devices that are there when `name` is not
 */
export async function useDevice(name: "auto" | DeviceType | `${"CPU" | "GPU"}:${number}`): Promise<DeviceType> {
  const there = await devices();
  const types = there.map((device) => device.type);
  let wanted: string = name;
  if (name === "auto") {
    const choice = choose(types, native?.binding.lib.variant, nativeFailure);
    if (choice.line) console.warn(choice.line);
    wanted = choice.type;
  }
  const device = find(there, wanted);
  if (!device) {
    const reason = nativeFailure ? ` TensorFlow is not loaded: ${nativeFailure}.` : "";
    throw new Error(`there is no device "${name}"; there are ${listOf(there)}.${reason}`);
  }
  const { type } = device;
  if (type === "wasm") {
    const { registerWasm } = await import("./wasm.ts");
    await registerWasm();
    await tf.setBackend("wasm");
  } else {
    // What TensorFlow would choose needs no hint: the first GPU, or where there is none the first CPU.
    native!.binding.setDevice(device.name === (types.includes("cuda") ? "GPU:0" : "CPU:0") ? "" : device.name);
    await tf.setBackend("tensorflow");
  }
  await tf.ready();
  active = device.name;
  return type;
}
