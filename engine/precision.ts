// TF32: on NVIDIA's cards since Ampere, float32 products with 10 bits of mantissa, several times as fast.
import { tensorflowBackend } from "./backend.ts";
import { startsWithTF32 } from "./config.ts";

let enabled = startsWithTF32();

/**
 * Whether a GPU may compute float32 products (matMul, conv2d, einsum) in TF32. Off unless env WHETSTONE_TF32=1, so that every device
 * gives the same values; a CPU always computes in float32. Compiled functions are compiled anew for each setting.
 * @param wanted sets it when given
 * @returns the setting now
 */
export function tensorFloat32(wanted?: boolean): boolean {
  if (wanted === undefined) return enabled;
  const lib = tensorflowBackend()?.native.lib;
  if (lib && !lib.setTF32)
    throw new Error(
      "tensorFloat32: this build of TensorFlow has no switch; start with NVIDIA_TF32_OVERRIDE=0 for float32",
    );
  lib?.setTF32?.(wanted);
  enabled = wanted;
  return enabled;
}
