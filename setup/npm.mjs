// @ts-check
// Step: node_modules as package-lock.json says.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { call } from "./call.mjs";
import { place, root } from "./place.mjs";

// npm writes this list of what it installed at the end of its work.
const installed = join(place.modules, ".package-lock.json");

/** @typedef {{ version?: string, optional?: boolean, devOptional?: boolean }} Locked */
/**
 * @param {string} file
 * @returns {Record<string, Locked>}
 */
const packagesOf = (file) => JSON.parse(readFileSync(file, "utf8")).packages;

/** True when every package of the lock file is installed in its version; optional ones (other platforms) may be missing. */
export function npmDone() {
  try {
    const there = packagesOf(installed);
    return Object.entries(packagesOf(join(root, "package-lock.json"))).every(([path, locked]) => {
      if (path === "") return true;
      const found = there[path];
      return found ? found.version === locked.version : Boolean(locked.optional || locked.devOptional);
    });
  } catch {
    return false;
  }
}

/** @param {(line: string) => void} onLine */
export async function npmMake(onLine) {
  // Were we cut off, the old list must not vouch for a half-emptied folder.
  rmSync(installed, { force: true });
  const npm = process.env.npm_execpath;
  const args = ["ci", "--no-audit", "--no-fund", "--loglevel=warn"];
  if (npm?.endsWith(".js")) await call(process.execPath, [npm, ...args], { onLine });
  else await call("npm", args, { onLine });
}
