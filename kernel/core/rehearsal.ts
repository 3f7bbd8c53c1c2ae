// Uses the time in which nobody wants anything to make the compiler fast.
import type { Kernel } from "./kernel.ts";

/** How long a kernel that has run no cell waits: its own start, and the first cell, come first. */
const patienceMs = 500;

/** Returns what is to be called whenever the kernel has become idle. */
export function createRehearsal(kernel: Kernel): () => void {
  let isOn = false;
  let isWaiting = false;
  const rehearse = async () => {
    if (isOn) return;
    isOn = true;
    try {
      // In small steps: a cell that comes meanwhile waits for one of them.
      while (kernel.running === undefined && (await kernel.compiler.rehearse()));
    } catch {
      // The process ended. Who asks it next is told.
    } finally {
      isOn = false;
    }
  };
  return () => {
    if (kernel.hasChecked) void rehearse();
    else if (!isWaiting) {
      isWaiting = true;
      setTimeout(rehearse, patienceMs).unref();
    }
  };
}
