// The door of the engine. Importing it picks a device: env WHETSTONE_DEVICE, else the best one there is.
import * as tf from "@tensorflow/tfjs";
import { type DeviceType, useDevice } from "./devices.ts";
import { registerDisplay } from "./display.ts";
import { explainOpErrors } from "./errors.ts";
import { registerGradients } from "./gradients.ts";

registerDisplay();
registerGradients();
explainOpErrors();
await useDevice((process.env.WHETSTONE_DEVICE as DeviceType | undefined) || "auto");

export type { Device, DeviceType } from "./devices.ts";
export { devices, useDevice } from "./devices.ts";
export { valueAndGrad } from "./grad.ts";
export type { JitOptions, Jitted } from "./jit.ts";
export { jit } from "./jit.ts";
export type { Memory } from "./memory.ts";
export { memory } from "./memory.ts";
export type { Tree } from "./pytree.ts";
export * as random from "./random.ts";
export { tf };
