// A thread of the language process: ends it when the front has ended, whatever the other thread computes.
import { readSync } from "node:fs";
import { watchFd } from "./protocol.ts";

// A read that blocks: threads of a process that began as a snapshot cannot load `node:net`.
const byte = new Uint8Array(1);
const pause = new Int32Array(new SharedArrayBuffer(4));
for (let open = true; open; ) {
  try {
    open = readSync(watchFd, byte) > 0;
  } catch (error) {
    open = (error as NodeJS.ErrnoException).code === "EAGAIN";
    if (open) Atomics.wait(pause, 0, 0, 200);
  }
}
process.kill(process.pid, "SIGKILL");
