// A thread of the user's process: stops what its main thread runs, wherever that is.
import * as inspector from "node:inspector";
import { Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { interruptFd } from "./protocol.ts";
import { slots, terminations } from "./slots.ts";

/** How long the main thread may take to hear a message before it is stopped by force. */
const politeMs = 10;

const state = workerData as Int32Array;
let rest: Buffer = Buffer.alloc(0);
new Socket({ fd: interruptFd, readable: true, writable: false })
  .on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (; rest.length >= 4; rest = rest.subarray(4)) interrupt(rest.readUInt32LE(0));
  })
  // The front is gone: nobody can see or stop this process any more, nor its children.
  .on("close", () => process.kill(process.platform === "win32" ? process.pid : -process.pid, "SIGKILL"));

function interrupt(run: number) {
  const { none, due, over } = terminations;
  const running = Atomics.load(state, slots.running);
  // Claimed before and still not over: it ran on, so it is terminated again.
  if (running === -run && Atomics.compareExchange(state, slots.termination, over, due) === over) return terminate();
  if (running !== run) return;
  Atomics.store(state, slots.heard, 0);
  // First as a message: a run that waits for something is left at once.
  parentPort!.postMessage(run);
  if (Atomics.wait(state, slots.heard, 0, politeMs) !== "timed-out") return;
  // The main thread is busy. The run is claimed, so that its end waits for the termination and the kernel's own code is not hit.
  if (Atomics.compareExchange(state, slots.running, run, -run) !== run) return;
  if (Atomics.compareExchange(state, slots.termination, none, due) === none) terminate();
}

function terminate() {
  const session = new inspector.Session();
  session.connectToMainThread();
  session.post("Runtime.terminateExecution", () => {
    Atomics.store(state, slots.termination, terminations.over);
    session.disconnect();
  });
}
