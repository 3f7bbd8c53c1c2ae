// Timers of the running cell are known, so that they end when the user stops it: a loop of `await sleep(1)` would go on in the background.
import { promisify } from "node:util";
import { currentRun } from "./context.ts";

type Timer = NodeJS.Timeout | NodeJS.Immediate;

const native = { setTimeout, setInterval, setImmediate };
let activeRun = 0;
/** The timers of the active run, with how to clear each. */
const pending = new Map<Timer, () => void>();

/** Puts our own `setTimeout`, `setInterval` and `setImmediate` in the place of Node's. */
export function watchTimers() {
  replace("setTimeout", (callback, ...args) => once(native.setTimeout, clearTimeout, callback, args));
  replace("setImmediate", (callback, ...args) => once(native.setImmediate, clearImmediate, callback, args));
  replace("setInterval", (callback, ms, ...args) => {
    const timer = native.setInterval(callback, ms as number, ...args);
    if (currentRun() === activeRun) pending.set(timer, () => clearInterval(timer));
    return timer;
  });
}

/** From now on the timers of this run are kept in mind. */
export function beginTimers(run: number) {
  activeRun = run;
}

/** The run is over. Its timers stay on, as in any program, unless the user stopped it. */
export function endTimers(stopped: boolean) {
  if (stopped) for (const clear of pending.values()) clear();
  pending.clear();
  activeRun = 0;
}

function once<T extends Timer>(
  start: (callback: any, ...args: any[]) => T,
  clear: (timer: any) => void,
  callback: (...args: any[]) => void,
  args: unknown[],
): T {
  if (currentRun() !== activeRun || typeof callback !== "function") return start(callback, ...args);
  const fire = (...values: unknown[]) => {
    pending.delete(timer);
    callback(...values);
  };
  const timer = start(fire, ...args);
  pending.set(timer, () => clear(timer));
  return timer;
}

function replace(name: keyof typeof native, own: (callback: any, ...args: unknown[]) => Timer) {
  // `util.promisify(setTimeout)` works as before.
  Object.defineProperty(own, promisify.custom, { value: (native[name] as any)[promisify.custom] });
  Object.defineProperty(own, "name", { value: name });
  (globalThis as any)[name] = own;
}
