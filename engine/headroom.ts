// XLA starts threads and its compiler takes memory that no error can refuse: where there is none, TensorFlow ends the process.
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { type LibTensorFlow, memoryLimit } from "./libtensorflow.ts";

const MB = 2 ** 20;
const COMPILER = 128 * MB;
// The stacks of libuv's 4 threads and of koffi's calls on them, which come with the first asynchronous call.
const ASYNCHRONOUS = 64 * MB;
// With the first program TensorFlow starts 10 threads that compile and pools of as many as there are cores. They hold little, but
// the stack of each counts for the limit of the process, and so does the pad of 64 MB that each arena of malloc gets.
const THREADS = 12 + 4 * availableParallelism();
const STARTED = ASYNCHRONOUS + THREADS * 8 * MB + Math.min(THREADS, 8 * availableParallelism()) * 64 * MB;

/** bytes of the process when the first program was made */
let before: number | undefined;
/** how much more than the limit the process may hold, because of what counts and holds nothing */
let allowance = STARTED;
let settled = false;

/** Before a program is compiled: throws when the limit of memory leaves no room for that. */
export function checkHeadroom(lib: LibTensorFlow, label: string): void {
  if (!lib.memory) return;
  if (before === undefined) {
    before = dataBytes();
    lib.memory.allow(STARTED);
  }
  // What the C library keeps of freed memory counts as well, and can be had again.
  const room = Math.max(0, memoryLimit() + allowance - dataBytes() + lib.memory.keptBytes());
  if (room >= COMPILER) return;
  throw new Error(
    `jit(${label}): no memory to compile in: ${Math.round(room / MB)} MB are left of the limit of ` +
      `${Math.round(memoryLimit() / MB)} MB, ${COMPILER / MB} MB are needed; dispose tensors, or raise WHETSTONE_MEMORY_LIMIT`,
  );
}

/** After a program has run: the threads are there, and what they did not take of the allowance is taken back. */
export function settleHeadroom(lib: LibTensorFlow): void {
  if (settled || !lib.memory || before === undefined) return;
  settled = true;
  allowance = Math.min(STARTED, Math.max(0, dataBytes() - before) + ASYNCHRONOUS);
  lib.memory.allow(allowance);
}

/** Bytes of the process that count for the limit. */
function dataBytes(): number {
  const [, kilobytes] = /^VmData:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kilobytes ?? 0) * 1024;
}
