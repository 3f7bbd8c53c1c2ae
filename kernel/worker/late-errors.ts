// Errors that nothing of the user's catches: in a timer, a callback, a promise that nobody waits for.
import { currentRun, currentSink } from "./context.ts";
import { describeError } from "./errors.ts";
import { show } from "./output.ts";

/** Shows an error under the cell that it belongs to. */
export function reportLate(error: unknown) {
  show({ type: "late-error", run: currentRun(), error: describeError(error) }, currentSink());
}

const events = ["uncaughtException", "unhandledRejection"];

/**
 * Calls `report` for each, and then the listeners that the user's code has added. Not as a listener itself: those of programs made by Emscripten,
 * such as the WASM backend, throw the error again, which would end the process.
 */
export function catchLateErrors(report: (error: unknown) => void) {
  const emit = process.emit;
  process.emit = function (this: NodeJS.Process, name: string | symbol, ...args: unknown[]): boolean {
    if (!events.includes(name as string)) return Reflect.apply(emit, this, [name, ...args]);
    report(args[0]);
    try {
      Reflect.apply(emit, this, [name, ...args]);
    } catch (error) {
      if (error !== args[0]) report(error);
    }
    return true;
  } as typeof process.emit;
}
