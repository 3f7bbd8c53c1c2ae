// jit(f): the first call for a signature of shapes and dtypes traces f into a graph that XLA compiles; later calls run it.
import * as tf from "@tensorflow/tfjs-core";
import { type TensorFlowBackend, tensorflowBackend } from "./backend.ts";
import { explainCompiled, finish, locate } from "./errors.ts";
import { userFrame } from "./frame.ts";
import { type Flat, flatten } from "./pytree.ts";
import { type Compiled, Trace, type TraceOptions } from "./trace.ts";

export interface JitOptions {
  /** Indices of arguments whose tensors the call frees: `state = step(state, batch)` with `donate: [0]` keeps memory flat. */
  donate?: number[];
  /** Indices of arguments that are passed as they are: functions, class instances. Another object is another program. */
  static?: number[];
  /** Compute matrix products in this dtype; everything else and their results stay float32. */
  matmul?: "float32" | "bfloat16" | "float16";
}

/** A jitted function, and how many programs it has compiled. */
export type Jitted<F> = F & { readonly cacheSize: () => number };

interface Program extends Compiled {
  /** the tree that the function returned, filled with a call's tensors */
  rebuild: Flat["rebuild"];
}

let programs = 0;

/** What a jitted function was made of. */
export const origins = new WeakMap<object, { f: (...args: any[]) => any; options: JitOptions }>();

/**
 * Compiles a pure function of tensors.
 *
 * `f` takes and returns pytrees: tensors in nested records and arrays. Numbers, strings, booleans and null in the arguments
 * are static: another value is another program. Tensors that `f` closes over keep the value of the first call, except
 * tf.Variables, which are read at every call. `f` must be synchronous, must not read values, assign variables, or draw
 * numbers from Math.random: each of these throws with the line of your code. Gradients, `valueAndGrad` and other jitted
 * functions can be used inside. On the wasm device `f` runs eagerly.
 */
export function jit<F extends (...args: any[]) => any>(f: F, options: JitOptions = {}): Jitted<F> {
  const cache = new Map<string, Program>();
  const { donate = [], static: fixed = [], matmul } = options;
  checkOptions(f, options);
  const label = f.name || "anonymous";

  const call = (...args: any[]) => {
    const backend = tensorflowBackend();
    // Inside another trace, or under eager autodiff, f is part of what is recorded there.
    if (backend?.native.tracer() || underTape()) return f(...args);
    const flat = args.map((arg, i) => (fixed.includes(i) ? asStatic(arg) : flatten(arg, `argument ${i}`)));
    if (donate.length) checkDonated(flat, donate);
    const result = backend ? callCompiled(backend, flat) : tf.tidy(() => f(...args));
    if (donate.length)
      dispose(
        donate.flatMap((i) => flat[i]?.leaves ?? []),
        flatten(result, "result").leaves,
      );
    return result;
  };

  function callCompiled(backend: TensorFlowBackend, args: Flat[]) {
    const { native } = backend;
    const key = `${native.device()}|${args.map((arg) => arg.key).join("|")}`;
    let program = cache.get(key);
    if (!program) {
      program = trace(backend, f, label, args, { matmul });
      cache.set(key, program);
    }
    const inputs = args.flatMap((arg) => arg.leaves.map((leaf) => native.get(backend.idOf(leaf)).handle!));
    for (const capture of program.captures) {
      inputs.push("handle" in capture ? capture.handle : native.get(backend.idOf(capture.variable)).handle!);
    }
    let handles: BigUint64Array;
    try {
      handles = native.run(program.name, [], inputs, program.outputs.length, true, () => `jit(${label})`);
    } catch (error) {
      throw explainCompiled(error, label);
    }
    const leaves = program.outputs.map(({ shape, dtype }, i) =>
      backend.createOutputTensor(native.add({ handle: handles[i], shape: [...shape], dtype })),
    );
    return program.rebuild(leaves);
  }

  const jitted = Object.assign(call as unknown as F, { cacheSize: () => cache.size });
  origins.set(jitted, { f, options });
  return jitted;
}

