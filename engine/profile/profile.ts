// profile(f): what f's time and memory go to, op by op. Eager ops are timed where tfjs hands them to TensorFlow (or to its own
// kernels on other devices), those inside of a jitted function by TensorFlow's profiler.
import { tensorflowBackend } from "../backend.ts";
import type { Pass } from "../scopes.ts";
import { type Recorder, record } from "./profile-record.ts";
import {
  type Figure,
  flame,
  type Recorded,
  type Row,
  rowsOf,
  type TraceFile,
  table,
  text,
  traceFile,
  writeTrace,
} from "./profile-view.ts";

/** Something that took time while f ran. Times in milliseconds since the start. */
export interface ProfileEvent {
  /** the op as it was written (`matMul`), or `jit(step)` */
  op: string;
  /** where: an op on its own, a call of a program, its compilation, an op inside of one, tracing, copying from or to JavaScript */
  kind: "op" | "jit" | "compile" | "xla" | "trace" | "copy";
  start: number;
  ms: number;
  /** without what has events of its own: of a program's call what its ops do not account for */
  self: number;
  /** bytes of new tensors */
  bytes: number;
  pass: Pass;
  /** of what it is (a part of) the gradient */
  of?: string;
  /** the jitted function that it is in */
  within?: string;
  /** inputs and outputs */
  shapes: string;
  /** user code that led to it, innermost first */
  frames: string[];
  /** of the device or of XLA */
  thread: string;
}

/** Part of the time in which a gradient's forward or backward pass ran. */
export interface Scope {
  name: "forward" | "backward";
  start: number;
  ms: number;
}

export interface JitSummary {
  name: string;
  calls: number;
  /** programs that were compiled while f ran */
  programs: number;
  traceMs: number;
  compileMs: number;
  runMs: number;
  /** how much of `runMs` the ops inside of it account for; undefined where they could not be seen */
  opsMs?: number;
}

export interface Profile<T> {
  /** what f returned */
  value: T;
  /** all of f, with what the profiler itself needed */
  ms: number;
  /** time of the profiler itself, as far as it is known */
  overheadMs: number;
  /** one row an op, line and pass, the slowest first */
  rows: Row[];
  events: ProfileEvent[];
  scopes: Scope[];
  jit: JitSummary[];
  memory: { before: number; after: number; peak: number };
  /** what is not to be seen here, and why */
  notes: string[];
  /** a plotly figure: time by user code, from the outermost call to the op */
  readonly flame: Figure;
  /** Chrome's trace event format, for Perfetto or chrome://tracing */
  trace(): TraceFile;
  /** writes `trace()` */
  save(path: string): void;
}

export interface ProfileOptions {
  /** Run jitted functions op by op, so that each op is timed on its own, without XLA's fusions. */
  unfused?: boolean;
}

let running: Recorder | undefined;

/**
 * Runs `f` and tells what its time and memory went to.
 *
 * The value of a cell shows as a table; `.flame` is a plotly figure, `.save("trace.json")` writes a file for Perfetto. For an
 * asynchronous `f` it gives a promise, and what else runs meanwhile is counted too. Ops inside of a jitted function have the
 * user's lines when the function is traced while `f` runs; else they have the ops' names. What `f` throws is thrown on.
 */
export function profile<T>(f: () => Promise<T>, options?: ProfileOptions): Promise<Profile<T>>;
export function profile<T>(f: () => T, options?: ProfileOptions): Profile<T>;
export function profile<T>(f: () => T | Promise<T>, { unfused = false }: ProfileOptions = {}) {
  if (typeof f !== "function")
    throw new Error(`profile: give it a function to run, not ${typeof f}: profile(() => step(x))`);
  if (running) throw new Error("profile: another profile is running; they cannot overlap");
  if (tensorflowBackend()?.native.tracer())
    throw new Error("profile: inside jit nothing runs; profile the call of the jitted function");
  const recorder = record(unfused);
  running = recorder;
  const end = () => {
    running = undefined;
    return recorder.stop();
  };
  let value: T | Promise<T>;
  try {
    value = f();
  } catch (error) {
    end();
    throw error;
  }
  if (!(value instanceof Promise)) return profileOf(value, end());
  return value.then(
    (settled) => profileOf(settled, end()),
    (error) => {
      end();
      throw error;
    },
  );
}

function profileOf<T>(value: T, recorded: Recorded): Profile<T> {
  const rows = rowsOf(recorded);
  const all = { value, rows, ...recorded };
  return Object.defineProperties(all as unknown as Profile<T>, {
    flame: { get: () => flame(recorded), enumerable: false },
    trace: { value: () => traceFile(recorded) },
    save: { value: (path: string) => writeTrace(path, recorded) },
    [Symbol.for("Jupyter.display")]: {
      value: () => ({ "text/plain": text(recorded, rows), "text/html": table(recorded, rows) }),
    },
  });
}
