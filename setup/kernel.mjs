// @ts-check
// Steps: the bundled kernel in kernel/dist, and the kernelspec `whetstone` that JupyterLab finds it by.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

/** What kernel.json must hold on this machine. */
function spec() {
  return {
    argv: [needNode(), front, "{connection_file}"],
    display_name: "TypeScript (Whetstone)",
    language: "typescript",
    interrupt_mode: "message",
    metadata: { debugger: false },
  };
}

const specText = () => `${JSON.stringify(spec(), null, 2)}\n`;

export function kernelspecDone() {
  try {
    return readFileSync(join(place.kernelspec, "kernel.json"), "utf8") === specText();
  } catch {
    return false;
  }
}

export async function kernelspecMake() {
  mkdirSync(place.kernelspec, { recursive: true });
  const logos = join(root, "kernel/install");
  for (const name of existsSync(logos) ? readdirSync(logos) : []) {
    if (name.startsWith("logo-")) cpSync(join(logos, name), join(place.kernelspec, name));
  }
  const file = join(place.kernelspec, "kernel.json");
  rmSync(file, { force: true });
  writeFileSync(file, specText());
}

function needNode() {
  const node = node24();
  if (!node)
    throw new Error(
      `there is no Node 24 for ${process.platform}-${process.arch} in node_modules, and this is Node ${process.versions.node}: install Node 24 or newer and run npm run setup again`,
    );
  return node;
}