function checkOptions(f: (...args: any[]) => any, { donate = [], static: fixed = [], matmul }: JitOptions) {
  const name = f.name || "anonymous";
  for (const i of [...donate, ...fixed])
    if (!Number.isInteger(i) || i < 0) throw new Error(`jit(${name}): ${i} is not the index of an argument`);
  const both = donate.find((i) => fixed.includes(i));
  if (both !== undefined) throw new Error(`jit(${name}): argument ${both} cannot be donated and static`);
  if (matmul !== undefined && !["float32", "bfloat16", "float16"].includes(matmul))
    throw new Error(`jit(${name}): matmul is "${matmul}"; it can be "float32", "bfloat16" or "float16"`);
}

// A donated tensor is gone after the call: two places that share one, or an argument that is not there, are mistakes.
function checkDonated(args: Flat[], donate: number[]) {
  const seen = new Map<object, string>();
  for (const i of donate) {
    if (!args[i]) throw new Error(`jit: argument ${i} is to be donated, but ${args.length} were given`);
    args[i].leaves.forEach((leaf, k) => {
      const first = seen.get(leaf);
      if (first)
        throw new Error(`jit: ${args[i].paths[k]} is donated, and is the tensor that ${first} donates already`);
      seen.set(leaf, args[i].paths[k]);
    });
  }
  args.forEach((arg, i) => {
    if (donate.includes(i)) return;
    const at = arg.leaves.findIndex((leaf) => seen.has(leaf));
    if (at >= 0) throw new Error(`jit: ${arg.paths[at]} is also donated as ${seen.get(arg.leaves[at])}`);
  });
}

const identities = new WeakMap<object, number>();
let nextIdentity = 0;

function asStatic(value: unknown): Flat {
  let key = `static ${typeof value} ${String(value)}`;
  if ((typeof value === "object" && value !== null) || typeof value === "function") {
    if (!identities.has(value)) identities.set(value, nextIdentity++);
    key = `static #${identities.get(value)}`;
  }
  return { leaves: [], paths: [], key, rebuild: () => value };
}

function trace(
  backend: TensorFlowBackend,
  f: (...args: any[]) => any,
  label: string,
  args: Flat[],
  options: TraceOptions,
): Program {
  const { native } = backend;
  const open = new Trace(backend, options);
  const random = Math.random;
  const { stackTraceLimit } = Error;
  let program: Program | undefined;
  try {
    native.setTracer(open);
    // The user's line may stand far up.
    Error.stackTraceLimit = 50;
    Math.random = () => {
      const error = new Error(
        `jit: cannot draw from Math.random while tracing${userFrame()}: it would give the same number at every call. ` +
          "Pass a key and use random.normal, random.uniform or random.bernoulli.",
      );
      throw finish(error);
    };
    tf.tidy(() => {
      let result: unknown;
      try {
        result = f(...args.map((arg) => arg.rebuild(arg.leaves.map((leaf) => open.input(leaf)))));
      } catch (error) {
        throw locate(error);
      }
      if (result instanceof Promise)
        throw new Error(`jit: ${label} is asynchronous; a jitted function must be synchronous`);
      const flat = flatten(result, `result of ${label}`);
      const outputs = flat.leaves.map((leaf) => open.output(leaf));
      program = { ...open.compile(`jit_${label.replace(/\W/g, "_")}_${++programs}`, outputs), rebuild: flat.rebuild };
    });
  } finally {
    Math.random = random;
    Error.stackTraceLimit = stackTraceLimit;
    native.setTracer(undefined);
    open.close();
  }
  return program!;
}

// tfjs records a tape while it differentiates eagerly; a compiled call would be a hole in it.
function underTape(): boolean {
  return (tf.engine() as any).state.gradientDepth > 0;
}

/** Frees donated tensors, except those that the function returned as they were. */
function dispose(donated: tf.Tensor[], kept: tf.Tensor[]) {
  for (const tensor of donated) if (!kept.includes(tensor) && !tensor.isDisposed) tensor.dispose();
}
