// @ts-check
// TensorFlow's shared libraries out of its wheel on PyPI. Only the libraries are taken, so any Python's wheel serves, whatever
// Python is here.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { downloadWheel, unpackWheel } from "./wheel.mjs";

/** @typedef {import("./wheel.mjs").Python} Python */
/** @typedef {{ name: string, platform: string, variant: "cpu" | "cuda" }} Wanted */

const version = "2.21.0";

/**
 * The wheel for this machine, or why there is none.
 * @returns {Wanted | { none: string }}
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

/**
 * The libraries that this machine wants lie whole in a folder: its version.json is written last.
 * @param {string} folder
 * @param {Wanted} wanted
 */
export function hasTensorFlow(folder, { variant }) {
  const stamp = join(folder, "version.json");
  return existsSync(stamp) && readFileSync(stamp, "utf8") === stampOf(variant);
}

/**
 * Puts the libraries into a folder. It may be cut off at any time: the folder is only replaced by a whole one.
 * @param {Wanted} wanted
 * @param {string} folder
 * @param {object} with_
 * @param {Python} with_.python
 * @param {string} with_.work where half-done downloads lie
 * @param {(line: string) => void} [with_.onLine]
 */
export async function fetchTensorFlow(wanted, folder, { python, work, onLine }) {
  const wheel = await downloadTensorFlow(wanted, { python, work, onLine });
  const half = `${folder}.part`;
  rmSync(half, { recursive: true, force: true });
  await unpackWheel(python, wheel, half, "tensorflow/", ["libtensorflow_cc.*", "libtensorflow_framework.*"]);
  if (wanted.variant === "cuda") await cudaLibraries(wheel, half, { python, work, onLine });
  writeFileSync(join(half, "version.json"), stampOf(wanted.variant));
  rmSync(folder, { recursive: true, force: true });
  renameSync(half, folder);
  rmSync(dirname(wheel), { recursive: true, force: true });
}

/**
 * @param {Wanted} wanted
 * @param {{ python: Python, work: string, onLine?: (line: string) => void }} with_
 */
async function downloadTensorFlow({ name, platform }, { python, work, onLine }) {
  const versions = ["3.12", "3.13", "3.11"];
  for (const pythonVersion of versions) {
    try {
      const options = ["--python-version", pythonVersion, "--platform", platform];
      return await downloadWheel(python, join(work, "tensorflow"), `${name}==${version}`, options, onLine);
    } catch (error) {
      // A mirror may hold the wheels of some Pythons only; any other failure is no better with the next.
      const missing = /from versions: (?!none)/.test(/** @type {{ output?: string }} */ (error).output ?? "");
      if (!missing || pythonVersion === versions.at(-1)) throw error;
    }
  }
  throw new Error("unreachable");
}

/**
 * The CUDA libraries that this TensorFlow was built for, from the wheels its extra `and-cuda` names. They lie flat beside
 * TensorFlow's own, whose RUNPATH and theirs hold $ORIGIN. Below cuda_nvcc/ lie ptxas and libdevice, which XLA compiles with.
 * @param {string} wheel
 * @param {string} dest
 * @param {{ python: Python, work: string, onLine?: (line: string) => void }} with_
 */
async function cudaLibraries(wheel, dest, { python, work, onLine }) {
  await unpackWheel(python, wheel, work, `tensorflow-${version}.dist-info/`, ["METADATA"]);
  const metadata = readFileSync(join(work, "METADATA"), "utf8");
  const platforms = ["manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"];
  const folder = join(work, "cuda");
  for (const requirement of cudaRequirements(metadata)) {
    const options = platforms.flatMap((platform) => ["--platform", platform]);
    const cuda = await downloadWheel(python, folder, requirement, options, onLine);
    if (requirement.startsWith("nvidia-cuda-nvcc")) {
      await unpackWheel(python, cuda, join(dest, "cuda_nvcc"), "nvidia/cuda_nvcc/", ["bin/*", "nvvm/*"]);
    } else {
      await unpackWheel(python, cuda, dest, "nvidia/", ["*/lib/*.so*"], { flat: true });
    }
  }
  rmSync(folder, { recursive: true, force: true });
  rmSync(join(work, "METADATA"));
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
