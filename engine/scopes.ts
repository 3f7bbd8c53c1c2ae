// Which op of tfjs is running, as the user called it, and whether for a value or for its gradient: told by the scopes that tfjs
// opens (`matMul__op`, `forward`, `backward`).
import * as tf from "@tensorflow/tfjs-core";
import { replace } from "./replace.ts";

/** Computing the value, the gradient, or the value again for the gradient (`checkpoint`, `scan`). */
export type Pass = "forward" | "backward" | "recomputed";

export interface Call {
  /** the op as the user called it; undefined outside of ops */
  op?: string;
  pass: Pass;
  /** of what a gradient is being computed */
  of?: Origin;
}

/** A differentiable call of the forward pass. */
export interface Origin {
  op: string;
  /** the user's lines that led to it, innermost first, where somebody wants to know them */
  frames?: string[];
}

interface Engine {
  state: { scopeStack: { name: string }[]; activeTape: { gradient?: Gradient }[] };
  addTapeNode(kernel: string, ...rest: unknown[]): void;
}
type Gradient = (dys: unknown) => Record<string, () => unknown>;

const engine = tf.engine() as unknown as Engine;
let origin: Origin | undefined;
let framesOf: (() => string[]) | undefined;

/** The op that is running. */
export function currentCall(): Call {
  const { scopeStack } = engine.state;
  let op: string | undefined;
  let backward = false;
  let pass: Pass = "forward";
  for (const { name } of scopeStack) {
    if (name === "backward") {
      backward = true;
      pass = "backward";
      op = undefined;
    } else if (name === "forward") {
      if (backward) pass = "recomputed";
      op = undefined;
    } else if (op === undefined && typeof name === "string" && name.endsWith("__op")) op = name.slice(0, -4);
  }
  return pass === "forward" ? { op, pass } : { op, pass, of: origin };
}

/** The function of tfjs that a kernel's name stands for, where tfjs marks it as no op: `fill`, not Fill. */
export function asWritten(kernel: string): string {
  const names = [`${kernel[0].toLowerCase()}${kernel.slice(1)}`, kernel.toLowerCase()];
  return names.find((name) => name in tf) ?? kernel;
}

/** Lets gradients tell what they are the gradient of. */
export function observeGradients(): void {
  replace(
    engine,
    "addTapeNode",
    "origin",
    (addTapeNode) =>
      function (this: Engine, kernel: string, ...rest: unknown[]) {
        addTapeNode.call(this, kernel, ...rest);
        const tape = this.state.activeTape;
        const node = tape[tape.length - 1];
        if (node.gradient) node.gradient = within(node.gradient, originOf(kernel));
      },
  );
}

/** Lets origins have the user's lines, until it is called with nothing. */
export function askFrames(ask: (() => string[]) | undefined): void {
  framesOf = ask;
}

function originOf(kernel: string): Origin {
  const op = currentCall().op ?? asWritten(kernel.replace(/__op$/, ""));
  return framesOf ? { op, frames: framesOf() } : { op };
}

function within(gradient: Gradient, of: Origin): Gradient {
  const run = <T>(f: () => T): T => {
    const before = origin;
    origin = of;
    try {
      return f();
    } finally {
      origin = before;
    }
  };
  return (dys) => {
    const made = run(() => gradient(dys));
    for (const name of Object.keys(made)) {
      const each = made[name];
      made[name] = () => run(each);
    }
    return made;
  };
}
