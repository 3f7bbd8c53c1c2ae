// Names of functions in TensorFlow's context, of which there is one in a process, also when the engine is loaded twice.
import { keptAt } from "./replace.ts";

const counter = keptAt(globalThis, Symbol.for("@whetstone/engine:functions"), () => ({ made: 0 }));

/** `base` with a number that no other function has. */
export const uniqueName = (base: string) => `${base}_${++counter.made}`;
