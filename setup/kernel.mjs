// @ts-check
// Steps: the bundled kernel in kernel/dist, and the kernelspec `whetstone` that JupyterLab finds it by.
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { call } from "./call.mjs";
import { node24, place, root } from "./place.mjs";
import { hashOf, readStamp, writeStamp } from "./stamp.mjs";

const build = join(root, "kernel/build/build.mjs");
const stamp = join(place.kernel, ".whetstone");
const front = join(place.kernel, "front.js");

// The compiler's snapshot holds TypeScript and fits one Node only.
const wanted = () => `${hashOf([join(root, "kernel"), join(root, "package-lock.json")])} ${node24()}`;

export function kernelDone() {
  return readStamp(stamp) === wanted() && existsSync(front);
}

/** @param {(line: string) => void} onLine */
export async function kernelMake(onLine) {
  const key = wanted();
  rmSync(stamp, { force: true });
  await call(needNode(), [build], { onLine });
  if (!existsSync(front)) throw new Error(`kernel/build/build.mjs ended well, but did not write ${front}`);
  writeStamp(stamp, key);
}

const specStamp = join(place.kernelspec, ".whetstone");

// kernel.json holds absolute paths, so a clone that was moved needs a new one.
const wantedSpec = () => `${hashOf([join(root, "kernel/install")])} ${node24()} ${front}`;

export function kernelspecDone() {
  return readStamp(specStamp) === wantedSpec() && existsSync(join(place.kernelspec, "kernel.json"));
}

export async function kernelspecMake() {
  await call(needNode(), [join(root, "kernel/install/kernelspec.ts"), place.kernelspec]);
  writeStamp(specStamp, wantedSpec());
}

function needNode() {
  const node = node24();
  if (!node)
    throw new Error(
      `there is no Node 24 for ${process.platform}-${process.arch} in node_modules, and this is Node ${process.versions.node}: install Node 24 or newer and run npm run setup again`,
    );
  return node;
}
