// @ts-check
// Runs the steps that are not done: each as soon as those it builds on are, all others side by side.
import { existsSync, mkdirSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CallFailed } from "./call.mjs";
import { takeLock } from "./lock.mjs";
import { place, root } from "./place.mjs";
import { startProgress } from "./progress.mjs";
import { steps } from "./steps.mjs";
import { explain, Trouble } from "./trouble.mjs";

/**
 * Sets up what is missing. Failed steps are explained on stderr; what does not build on them is made all the same.
 * @returns {Promise<Set<string>>} names of the steps that are not done
 */
export async function setUp() {
  if (steps.every((step) => step.done())) return new Set();
  mkdirSync(place.work, { recursive: true });
  const unlock = await takeLock(join(place.work, "lock"));
  const progress = startProgress();
  /** @type {Map<string, Promise<boolean>>} */
  const results = new Map();
  /** @type {string[]} */
  const paragraphs = [];
  const run = async (/** @type {import("./steps.mjs").Step} */ step) => {
    const before = await Promise.all(step.after.map((name) => results.get(name) ?? true));
    // Asked only now: another set-up may have done it while this one waited.
    if (step.done()) return true;
    if (before.includes(false)) return false;
    const row = progress.step(step.title);
    try {
      needDisk(step);
      await step.make((line) => row.note(line));
      if (!step.done()) throw new Error(`${step.title}: made, but ${step.path} is not as it should be`);
      row.finish("done");
      return true;
    } catch (error) {
      row.finish("failed");
      const log = join(place.work, `${step.name}.log`);
      const output = error instanceof CallFailed ? error.output : "";
      try {
        writeFileSync(log, `${/** @type {Error} */ (error).stack}\n${output}`);
      } catch {
        // The disk may be full; the paragraph still says so.
      }
      paragraphs.push(`${step.title}: ${explain(error, { path: step.path, log })}`);
      return false;
    }
  };
  try {
    // Steps stand in an order in which each follows those it builds on.
    for (const step of steps) results.set(step.name, run(step));
    await Promise.all(results.values());
  } finally {
    progress.stop();
    unlock();
  }
  if (paragraphs.length > 0) console.error(`\n${paragraphs.join("\n\n")}\n`);
  const missing = new Set();
  for (const [name, result] of results) if (!(await result)) missing.add(name);
  return missing;
}

/** @param {import("./steps.mjs").Step} step */
function needDisk({ path, gigabytes }) {
  const { bavail, bsize } = statfsSync(existsSync(root) ? root : ".");
  const free = (bavail * bsize) / 1e9;
  if (free < gigabytes) throw new Trouble("disk-full", { path, free: free.toFixed(1), need: String(gigabytes) });
}
