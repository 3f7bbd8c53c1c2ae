// @ts-check
// Files out of wheels that are not for this Python: pip downloads, Python's zipfile unpacks.
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { call } from "./call.mjs";
import { place, root } from "./place.mjs";
import { pip } from "./python.mjs";

/**
 * Downloads one wheel with pip (its index, proxy and cache settings hold) into a folder that is emptied first.
 * @param {string} folder name below .setup/
 * @param {string} requirement `name==version`
 * @param {string[]} options which wheel, when it need not fit this Python
 * @param {(line: string) => void} onLine
 * @returns {Promise<string>} path of the wheel
 */
export async function downloadWheel(folder, requirement, options, onLine) {
  const to = join(place.work, folder);
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  await pip(
    ["download", requirement, "--no-deps", "--only-binary=:all:", "--progress-bar=off", "-d", to, ...options],
    onLine,
  );
  const wheel = readdirSync(to).find((name) => name.endsWith(".whl"));
  if (!wheel) throw new Error(`pip downloaded ${requirement}, but left no wheel in ${to}`);
  return join(to, wheel);
}

/**
 * Unpacks the files below `prefix` whose path after it fits one of the shell patterns; `flat` drops their folders.
 * @param {string} wheel @param {string} dest @param {string} prefix @param {string[]} [patterns]
 */
export async function unpackWheel(wheel, dest, prefix, patterns = [], { flat = false } = {}) {
  const script = join(root, "setup/unpack_wheel.py");
  await call(place.python, [script, ...(flat ? ["--flat"] : []), wheel, dest, prefix, ...patterns]);
}
