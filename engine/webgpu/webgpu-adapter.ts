// Whether WebGPU finds a GPU, and which.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";

export interface Adapter {
  /** vendor, architecture and driver, as Dawn tells them */
  name: string;
  /** computes on the CPU: for tests, slower than WASM */
  software: boolean;
  /** largest buffer, so the largest tensor */
  maxBufferBytes: number;
}

/** Milliseconds in which a driver must have told its adapter. */
const PROBE = 20_000;
let probed: Promise<Adapter | { missing: string }> | undefined;

/**
 * The adapter that `webgpu` would use, or why there is none. Looked for once, in a child process of 0.1 s: drivers may crash or
 * print, and Dawn is not loaded where nobody uses it.
 */
export function findAdapter(): Promise<Adapter | { missing: string }> {
  probed ??= probe();
  return probed;
}

async function probe(): Promise<Adapter | { missing: string }> {
  for (const name of ["webgpu", "@tensorflow/tfjs-backend-webgpu"]) {
    try {
      import.meta.resolve(name);
    } catch {
      return { missing: `the package ${name} is not installed (npm install ${name})` };
    }
  }
  const file = fileURLToPath(new URL("./webgpu-probe.ts", import.meta.url));
  const { error, stdout, stderr } = await new Promise<{ error: Error | null; stdout: string; stderr: string }>((done) =>
    execFile(process.execPath, [file], { timeout: PROBE }, (error, stdout, stderr) => done({ error, stdout, stderr })),
  );
  const said = stderr.match(/^Warning: (.*)$/m)?.[1] ?? stderr.trim().split("\n").at(-1);
  if (error) {
    const { signal, killed } = error as Error & { signal?: string; killed?: boolean };
    const how = killed ? `did not answer within ${PROBE / 1000} s` : `ended with ${signal ?? "an error"}`;
    return { missing: `the GPU's driver ${how}${said ? `: ${said}` : ""}` };
  }
  const info = JSON.parse(stdout);
  if (!info) return { missing: whyNone(said) };
  const { vendor, architecture, device, description, maxBufferBytes } = info;
  const name = [`${vendor} ${architecture}`.trim() || device, description].filter(Boolean).join(", ");
  return { name, software: /swiftshader|llvmpipe|lavapipe/i.test(JSON.stringify(info)), maxBufferBytes };
}

function whyNone(said = ""): string {
  if (process.platform !== "linux") return `no GPU was found${said ? ` (${said})` : ""}`;
  if (said.includes("libvulkan"))
    return "Vulkan's loader libvulkan.so.1 is not installed (Debian: apt install libvulkan1)";
  return "no Vulkan driver was found (Debian: apt install mesa-vulkan-drivers; NVIDIA's comes with its driver)";
}
