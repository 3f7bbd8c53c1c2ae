// What a log of figures must say of the machine that made them: the card, the driver, the libraries, the system. No names of hosts,
// users or folders.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import { describeGpu, type Gpu, readGpus } from "../../setup/nvidia-smi.mjs";

const root = join(import.meta.dirname, "../..");

export interface Found {
  devices: { name: string; type: string; memoryBytes?: number; active: boolean }[];
  /** version of TensorFlow; absent when the engine runs without it */
  tensorflow?: string;
  variant?: string;
  /** CUDA's runtime and cuDNN, where the build has them */
  cuda?: string;
  cudnn?: string;
}

// In a process of its own: the engine picks its device when it is imported.
const probe = `
import koffi from "koffi";
import { devices } from "@whetstone/engine";
import { tensorflowBackend } from "./engine/backend.ts";
const lib = tensorflowBackend()?.native.lib;
const ask = (file, signature, ...args) => {
  try { return koffi.load(lib.dir + "/" + file).func(signature)(...args); } catch { return undefined; }
};
const cuda = new Int32Array(1);
ask("libcudart.so.12", "int cudaRuntimeGetVersion(void *version)", cuda);
const cudnn = Number(ask("libcudnn.so.9", "size_t cudnnGetVersion()") ?? 0);
const three = (n, major, minor) => n ? [Math.floor(n / major), Math.floor((n % major) / minor), n % minor].join(".") : undefined;
console.log(JSON.stringify({
  devices: await devices(), tensorflow: lib?.TF_Version(), variant: lib?.variant,
  cuda: cuda[0] ? Math.floor(cuda[0] / 1000) + "." + Math.floor((cuda[0] % 1000) / 10) : undefined, cudnn: three(cudnn, 10000, 100),
}));`;

/** The devices that the engine finds here. @param env of the process that looks */
export function look(env: NodeJS.ProcessEnv = {}): Found {
  const args = ["--input-type=module", "-e", probe];
  const run = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8", env: { ...process.env, ...env } });
  const line = run.stdout.trim().split("\n").at(-1);
  if (run.status !== 0 || !line) throw new Error(`the engine does not start: ${run.stderr.trim() || run.signal}`);
  return JSON.parse(line);
}

/** Where a GPU was looked for, and what was found there: one line each. */
export async function lookedFor(found: Found): Promise<string[]> {
  const gpus = await readGpus();
  const driver = ["/proc/driver/nvidia/version", "/dev/nvidiactl"].filter((path) => existsSync(path));
  const hidden = process.env.CUDA_VISIBLE_DEVICES;
  return [
    `nvidia-smi: ${Array.isArray(gpus) ? gpus.map(describeGpu).join("; ") : gpus.why}`,
    `driver: ${driver.length ? `${driver.join(", ")} ${driver.length > 1 ? "are" : "is"} there` : "neither /proc/driver/nvidia/version nor /dev/nvidiactl is there"}`,
    `TensorFlow: ${found.tensorflow ? `${found.tensorflow}, ${found.variant} build` : "not there; the engine runs on WASM"}`,
    ...(hidden === undefined ? [] : [`CUDA_VISIBLE_DEVICES is "${hidden}"`]),
    `devices that the engine finds: ${found.devices.map(({ name }) => name).join(", ")}`,
  ];
}

/** Rows of the table that heads the log. */
export async function machineRows(found: Found, device: string): Promise<[string, string][]> {
  const gpus = await readGpus();
  const cards: Gpu[] = device === "cuda" && Array.isArray(gpus) ? gpus : [];
  const cores = cpus();
  return [
    ...cards.map((gpu): [string, string] => ["card", describeGpu(gpu)]),
    [
      "device",
      found.devices
        .filter(({ type }) => type === device)
        .map(({ name }) => name)
        .join(", "),
    ],
    ["TensorFlow", found.tensorflow ? `${found.tensorflow}, ${found.variant} build` : "none"],
    ...(found.cuda
      ? [["CUDA", `${found.cuda}${found.cudnn ? `, cuDNN ${found.cudnn}` : ""}`] as [string, string]]
      : []),
    ["system", `${systemName()}, ${platform()} ${release()} ${arch()}`],
    [
      "processor",
      `${cores[0]?.model.trim() ?? "unknown"}, ${cores.length} threads, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    ],
    ["Node", process.version],
    ["Whetstone", commit()],
  ];
}

function systemName(): string {
  try {
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? platform();
  } catch {
    return platform();
  }
}

function commit(): string {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const git = (...args: string[]) => spawnSync("git", args, { cwd: root, encoding: "utf8" });
  const { status, stdout } = git("rev-parse", "--short", "HEAD");
  if (status !== 0) return version;
  const changed = git("status", "--porcelain", "--untracked-files=no").stdout.trim() !== "";
  return `${version}, commit ${stdout.trim()}${changed ? " with changes" : ""}`;
}
