// Which op of tfjs is running, as the user called it, and whether for a value or for its gradient: told by the scopes that tfjs
// opens (`matMul__op`, `forward`, `backward`).
import * as tf from "@tensorflow/tfjs-core";
import { replace } from "./replace.ts";

/** Computing the value, the gradient, or the value again for the gradient (`checkpoint`, `scan`). */
export type Pass = "forward" | "backward" | "recomputed";

export interface Call {
  /** the op as the user called it; undefined outside of ops */
  op?: string;
  /** the scope of that call, another object at each */
  scope?: object;
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
  /** that of TensorFlow has a binding, which knows of the open trace */
  backend: { native?: { tracer?(): unknown } };
  state: { scopeStack: { name: string }[]; activeTape: { gradient?: Gradient }[] };
  addTapeNode(kernel: string, ...rest: unknown[]): void;
}
type Gradient = (dys: unknown) => Record<string, () => unknown>;

const engine = tf.engine() as unknown as Engine;
let origin: Origin | undefined;
let framesOf: ((call: Call) => string[]) | undefined;

/** The op that is running. */
export function currentCall(): Call {
  const { scopeStack } = engine.state;
  let scope: { name: string } | undefined;
  let backward = false;
  let pass: Pass = "forward";
  for (const each of scopeStack) {
    if (each.name === "backward") {
      backward = true;
      pass = "backward";
      scope = undefined;
    } else if (each.name === "forward") {
      if (backward) pass = "recomputed";
      scope = undefined;
    } else if (scope === undefined && typeof each.name === "string" && each.name.endsWith("__op")) scope = each;
  }
  const op = scope?.name.slice(0, -4);
  return pass === "forward" ? { op, scope, pass } : { op, scope, pass, of: origin };
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
        // Eagerly nobody asks but a profile.
        if (node.gradient && (framesOf || this.backend.native?.tracer?.()))
          node.gradient = within(node.gradient, originOf(kernel));
      },
  );
}

/** Lets origins have the user's lines, until it is called with nothing. */
export function askFrames(ask: ((call: Call) => string[]) | undefined): void {
  framesOf = ask;
}

function originOf(kernel: string): Origin {
  const call = currentCall();
  // A function with a gradient of its own has the name of the scope that it is in.
  const op = call.op ?? (tf.getKernel(kernel, tf.getBackend()) ? asWritten(kernel) : "customGrad");
  return framesOf ? { op, frames: framesOf(call) } : { op };
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
