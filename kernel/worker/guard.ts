// Runs code of the user through V8's inspector so that it can be stopped at any point, and the kernel's own code cannot.
import * as inspector from "node:inspector";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { inRun } from "./context.ts";
import { slots } from "./slots.ts";

/** Says that the user stopped the code. */
export const interrupted = Symbol("interrupted");

const state = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * Object.keys(slots).length));
let session = connect();
let thread: Worker | undefined;
let leave: ((run: number) => void) | undefined;

/** What code that the inspector runs can reach of the kernel, under one name that no listing shows. */
const hidden: Record<string, (argument: any) => unknown> = {
  waitForTermination() {
    while (Atomics.load(state, slots.terminated) === 0);
  },
};
Object.defineProperty(globalThis, "__whetstone", { value: hidden });

function connect() {
  const own = new inspector.Session();
  own.connect();
  return own;
}

/** Starts the thread that hears interrupts. It needs some 30 ms, which the first cell does not wait for. */
export function startInterrupts() {
  if (thread !== undefined) return;
  thread = new Worker(join(import.meta.dirname, "interrupt.js"), { workerData: state, execArgv: [] });
  thread.on("message", (run: number) => {
    Atomics.store(state, slots.heard, 1);
    Atomics.notify(state, slots.heard);
    leave?.(run);
  });
  thread.unref();
}

/**
 * Calls `start`, which may run code of the user, and waits for its result; `interrupted` when the user stops it. What is stopped may never
 * settle, so it is left behind; if it runs on in the background, its output still belongs to its run.
 */
export async function guarded<T>(run: number, start: () => T | Promise<T>): Promise<T | typeof interrupted> {
  startInterrupts();
  const left = new Promise<typeof interrupted>((resolve) => {
    leave = (asked) => asked === run && resolve(interrupted);
  });
  Atomics.store(state, slots.running, run);
  let outcome: T | typeof interrupted;
  let failed: { error: unknown } | undefined;
  try {
    outcome = await Promise.race([inRun(run, start), left]);
  } catch (error) {
    outcome = interrupted;
    if (!isTermination(error)) failed = { error };
  }
  leave = undefined;
  if (Atomics.compareExchange(state, slots.running, run, 0) !== run) {
    // A termination is on its way or has just been: let it hit a loop of no importance.
    session.post("Runtime.evaluate", { expression: "__whetstone.waitForTermination()" });
    Atomics.store(state, slots.running, 0);
    Atomics.store(state, slots.terminated, 0);
  }
  if (failed !== undefined) throw failed.error;
  // The promise of a stopped evaluation is collected some day, and V8 would then answer its request from inside the collector, where no
  // JavaScript may run: Node ends by SIGTRAP. A new session knows nothing of it; REPL variables live in the context and stay.
  if (outcome === interrupted) {
    session.disconnect();
    session = connect();
  }
  return outcome;
}

const isTermination = (error: unknown) => error instanceof Error && /terminated/i.test(error.message);

type Evaluated = inspector.Runtime.EvaluateReturnType;

/** Evaluates a script as V8's console does: top-level await, variables that later scripts see and may declare again. */
export function evaluate(run: number, js: string): Promise<Evaluated | typeof interrupted> {
  const parameters = { expression: js, replMode: true, awaitPromise: true, objectGroup: "run" };
  return guarded(run, () => post<Evaluated>("Runtime.evaluate", parameters));
}

/** Calls a function of the kernel that runs code of the user (a getter, a method that draws) with the live value. */
export async function callWith<T>(
  run: number,
  call: (value: unknown) => T | Promise<T>,
  object: inspector.Runtime.RemoteObject,
): Promise<T | typeof interrupted> {
  if (object.objectId === undefined) return guarded(run, () => call(primitive(object)));
  const { objectId } = object;
  let result: { value: T } | { error: unknown } | undefined;
  hidden.call = async (value: unknown) => {
    try {
      result = { value: await call(value) };
    } catch (error) {
      result = { error };
    }
  };
  const outcome = await guarded(run, () =>
    post("Runtime.callFunctionOn", {
      objectId,
      functionDeclaration: "function (value) { return __whetstone.call(value) }",
      arguments: [{ objectId }],
      awaitPromise: true,
    }),
  );
  if (outcome === interrupted) return interrupted;
  if (result === undefined) throw new Error(`the inspector did not call: ${JSON.stringify(outcome)}`);
  if ("error" in result) throw result.error;
  return result.value;
}

/** Lets go of the objects that the inspector held for the last run. */
export function releaseObjects() {
  session.post("Runtime.releaseObjectGroup", { objectGroup: "run" });
}

/** The value that a remote object without an identity stands for. */
export function primitive({ type, value, unserializableValue: text }: inspector.Runtime.RemoteObject): unknown {
  if (text === undefined) return type === "undefined" ? undefined : value;
  return text.endsWith("n") ? BigInt(text.slice(0, -1)) : Number(text);
}

function post<T>(method: string, parameters: object): Promise<T> {
  return new Promise((resolve, reject) => {
    session.post(method, parameters, (error, result) => {
      if (error === null) resolve(result as T);
      else reject(new Error((error as Error).message));
    });
  });
}
