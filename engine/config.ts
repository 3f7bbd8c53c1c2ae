// How TensorFlow is started: ConfigProto of tensorflow/core/protobuf/config.proto.
import { messageOf, writeBytes, writeNumber } from "./protobuf.ts";

/** How many CPU devices to show: env WHETSTONE_CPU_DEVICES, else one. They share the machine's cores; they are there to try placement. */
export function cpuDevices(): number {
  const named = process.env.WHETSTONE_CPU_DEVICES;
  if (!named) return 1;
  const count = Number(named);
  if (!Number.isInteger(count) || count < 1 || count > 64)
    throw new Error(`WHETSTONE_CPU_DEVICES is "${named}"; it is a number of devices from 1 to 64`);
  return count;
}

/** Whether a GPU's memory is taken as it is needed, so that several processes share a card: unless TF_FORCE_GPU_ALLOW_GROWTH=false. */
export const allowsGrowth = () => process.env.TF_FORCE_GPU_ALLOW_GROWTH !== "false";

/** Whether float32 products may be computed in TF32 from the start: env WHETSTONE_TF32=1. */
export const startsWithTF32 = () => process.env.WHETSTONE_TF32 === "1";

/** ConfigProto { device_count = 1 { "CPU": cpus }, gpu_options = 6 { allow_growth = 4 } } */
export function configProto({ cpus, growth }: { cpus: number; growth: boolean }): Uint8Array {
  const count = writeBytes(1, messageOf(writeBytes(1, "CPU"), writeNumber(2, cpus)));
  const gpuOptions = writeBytes(6, writeNumber(4, growth ? 1 : 0));
  return cpus > 1 ? messageOf(count, gpuOptions) : gpuOptions;
}
