// jit(f): the first call for a signature of shapes and dtypes traces f into a graph that XLA compiles; later calls run it.
import * as tf from "@tensorflow/tfjs-core";
import { executeAsync } from "./asynchronous.ts";
import { type TensorFlowBackend, tensorflowBackend } from "./backend.ts";
import { type Place, sizeOf } from "./binding.ts";
import { explainCompiled, locate } from "./errors.ts";
import { finish } from "./finished.ts";
import { userFrame } from "./frame.ts";
import { checkHeadroom, settleHeadroom } from "./headroom.ts";
import { uniqueName } from "./names.ts";
import { tensorFloat32 } from "./precision.ts";
import { type Flat, flatten } from "./pytree.ts";
import { runStages } from "./stages.ts";
import { type Compiled, Trace, type TraceOptions } from "./trace.ts";

export interface JitOptions {
  /** Indices of arguments whose tensors the call frees: `state = step(state, batch)` with `donate: [0]` keeps memory flat. */
  donate?: number[];
  /** Indices of arguments that are passed as they are: functions, class instances. Another object is another program. */
  static?: number[];
  /** Compute matrix products in this dtype; everything else and their results stay float32. */
  matmul?: "float32" | "bfloat16" | "float16";
}

type AnyFunction = (...args: any[]) => any;

/** The same function, on another thread than the event loop's. */
export type Async<F extends AnyFunction> = (...args: Parameters<F>) => Promise<ReturnType<F>>;

export interface CallOptions {
  /** Aborts an asynchronous call: its promise is rejected with the signal's reason at once, and its results are thrown away. */
  signal?: AbortSignal;
}

/** A jitted function. */
export type Jitted<F extends AnyFunction> = F & {
  /** how many programs it has compiled */
  readonly cacheSize: () => number;
  /**
   * Calls it without blocking the event loop: timers, widgets and progress go on while it compiles and runs. Calls run one
   * after the other. Arguments may be disposed at once; donated ones can be used by nobody else until the call has run, and
   * are freed then. They stay when it fails.
   */
  readonly async: Async<F>;
  /** Options of a call: `step.with({ signal }).async(state, batch)` can be aborted. */
  readonly with: (options: CallOptions) => { readonly async: Async<F> };
};

interface Program extends Compiled {
  /** the tree that the function returned, filled with a call's tensors */
  rebuild: Flat["rebuild"];
}

let opByOp = false;

/** Lets jitted functions run op by op from now on, or compiled again. */
export function unfuse(value: boolean): void {
  opByOp = value;
}

/** What a jitted function was made of. */
export const origins = new WeakMap<object, { f: (...args: any[]) => any; options: JitOptions }>();

