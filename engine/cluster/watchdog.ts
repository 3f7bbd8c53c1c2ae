// Watches the other processes of a cluster from a thread of its own: a collective blocks the main thread until all have called it,
// so nobody else could notice that one of them is gone.
import { Worker } from "node:worker_threads";
import type { Membership } from "./tf-config.ts";

/** What the thread is started with. */
export interface WatchdogData extends Membership {
  /** of libtensorflow_cc */
  library: string;
  context: bigint;
  /** two int32: STOP and LOST */
  state: SharedArrayBuffer;
}

/** Index in `state`: not 0 ends the thread. */
export const STOP = 0;
/** Index in `state`: rank + 1 of a process that does not answer, 0 while all do. */
export const LOST = 1;

/** Milliseconds for an answer. A process that is gone is refused at once; one that hangs is found after two of these. */
export const ANSWER = 2000;

export interface Watchdog {
  /** Rank of a process that does not answer. */
  lost(): number | undefined;
  close(): Promise<void>;
}

/** Starts the thread. It does not keep the process alive. */
export function watch(data: Omit<WatchdogData, "state">): Watchdog {
  const state = new Int32Array(new SharedArrayBuffer(8));
  const thread = new Worker(new URL("./watchdog-thread.ts", import.meta.url), {
    workerData: { ...data, state: state.buffer } satisfies WatchdogData,
    // Flags of the process, such as --import of a script's own tools, are not for this thread.
    execArgv: [],
  });
  thread.unref();
  thread.on("error", (error) => console.error(`cluster: the watchdog ended: ${error.message}`));
  return {
    lost() {
      const found = Atomics.load(state, LOST);
      return found ? found - 1 : undefined;
    },
    async close() {
      Atomics.store(state, STOP, 1);
      Atomics.notify(state, STOP);
      await thread.terminate();
    },
  };
}
