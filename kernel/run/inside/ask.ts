// Has a file of this folder work in the process of the cells, silently: no cell is counted, nothing is shown.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Kernel } from "../client.ts";

const files = { reads: new URL("./reads.ts", import.meta.url), coverage: new URL("./coverage.ts", import.meta.url) };

/** Whether the kernel is ours: only there it is known how to look inside. */
export const isOurs = (kernel: Kernel) => kernel.info.implementation === "whetstone";

/** Starts the watcher in the process of the cells. */
export async function begin(kernel: Kernel, name: keyof typeof files): Promise<void> {
  await call(kernel, name, "begin()");
}

/** What the watcher has seen. */
export async function end<Seen>(kernel: Kernel, name: keyof typeof files): Promise<Seen> {
  const folder = mkdtempSync(join(tmpdir(), "whetstone-seen-"));
  try {
    const file = join(folder, "seen.json");
    await call(kernel, name, `end(${JSON.stringify(file)})`);
    return JSON.parse(readFileSync(file, "utf8")) as Seen;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function call(kernel: Kernel, name: keyof typeof files, what: string): Promise<void> {
  const path = JSON.stringify(fileURLToPath(files[name]));
  const code = `process.getBuiltinModule("node:module").createRequire(${path})(${path}).${what}`;
  const { reply } = await kernel.execute(code, { silent: true });
  if (reply.status !== "ok") throw new Error(`${name} cannot be watched: ${reply.ename}: ${reply.evalue}`);
}
