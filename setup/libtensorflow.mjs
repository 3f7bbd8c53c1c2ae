// @ts-check
// Step: TensorFlow's shared libraries out of its wheel on PyPI. Only the libraries are taken, so any Python's wheel
// serves, whatever Python is here.
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { CallFailed } from "./call.mjs";
import { place } from "./place.mjs";
import { readStamp, writeStamp } from "./stamp.mjs";
import { downloadWheel, unpackWheel } from "./wheel.mjs";

const version = "2.21.0";
const stamp = join(place.libtensorflow, "version.json");

/**
 * The wheel for this machine, or why there is none.
 * @returns {{ name: string, platform: string, variant: "cpu" | "cuda" } | { none: string }}
 */
export function tensorflowFor(platform = process.platform, arch = process.arch, nvidia = hasNvidia()) {
  if (platform === "linux" && arch === "x64") {
    const name = nvidia ? "tensorflow" : "tensorflow-cpu";
    return { name, platform: "manylinux_2_27_x86_64", variant: nvidia ? "cuda" : "cpu" };
  }
  if (platform === "linux" && arch === "arm64") {
    return { name: "tensorflow", platform: "manylinux_2_27_aarch64", variant: "cpu" };
  }
  if (platform === "darwin" && arch === "arm64") {
    return { name: "tensorflow", platform: "macosx_12_0_arm64", variant: "cpu" };
  }
  return { none: `TensorFlow ${version} has no library for ${platform}-${arch}; the engine runs on WASM` };
}

/** An NVIDIA driver answers on this machine (Linux). WHETSTONE_TENSORFLOW=cpu|cuda decides otherwise. */
export function hasNvidia() {
  const choice = process.env.WHETSTONE_TENSORFLOW;
  if (choice && choice !== "cpu" && choice !== "cuda") {
    throw new Error(`WHETSTONE_TENSORFLOW is "${choice}"; it can be "cpu" or "cuda", or left unset`);
  }
  return choice ? choice === "cuda" : existsSync("/proc/driver/nvidia/version") || existsSync("/dev/nvidiactl");
}

const stampOf = (/** @type {string} */ variant) => JSON.stringify({ version, variant });

export function tensorflowDone() {
  const wheel = tensorflowFor();
  return "none" in wheel || readStamp(stamp) === stampOf(wheel.variant);
}

/** @param {(line: string) => void} onLine */
export async function tensorflowMake(onLine) {
  const wanted = tensorflowFor();
  if ("none" in wanted) return;
  const wheel = await downloadTensorFlow(wanted, onLine);
  const half = `${place.libtensorflow}.part`;
  rmSync(half, { recursive: true, force: true });
  await unpackWheel(wheel, half, "tensorflow/", ["libtensorflow_cc.*", "libtensorflow_framework.*"]);
  if (wanted.variant === "cuda") await cudaLibraries(wheel, half, onLine);
  writeStamp(join(half, "version.json"), stampOf(wanted.variant));
  rmSync(place.libtensorflow, { recursive: true, force: true });
  renameSync(half, place.libtensorflow);
  rmSync(dirname(wheel), { recursive: true, force: true });
}

/**
 * @param {{ name: string, platform: string }} wanted
 * @param {(line: string) => void} onLine
 */
async function downloadTensorFlow({ name, platform }, onLine) {
  const pythons = ["3.12", "3.13", "3.11"];
  for (const python of pythons) {
    try {
      const options = ["--python-version", python, "--platform", platform];
      return await downloadWheel("tensorflow", `${name}==${version}`, options, onLine);
    } catch (error) {
      // A mirror may hold the wheels of some Pythons only; any other failure is no better with the next.
      const missing = error instanceof CallFailed && /from versions: (?!none)/.test(error.output);
      if (!missing || python === pythons.at(-1)) throw error;
    }
  }
  throw new Error("unreachable");
}
/**
 * The CUDA libraries that this TensorFlow was built for, from the wheels its extra `and-cuda` names. They lie flat beside
 * TensorFlow's own, whose RUNPATH and theirs hold $ORIGIN. Below cuda_nvcc/ lie ptxas and libdevice, which XLA compiles with.
 * @param {string} wheel
 * @param {string} dest
 * @param {(line: string) => void} onLine
 */
async function cudaLibraries(wheel, dest, onLine) {
  await unpackWheel(wheel, place.work, `tensorflow-${version}.dist-info/`, ["METADATA"]);
  const metadata = readFileSync(join(place.work, "METADATA"), "utf8");
  const platforms = ["manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"];
  for (const requirement of cudaRequirements(metadata)) {
    const options = platforms.flatMap((platform) => ["--platform", platform]);
    const cuda = await downloadWheel("cuda", requirement, options, onLine);
    if (requirement.startsWith("nvidia-cuda-nvcc")) {
      await unpackWheel(cuda, join(dest, "cuda_nvcc"), "nvidia/cuda_nvcc/", ["bin/*", "nvvm/*"]);
    } else {
      await unpackWheel(cuda, dest, "nvidia/", ["*/lib/*.so*"], { flat: true });
    }
  }
  rmSync(join(place.work, "cuda"), { recursive: true, force: true });
  rmSync(join(place.work, "METADATA"));
}

/**
 * Requirements of the extra `and-cuda`, as pip takes them.
 * @param {string} metadata METADATA of TensorFlow's wheel
 */
export function cudaRequirements(metadata) {
  const found = [...metadata.matchAll(/^Requires-Dist: (nvidia-\S+); extra == "and-cuda"/gm)].map(([, name]) => name);
  if (found.length === 0) throw new Error("TensorFlow's wheel names no nvidia-* package in its extra and-cuda");
  return found;
}
