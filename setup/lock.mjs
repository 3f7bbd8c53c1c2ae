// @ts-check
// One set-up at a time in a clone: a lock file with the process id of its holder.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Waits for the lock and takes it.
 * @param {string} file
 * @returns {Promise<() => void>} gives it back
 */
export async function takeLock(file) {
  for (let told = false; ; await sleep(500)) {
    try {
      writeFileSync(file, String(process.pid), { flag: "wx" });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
    }
    const holder = holderOf(file);
    if (holder === undefined) {
      // It was killed: its lock is worth nothing.
      rmSync(file, { force: true });
    } else if (!told) {
      console.log(`waiting for the set-up that runs as process ${holder} (if there is none, delete ${file})`);
      told = true;
    }
  }
}

/**
 * The living process that holds the lock.
 * @param {string} file
 */
function holderOf(file) {
  try {
    const pid = Number(readFileSync(file, "utf8"));
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    // EPERM: alive, and another user's.
    return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM" ? "of another user" : undefined;
  }
}
