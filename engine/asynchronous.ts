// Native calls off the event loop's thread: they run on one of libuv's, one after the other, while JavaScript goes on.
import koffi from "koffi";
import type { LibTensorFlow } from "./libtensorflow.ts";

/** What to run: an op that holds its inputs; it is deleted when it has run. */
export interface NativeCall {
  op: bigint;
  outputs: number;
  /** index of an output to wait for where ops return before the device has computed them (a GPU) */
  wait?: number;
  signal?: AbortSignal;
  /** called when the op has run, failed, or was taken out of the queue: nothing reads its inputs any more */
  ended(): void;
}

// koffi runs a native function on a stack of its own; XLA's compiler needs more than the 128 kB that asynchronous calls get.
// koffi takes its settings before it loads the first library only.
const STACK_BYTES = 8 * 2 ** 20;
const LEAST_STACK_BYTES = 2 ** 20;

/** Sets the stack of asynchronous calls, where nobody has loaded a library yet. */
export function prepareStack(): void {
  try {
    koffi.config({ async_stack_size: STACK_BYTES });
  } catch {
    // see `execute`
  }
}

// One at a time: a program uses all cores, and the other threads of libuv stay free for files and names.
let last: Promise<void> = Promise.resolve();

/**
 * Executes an op when those before it have run.
 * @returns its output handles
 * @throws Error with TensorFlow's message; the signal's reason as soon as it is aborted, while the op may still be running
 */
export function executeAsync(lib: LibTensorFlow, call: NativeCall): Promise<BigUint64Array> {
  const { signal } = call;
  let resolve!: (handles: BigUint64Array) => void;
  let reject!: (reason: unknown) => void;
  // Promise.withResolvers is not there on Node 20.
  const promise = new Promise<BigUint64Array>((resolved, rejected) => {
    resolve = resolved;
    reject = rejected;
  });
  let cancel = () => {};
  const abort = () => {
    reject(signal!.reason);
    cancel();
  };
  signal?.addEventListener("abort", abort, { once: true });
  last = last.then(async () => {
    try {
      if (signal?.aborted) return;
      const manager: bigint | undefined = signal && lib.TFE_NewCancellationManager();
      if (manager) cancel = () => lib.TFE_CancellationManagerStartCancel(manager);
      try {
        const handles = await execute(lib, call, manager);
        // Nobody waits for the results of an aborted call.
        if (signal?.aborted) for (const handle of handles) lib.TFE_DeleteTensorHandle(handle);
        else resolve(handles);
      } finally {
        cancel = () => {};
        if (manager) lib.TFE_DeleteCancellationManager(manager);
      }
    } catch (error) {
      reject(error);
    } finally {
      signal?.removeEventListener("abort", abort);
      lib.TFE_DeleteOp(call.op);
      call.ended();
    }
  });
  return promise;
}

async function execute(
  lib: LibTensorFlow,
  { op, outputs, wait }: NativeCall,
  manager: bigint | undefined,
): Promise<BigUint64Array> {
  // A status of its own: ops of the event loop's thread use the other one meanwhile.
  const status: bigint = lib.TF_NewStatus();
  const check = () => {
    if (lib.TF_GetCode(status) !== 0) throw new Error(lib.TF_Message(status));
  };
  const handles = new BigUint64Array(Math.max(outputs, 1));
  const count = Int32Array.of(outputs);
  try {
    if (manager) lib.TFE_OpSetCancellationManager(op, manager, status);
    check();
    // With the stack of another's settings it could overflow; then the call blocks, as it does without `async`.
    if ((koffi.config().async_stack_size ?? 0) < LEAST_STACK_BYTES) lib.TFE_Execute(op, handles, count, status);
    else await elsewhere(lib.TFE_Execute, op, handles, count, status);
    check();
    const [found] = count;
    const made = handles.subarray(0, found);
    try {
      if (found !== outputs) throw new Error(`it has ${found} outputs, ${outputs} were asked for`);
      if (wait !== undefined && outputs > 0) {
        lib.TF_DeleteTensor(await elsewhere(lib.TFE_TensorHandleResolve, handles[wait], status));
        check();
      }
    } catch (error) {
      for (const handle of made) lib.TFE_DeleteTensorHandle(handle);
      throw error;
    }
    return made;
  } finally {
    lib.TF_DeleteStatus(status);
  }
}

/** A call of a koffi function on a thread of libuv. Memory that it is given must live on: the promise holds `args`. */
function elsewhere(f: any, ...args: unknown[]): Promise<any> {
  return new Promise((resolve, reject) => {
    f.async(...args, (error: unknown, result: unknown) => {
      void args;
      if (error) reject(error);
      else resolve(result);
    });
  });
}
