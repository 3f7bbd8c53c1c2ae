// Runs code of the user through V8's inspector so that it can be stopped at any point, and the kernel's own code cannot.
import * as inspector from "node:inspector";
import { join } from "node:path";
import { setImmediate } from "node:timers";
import { Worker } from "node:worker_threads";
import { beside, inRun } from "./context.ts";
import { slots, terminations } from "./slots.ts";

/** Says that the user stopped the code. */
export const interrupted = Symbol("interrupted");

const state = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * Object.keys(slots).length));
let session = connect();
let thread: Worker | undefined;
let leave: ((run: number) => void) | undefined;

/** What code that the inspector runs can reach of the kernel, under one name that no listing shows. */
const hidden: Record<string, (...given: any[]) => unknown> = {
  waitForTermination() {
    while (Atomics.load(state, slots.termination) === terminations.due);
  },
  call: (number: number, given: unknown) => calls.get(number)?.(given),
};
/** Calls that the inspector is to make, by a number of their own. */
const calls = new Map<number, (given: unknown) => Promise<void>>();
let lastCall = 0;
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

type Start<T> = (resolve: (value: T | Promise<T>) => void, reject: (error: Error) => void) => void;

/**
 * Calls `start`, which may run code of the user, and waits for its result; `interrupted` when the user stops it. What is stopped may never
 * settle, so it is left behind; if it runs on in the background, its output still belongs to its run.
 */
export async function guarded<T>(run: number, start: Start<T>): Promise<T | typeof interrupted> {
  startInterrupts();
  const left = new Promise<typeof interrupted>((resolve) => {
    leave = (asked) => asked === run && resolve(interrupted);
  });
  Atomics.store(state, slots.running, run);
  let outcome: T | typeof interrupted = interrupted;
  let failed: { error: unknown } | undefined;
  try {
    // Our handlers are attached before the code starts: a termination may end the calls that would attach them later.
    outcome = await Promise.race([fromLoop<T>((...settle) => inRun(run, () => start(...settle))), left]);
  } catch (error) {
    failed = { error };
  }
  leave = undefined;
  const isClaimed = Atomics.compareExchange(state, slots.running, run, 0) !== run;
  if (isClaimed) {
    // A termination is on its way or has just been: let it hit a loop of no importance, until no other can come.
    while (
      Atomics.compareExchange(state, slots.termination, terminations.over, terminations.none) !== terminations.over
    ) {
      await fromLoop((resolve) => replEvaluate("__whetstone.waitForTermination()", resolve, resolve));
    }
    Atomics.store(state, slots.running, 0);
  }
  // What is terminated fails with an "internal error" of the inspector.
  if (failed !== undefined && !isClaimed) throw failed.error;
  // The promise of a stopped evaluation is collected some day, and V8 would then answer its request from inside the collector, where no
  // JavaScript may run: Node ends by SIGTRAP. A new session knows nothing of it; REPL variables live in the context and stay.
  if (outcome === interrupted) {
    session.disconnect();
    session = connect();
  }
  return outcome;
}

/**
 * Calls `start` from the event loop. V8 ends a termination when the outermost call or a round of microtasks is over: begun within a
 * microtask, the code of the user would take the kernel's own, which waits for it, along.
 */
function fromLoop<T>(start: Start<T>): Promise<T> {
  return new Promise((resolve, reject) => setImmediate(() => start(resolve, reject)));
}

type Evaluated = inspector.Runtime.EvaluateReturnType;

/**
 * Evaluates a script as V8's console does: top-level await, variables that later scripts see and may declare again. All code of the user
 * goes through here, because V8 takes back a termination at the end of such an evaluation, and not at the end of its other calls.
 */
export function evaluate(run: number, js: string): Promise<Evaluated | typeof interrupted> {
  return guarded<Evaluated>(run, (...settle) => replEvaluate(js, ...settle));
}

function replEvaluate<T>(js: string, resolve: (result: T) => void, reject: (error: Error) => void) {
  const parameters = { expression: js, replMode: true, awaitPromise: true, objectGroup: "run" };
  post("Runtime.evaluate", parameters, resolve, reject);
}

/** Calls a function of the kernel that runs code of the user (a getter, a method that draws) with the live value. */
export async function callWith<T>(
  run: number,
  call: (value: unknown) => T | Promise<T>,
  object: inspector.Runtime.RemoteObject,
): Promise<T | typeof interrupted> {
  const [value] = await liveValue(object);
  return callGuarded(run, () => call(value));
}

/** Calls a function that runs code of the user, and waits for its result; `interrupted` when the user stops it. */
export async function callGuarded<T>(run: number, call: Call<T>, given?: string): Promise<T | typeof interrupted> {
  const { js, done } = prepareCall(call, given);
  return (await evaluate(run, js)) === interrupted ? interrupted : done();
}

/**
 * The same while something else is guarded: an interrupt of that stops it too. What is stopped never settles, so wait no longer than for what it
 * stands beside.
 */
export async function callBeside<T>(run: number, call: Call<T>, given?: string): Promise<T> {
  const { js, done } = prepareCall(call, given);
  await fromLoop<Evaluated>((...settle) => beside(run, () => replEvaluate(js, ...settle)));
  return done();
}

/** `given`: the value of an expression that the cells' names mean something in. */
type Call<T> = (given: any) => T | Promise<T>;

/** The script that makes a call, and what gives its result once the script is over. */
function prepareCall<T>(call: Call<T>, given = "undefined") {
  let result: { value: T } | { error: unknown } | undefined;
  const number = ++lastCall;
  calls.set(number, async (value) => {
    calls.delete(number);
    try {
      result = { value: await call(value) };
    } catch (error) {
      result = { error };
    }
  });
  const done = (): T => {
    if (result === undefined) throw new Error("the inspector did not make a call");
    if ("error" in result) throw result.error;
    return result.value;
  };
  // Awaited in so many words: a promise that is only the value of a script is left alone, as in a cell.
  return { js: `await __whetstone.call(${number}, ${given})`, done };
}

/** The value of a remote object that is no object, symbol or function; nothing for those. */
export function plainValue({ type, objectId, unserializableValue: text, value }: inspector.Runtime.RemoteObject) {
  if (objectId !== undefined) return undefined;
  if (text !== undefined) return { value: text.endsWith("n") ? BigInt(text.slice(0, -1)) : Number(text) };
  return { value: type === "undefined" ? undefined : (value as unknown) };
}

/** The value that a remote object stands for, in a list: a promise of it alone would wait for what it promises, or call its `then`. */
async function liveValue(object: inspector.Runtime.RemoteObject): Promise<[unknown]> {
  const { objectId } = object;
  if (objectId !== undefined) {
    let value: unknown;
    hidden.take = (taken) => {
      value = taken;
    };
    const functionDeclaration = "function (value) { __whetstone.take(value) }";
    const parameters = { objectId, functionDeclaration, arguments: [{ objectId }] };
    await new Promise((...settle) => post("Runtime.callFunctionOn", parameters, ...settle));
    return [value];
  }
  return [plainValue(object)!.value];
}

/** Lets go of the objects that the inspector held for the last run. */
export function releaseObjects() {
  session.post("Runtime.releaseObjectGroup", { objectGroup: "run" });
}

function post<T>(method: string, parameters: object, resolve: (result: T) => void, reject: (error: Error) => void) {
  session.post(method, parameters, (error, result) => (error === null ? resolve(result as T) : reject(error)));
}
