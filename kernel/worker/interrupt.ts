// A thread of the user's process: stops what its main thread runs, wherever that is.
import * as inspector from "node:inspector";
import { Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { interruptFd } from "./protocol.ts";
import { slots, terminations } from "./slots.ts";

/** How long the main thread may compute before it is stopped by force. */
const politeMs = 10;
/** How long it may do nothing: it is then in native code, or other programs have the processors. */
const patientMs = 150;

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
  const wasClaimed = running === -run;
  if (running !== run && !(wasClaimed && Atomics.load(state, slots.termination) === over)) return;
  // First as a message, each time: a run that waits for something is left at once, and a termination may have taken the message before.
  if (isHeard(run)) return;
  // Terminated before and still not over: it ran on.
  if (wasClaimed) {
    if (Atomics.compareExchange(state, slots.termination, over, due) === over) terminate();
    return;
  }
  // The main thread is busy. The run is claimed, so that its end waits for the termination and the kernel's own code is not hit.
  if (Atomics.compareExchange(state, slots.running, run, -run) !== run) return;
  if (Atomics.compareExchange(state, slots.termination, none, due) === none) terminate();
}

/** Whether the main thread takes the message. It does unless it computes, which shows in the time that the process has used. */
function isHeard(run: number): boolean {
  Atomics.store(state, slots.heard, 0);
  parentPort!.postMessage(run);
  const [began, used] = [performance.now(), process.cpuUsage()];
  for (;;) {
    if (Atomics.wait(state, slots.heard, 0, politeMs) !== "timed-out") return true;
    const { user, system } = process.cpuUsage(used);
    if ((user + system) / 1000 >= 0.8 * politeMs || performance.now() - began > patientMs) return false;
  }
}

function terminate() {
  const session = new inspector.Session();
  session.connectToMainThread();
  session.post("Runtime.terminateExecution", () => {
    Atomics.store(state, slots.termination, terminations.over);
    session.disconnect();
  });
}