/**
 * Compiles a pure function of tensors.
 *
 * `f` takes and returns pytrees: tensors in nested records and arrays. Numbers, strings, booleans and null in the arguments
 * are static: another value is another program. Tensors that `f` closes over keep the value of the first call, except
 * tf.Variables, which are read at every call. `f` must be synchronous, must not read values, assign variables, or draw
 * numbers from Math.random: each of these throws with the line of your code. Gradients, `valueAndGrad` and other jitted
 * functions can be used inside. On wasm and webgpu `f` runs eagerly.
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
    const flat = flattenAll(args);
    const result = backend && !opByOp ? callCompiled(backend, flat) : tf.tidy(() => f(...args));
    free(flat, result);
    return result;
  };

  // Up to its first await it runs as it is called, so that the arguments are those of this moment.
  const callAsync = async ({ signal }: CallOptions, args: any[]) => {
    const backend = tensorflowBackend();
    if (backend?.native.tracer() || underTape())
      throw new Error(`jit(${label}).async: inside jit or a gradient nothing can be waited for; call ${label} itself`);
    signal?.throwIfAborted();
    const flat = flattenAll(args);
    const result = backend ? await callCompiledAsync(backend, flat, signal) : await computed(tf.tidy(() => f(...args)));
    free(flat, result);
    return result;
  };

  function flattenAll(args: any[]): Flat[] {
    const flat = args.map((arg, i) => (fixed.includes(i) ? asStatic(arg) : flatten(arg, `argument ${i}`)));
    if (donate.length) checkDonated(flat, donate);
    return flat;
  }

  function free(flat: Flat[], result: unknown) {
    if (donate.length) dispose(donatedOf(flat), flatten(result, "result").leaves);
  }

  const donatedOf = (flat: Flat[]) => donate.flatMap((i) => flat[i]?.leaves ?? []);

  /** The program for these arguments, and the ids of its inputs that are tensors of tfjs. */
  function prepare(backend: TensorFlowBackend, args: Flat[]) {
    const { native } = backend;
    const ids = args.flatMap((arg) => arg.leaves.map((leaf) => backend.idOf(leaf)));
    const entries = ids.map(native.get);
    const place = native.placeOf(entries);
    // TF32 is decided when the program is compiled.
    const key = `${place.device}${tensorFloat32() ? " TF32" : ""}|${args.map((arg) => arg.key).join("|")}`;
    let program = cache.get(key);
    if (!program) {
      checkHeadroom(native.lib, label);
      program = trace(backend, f, label, args, { matmul });
      cache.set(key, program);
    }
    const inputs = entries.map(({ handle }) => handle!);
    for (const capture of program.captures) {
      if ("variable" in capture) ids.push(backend.idOf(capture.variable));
      inputs.push("handle" in capture ? capture.handle : native.get(ids[ids.length - 1]).handle!);
    }
    return { program, ids, inputs, place };
  }

  function resultOf(backend: TensorFlowBackend, program: Program, handles: ArrayLike<bigint>, place: Place) {
    const at = backend.native.madeAt(place);
    const leaves = program.outputs.map(({ shape, dtype }, i) =>
      backend.createOutputTensor(backend.native.add({ handle: handles[i], shape: [...shape], dtype, ...at })),
    );
    return program.rebuild(leaves);
  }

  function callCompiled(backend: TensorFlowBackend, args: Flat[]) {
    const { program, inputs, place } = prepare(backend, args);
    const { native } = backend;
    const where = () => `jit(${label})`;
    let handles: bigint[];
    try {
      handles = program.stages
        ? runStages(backend, program.stages, inputs, where)
        : native.run(program.name, [], inputs, program.outputs.length, true, where, place.device);
    } catch (error) {
      throw explainCompiled(error, label, program.outputs);
    } finally {
      settleHeadroom(backend.native.lib);
    }
    return resultOf(backend, program, handles, place);
  }

  async function callCompiledAsync(backend: TensorFlowBackend, args: Flat[], signal?: AbortSignal) {
    const { native } = backend;
    const called = hereInStack();
    const { program, ids, inputs, place } = prepare(backend, args);
    if (program.stages)
      throw new Error(
        `jit(${label}).async: it has collectives, which block until all processes call; call ${label} itself`,
      );
    // What a view shares can be read on.
    const donated = donatedOf(args)
      .map((leaf) => leaf.dataId)
      .filter((dataId) => backend.tensorMap.get(dataId)?.refCount === 1);
    try {
      const op = native.newOp(program.name, [], inputs, true, () => `jit(${label})`, place.device);
      const ended = native.pin(
        ids,
        donated.map((dataId) => backend.tensorMap.get(dataId)!.id),
        `jit(${label})`,
      );
      const handles = await executeAsync(native.lib, {
        op,
        outputs: program.outputs.length,
        wait: native.isUsingGpuDevice() ? smallest(program.outputs.map(({ shape }) => sizeOf(shape))) : undefined,
        signal,
        ended,
      });
      return resultOf(backend, program, handles, place);
    } catch (error) {
      throw signal?.aborted ? error : explainCompiled(error, label, program.outputs, called.stack);
    } finally {
      settleHeadroom(native.lib);
    }
  }

  const jitted = Object.assign(call as unknown as F, {
    cacheSize: () => cache.size,
    async: ((...args: any[]) => callAsync({}, args)) as Async<F>,
    with: (options: CallOptions) => ({ async: ((...args: any[]) => callAsync(options, args)) as Async<F> }),
  });
  origins.set(jitted, { f, options });
  return jitted;
}

/** Has the stack of the call, deep enough for the user's line; V8 writes it out when it is asked for. */
function hereInStack(): Error {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 50;
  const here = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return here;
}

const smallest = (sizes: number[]) => sizes.indexOf(Math.min(...sizes));

/** A result when its device has computed it: WASM has at once, WebGPU when the last of its queue can be read. */
async function computed<T>(result: T): Promise<T> {
  const { leaves } = flatten(result, "result");
  if (leaves.length) await leaves[smallest(leaves.map(({ size }) => size))].data();
  // Timers and messages come in between, as many calls as there may be.
  await new Promise((resolve) => setImmediate(resolve));
  return result;
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
      if (result instanceof Promise) {
        // It may well be rejected, and nobody waits for it.
        result.catch(() => {});
        throw new Error(`jit: ${label} is asynchronous; a jitted function must be synchronous`);
      }
      const flat = flatten(result, `result of ${label}`);
      const outputs = flat.leaves.map((leaf) => open.output(leaf));
      program = { ...open.compile(uniqueName(`jit_${label.replace(/\W/g, "_")}`), outputs), rebuild: flat.rebuild };
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
