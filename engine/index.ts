// The door of the engine. Importing it picks a device: env WHETSTONE_DEVICE, else the best one there is.
import "./allocation.ts";

// The default import is the CommonJS module itself: what danfojs and others get from require.
import tf from "@tensorflow/tfjs";
import { observeKernels } from "./closure.ts";
import { type DeviceType, useDevice } from "./devices.ts";
import { registerDisplay } from "./display.ts";
import { explainOpErrors } from "./errors.ts";
import { registerGradients } from "./gradients.ts";
import { lightenKernels } from "./light.ts";
import { registerPlacement } from "./placement.ts";
import { observeGradients } from "./scopes.ts";
import { shareTfjs } from "./share.ts";

shareTfjs();
registerDisplay();
registerGradients();
registerPlacement();
lightenKernels();
explainOpErrors();
observeKernels();
observeGradients();
await useDevice((process.env.WHETSTONE_DEVICE as DeviceType | undefined) || "auto");

export { checkpoint } from "./checkpoint.ts";
export type { Cluster, ClusterOptions, Health, Reduction } from "./cluster/cluster.ts";
export { cluster } from "./cluster/cluster.ts";
export type { Device, DeviceType } from "./devices.ts";
export { devices, useDevice } from "./devices.ts";
export * as fused from "./fused.ts";
export { valueAndGrad } from "./grad.ts";
export { fromInt64, toInt64 } from "./integers.ts";
export type { Async, CallOptions, JitOptions, Jitted } from "./jit.ts";
export { jit } from "./jit.ts";
export type { Lowered } from "./lowered.ts";
export { lowered } from "./lowered.ts";
export type { DeviceMemory, Memory } from "./memory.ts";
export { memory, resetPeak } from "./memory.ts";
export { copyTo, deviceOf, withDevice } from "./placement.ts";
export { tensorFloat32 } from "./precision.ts";
export type { FlopRow, Flops } from "./profile/flops.ts";
export { flops } from "./profile/flops.ts";
export type { JitSummary, Profile, ProfileEvent, ProfileOptions, Scope } from "./profile/profile.ts";
export { profile } from "./profile/profile.ts";
export type { Tree } from "./pytree.ts";
export * as random from "./random.ts";
export type { ScanOptions } from "./scan.ts";
export { scan } from "./scan.ts";
export { tf };
