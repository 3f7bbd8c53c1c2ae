// profile(f): what f's time and memory go to, op by op. Eager ops are timed where tfjs hands them to TensorFlow (or to its own
// kernels on other devices), those inside of a jitted function by TensorFlow's profiler.
import * as tf from "@tensorflow/tfjs-core";
import { tensorflowBackend } from "./backend.ts";
import { type Binding, bytesOf, describe } from "./binding.ts";
import { userFrames } from "./frame.ts";
import { unfuse } from "./jit.ts";
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
import { replace } from "./replace.ts";
import { askFrames, asWritten, currentCall, type Pass } from "./scopes.ts";
import { type Trace, watchTraces } from "./trace.ts";
import { type Session, startSession, type XlaProfile } from "./xla-profiler.ts";

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

type Recorder = ReturnType<typeof record>;

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

interface Site {
  op: string;
  pass: Pass;
  of?: string;
  frames: string[];
}

type Rest = Omit<ProfileEvent, keyof Site | "thread" | "self"> & { thread?: string };

// Sites of the nodes of programs, by the program's name: kept for later profiles of the same program.
const sites = new Map<string, Map<string, Site>>();

/** Begins to record. */
function record(unfused: boolean) {
  const native = tensorflowBackend()?.native;
  const device = tf.getBackend();
  const events: ProfileEvent[] = [];
  const scopes: Scope[] = [];
  const levels: Recorded["levels"] = [];
  const undo: (() => void)[] = [];
  const notes: string[] = [];
  const before = memoryOf(native);
  let peak = before;
  let overhead = 0;
  const began = performance.now();
  const now = () => performance.now() - began;

  /** Does something for the record only. */
  const aside = <R>(run: () => R): R => {
    const start = performance.now();
    try {
      return run();
    } finally {
      overhead += performance.now() - start;
    }
  };
  const siteOf = (fallback: string): Site =>
    aside(() => {
      const { op, pass, of } = currentCall();
      return {
        op: op ?? asWritten(fallback),
        pass,
        of: of?.op,
        frames: pass === "forward" || !of?.frames ? framesNow() : of.frames,
      };
    });
  const add = (site: Site, rest: Rest): ProfileEvent => {
    const event = { thread: "ops", self: rest.ms, ...site, ...rest };
    events.push(event);
    const bytes = memoryOf(native);
    peak = Math.max(peak, bytes);
    if (bytes !== levels.at(-1)?.bytes) levels.push({ at: rest.start + rest.ms, bytes });
    return event;
  };

  askFrames(framesNow);
  undo.push(() => askFrames(undefined));
  watchScopes();
  onScope = (name) => {
    if ((name !== "forward" && name !== "backward") || native?.tracer()) return undefined;
    const scope: Scope = { name, start: now(), ms: 0 };
    scopes.push(scope);
    return () => {
      scope.ms = now() - scope.start;
    };
  };
  undo.push(() => {
    onScope = undefined;
  });

  if (native) {
    undo.push(recordNative(native, { add, siteOf, aside, now, unfused }));
    undo.push(recordTraces());
  } else {
    if (device === "webgpu")
      notes.push(
        "webgpu: times are those of handing ops to the GPU, which computes later; wait for a value to see the sum",
      );
    onKernel = (name, run) => {
      const site = siteOf(name);
      const bytes = tf.memory().numBytes;
      const start = now();
      const inner = innerMs;
      innerMs = 0;
      const made = run();
      const ms = now() - start;
      const shapes = aside(() => formsOf(made));
      add(site, {
        kind: "op",
        start,
        ms: Math.max(0, ms - innerMs),
        bytes: Math.max(0, tf.memory().numBytes - bytes),
        shapes,
      });
      innerMs = inner + ms;
      return made;
    };
    watchKernels();
    undo.push(() => {
      onKernel = undefined;
    });
  }
  unfuse(unfused);
  undo.push(() => unfuse(false));

  let session: Session | undefined;
  let sessionStart = 0;
  if (native && !unfused) {
    try {
      session = startSession(native.lib);
      sessionStart = now();
    } catch (error) {
      notes.push(`ops inside of jitted functions are not to be seen: ${(error as Error).message}`);
    }
  }
  const first = performance.now() - began;

  return {
    /** Puts everything back and gives what was recorded. */
    stop(): Recorded {
      const ms = now() - first;
      for (const back of undo.reverse()) back();
      const after = memoryOf(native);
      let seen: XlaProfile | undefined;
      try {
        seen = session?.stop();
      } catch (error) {
        notes.push(`ops inside of jitted functions are not to be seen: ${(error as Error).message}`);
      }
      for (const event of events) event.start -= first;
      for (const scope of scopes) scope.start -= first;
      for (const level of levels) level.at -= first;
      if (seen) includeXla(events, seen, sessionStart - first);
      const jit = summaries(events);
      if (unfused && native) notes.push("unfused: jitted functions ran op by op; XLA fuses ops and is faster");
      return {
        ms,
        overheadMs: overhead,
        events,
        scopes,
        jit,
        notes,
        memory: { before, after, peak: Math.max(peak, after) },
        levels,
      };
    },
  };
}

interface Tools {
  add(site: Site, rest: Rest): ProfileEvent;
  siteOf(fallback: string): Site;
  aside<R>(run: () => R): R;
  now(): number;
  unfused: boolean;
}

/** Times what goes through the binding; gives the way back. */
function recordNative(native: Binding, { add, siteOf, aside, now }: Tools): () => void {
  const { executeOp, executeRaw, createTensor, tensorDataSync, run, pin, setTracer, add: addEntry } = native;
  const gpu = native.isUsingGpuDevice();
  // A GPU computes later than the call returns.
  const finish = () => {
    if (gpu) executeRaw("SyncDevice", [], [], 0);
  };
  let call: ProfileEvent | undefined;

  const timed =
    (execute: typeof executeRaw): typeof executeRaw =>
    (name, attrs, ids, outputs, ...rest) => {
      if (native.tracer()) return execute(name, attrs, ids, outputs, ...rest);
      call = undefined;
      const site = siteOf(name);
      const start = now();
      const made = execute(name, attrs, ids, outputs, ...rest);
      finish();
      const ms = now() - start;
      aside(() => {
        const inputs = ids.map((id) => describe(native.get(id)));
        add(site, {
          kind: "op",
          start,
          ms,
          bytes: sum(made.map(bytesOf)),
          shapes: `${inputs.join(", ")} -> ${made.map(describe).join(", ")}`,
        });
      });
      return made;
    };
  native.executeOp = timed(executeOp);
  native.executeRaw = timed(executeRaw);

  native.createTensor = (shape, dtype, values, ...rest) => {
    if (native.tracer()) return createTensor(shape, dtype, values, ...rest);
    const start = now();
    const id = createTensor(shape, dtype, values, ...rest);
    const ms = now() - start;
    const form = { shape, dtype };
    const bytes = bytesOf(form);
    // Scalars and axes are written by the ops themselves, by the thousand.
    if (bytes > 256) add(siteOf("tensor"), { kind: "copy", start, ms, bytes, shapes: describe(form) });
    return id;
  };
  native.tensorDataSync = (id) => {
    const start = now();
    const values = tensorDataSync(id);
    const ms = now() - start;
    add(
      { ...siteOf("dataSync"), op: "dataSync" },
      { kind: "copy", start, ms, bytes: 0, shapes: describe(native.get(id)) },
    );
    return values;
  };

  const known = new Set<string>();
  let fresh = false;
  native.run = (name, attrs, inputs, outputs, xla, where, ...rest) => {
    if (!xla || native.tracer()) return run(name, attrs, inputs, outputs, xla, where, ...rest);
    const site: Site = { ...siteOf(name), op: where(), pass: "forward" };
    const compiles = fresh && !known.has(name);
    known.add(name);
    const start = now();
    const handles = run(name, attrs, inputs, outputs, xla, where, ...rest);
    finish();
    const ms = now() - start;
    call = add(site, { kind: "jit", start, ms, bytes: 0, shapes: `${inputs.length} inputs, ${outputs} outputs` });
    programs.set(call, { name, compiles });
    return handles;
  };
  // The results of a call become tensors after it.
  native.add = (entry) => {
    if (call && entry.handle !== undefined) call.bytes += bytesOf(entry);
    return addEntry(entry);
  };
  // A call off the event loop's thread holds its inputs while it waits and runs.
  native.pin = (ids, donated, label) => {
    const site: Site = { ...siteOf(label), op: label, pass: "forward" };
    const end = pin(ids, donated, label);
    const start = now();
    return () => {
      if (running)
        add(site, {
          kind: "jit",
          start,
          ms: now() - start,
          bytes: 0,
          shapes: `${ids.length} inputs`,
          thread: `${label} asynchronous`,
        });
      end();
    };
  };

  let outer: { start: number; site: Site } | undefined;
  native.setTracer = (next) => {
    if (next && !native.tracer()) outer = { start: now(), site: { ...siteOf("jit"), op: "tracing", pass: "forward" } };
    else if (!next && outer) {
      add(outer.site, { kind: "trace", start: outer.start, ms: now() - outer.start, bytes: 0, shapes: "" });
      fresh = true;
      outer = undefined;
    }
    setTracer(next);
  };
  return () =>
    Object.assign(native, { executeOp, executeRaw, createTensor, tensorDataSync, run, pin, setTracer, add: addEntry });
}

const programs = new WeakMap<ProfileEvent, { name: string; compiles: boolean }>();

/** Notes where the nodes of traces come from. */
function recordTraces(): () => void {
  const open = new Map<Trace, Map<string, Site>>();
  return watchTraces((added) => {
    let root = added.trace;
    while (root.parent) root = root.parent;
    if ("compiled" in added) {
      sites.set(added.compiled, open.get(root) ?? new Map());
      open.delete(root);
      return;
    }
    const nodes = open.get(root) ?? new Map<string, Site>();
    open.set(root, nodes);
    const { op, pass, of } = currentCall();
    const frames = pass === "forward" || !of?.frames ? framesNow() : of.frames;
    nodes.set(added.node, { op: op ?? asWritten(added.op), pass, of: of?.op, frames });
  });
}

/** Adds the ops inside of programs, and takes compilation out of the first call. */
function includeXla(events: ProfileEvent[], seen: XlaProfile, sessionStart: number): void {
  const calls = events.filter((event) => event.kind === "jit");
  const names = new Set(calls.map((event) => programs.get(event)?.name));
  // The session's clock began with it; the first call that both saw tells more exactly.
  const theirs = seen.calls.filter(({ name }) => names.has(name));
  const synchronous = calls.filter((event) => programs.has(event));
  const shift =
    theirs.length && theirs.length === synchronous.length ? synchronous[0].start - theirs[0].start : sessionStart;
  for (const call of synchronous) {
    const within = seen.executions.filter(
      ({ start }) => start + shift >= call.start - 0.05 && start + shift <= call.start + call.ms,
    );
    if (!programs.get(call)!.compiles || !within.length) continue;
    const first = within[0].start + shift;
    const compile = Math.max(0, first - call.start);
    events.push({
      ...call,
      op: `compiling ${call.op}`,
      kind: "compile",
      ms: compile,
      self: compile,
      bytes: 0,
      shapes: "",
    });
    call.start = first;
    call.ms = call.self = call.ms - compile;
  }
  for (const event of seen.events) {
    const start = event.start + shift;
    // Of the event loop's calls, the one that it is in; of others, the last that had begun.
    const call = calls.findLast((each) => start >= each.start - 0.05 && start <= each.start + each.ms + 0.05);
    // Several threads may take more time together than the call.
    if (call) call.self = Math.max(0, call.self - event.self);
    const name = programOf(event.module);
    const instruction = seen.instructions(event.module).get(event.name);
    const site = siteOfNodes(name, instruction?.nodes ?? [], event.name);
    events.push({
      ...site,
      frames: [...site.frames, ...(call?.frames ?? [])].filter((frame, i, all) => all.indexOf(frame) === i),
      kind: "xla",
      start,
      ms: event.ms,
      self: event.self,
      bytes: 0,
      within: call?.op ?? name,
      shapes: instruction?.shape ?? "",
      thread: `XLA ${event.thread.replace(/\/-?\d+$/, "")}`,
    });
  }
  events.sort((a, b) => a.start - b.start);
}

// XLA calls a module `jit_step_3__XlaMustCompile_true_.12`.
const programOf = (module: string) => module.replace(/__XlaMustCompile_true_.*$/, "");

/** Where an instruction comes from. A fusion of several ops has all their names: `relu+softmax`. */
function siteOfNodes(program: string, nodes: string[], instruction: string): Site {
  const known = sites.get(program);
  const all = nodes.map((node) => known?.get(node) ?? siteInName(node));
  if (!all.length) return { op: instruction.replace(/[.\d]+$/, ""), pass: "forward", frames: [] };
  const [first] = all;
  const ops = [...new Set(all.map(({ op }) => op))];
  return { ...first, op: ops.length > 4 ? `${ops.slice(0, 3).join("+")}+${ops.length - 3} more` : ops.join("+") };
}

/** What a node's name tells by itself: `gradient-of-softmax/mul/Mul_20`. */
function siteInName(node: string): Site {
  const parts = node.split("/");
  const kernel = asWritten((parts.pop() as string).replace(/(_\d+)+$/, ""));
  const about = /^gradient-of-(.*)$/.exec(parts[0])?.[1];
  const pass: Pass = about ? "backward" : parts[0] === "recomputed" ? "recomputed" : "forward";
  if (pass !== "forward") parts.shift();
  return { op: parts[0] ?? kernel, pass, of: about, frames: [] };
}

function summaries(events: ProfileEvent[]): JitSummary[] {
  const found = new Map<string, JitSummary>();
  const of = (name: string) => {
    if (!found.has(name)) found.set(name, { name, calls: 0, programs: 0, traceMs: 0, compileMs: 0, runMs: 0 });
    return found.get(name)!;
  };
  let traceMs = 0;
  for (const event of events) {
    if (event.kind === "trace") traceMs += event.ms;
    if (event.kind === "compile") {
      const summary = of(event.op.replace(/^compiling /, ""));
      summary.programs++;
      summary.compileMs += event.ms;
    }
    if (event.kind === "jit") {
      const summary = of(event.op);
      summary.calls++;
      summary.runMs += event.ms;
      // What was traced just before belongs to this call.
      summary.traceMs += traceMs;
      traceMs = 0;
    }
    if (event.kind === "xla" && event.within && found.has(event.within)) {
      const summary = of(event.within);
      summary.opsMs = (summary.opsMs ?? 0) + event.self;
    }
  }
  return [...found.values()];
}

let onScope: ((name: string | undefined) => (() => void) | undefined) | undefined;
let onKernel: ((name: string, run: () => unknown) => unknown) | undefined;
let innerMs = 0;

interface Engine {
  startScope(name?: string): void;
  endScope(result?: unknown): void;
  runKernel(name: string, ...rest: unknown[]): unknown;
}

function watchScopes(): void {
  const ends: ((() => void) | undefined)[] = [];
  replace(
    tf.engine(),
    "startScope",
    "profile",
    (startScope) =>
      function (this: Engine, name?: string) {
        startScope.call(this, name);
        if (running || onScope) ends.push(onScope?.(name));
      },
  );
  replace(
    tf.engine(),
    "endScope",
    "profile",
    (endScope) =>
      function (this: Engine, result?: unknown) {
        ends.pop()?.();
        endScope.call(this, result);
      },
  );
}

function watchKernels(): void {
  replace(
    tf.engine(),
    "runKernel",
    "profile",
    (runKernel) =>
      function (this: Engine, name: string, ...rest: unknown[]) {
        if (!onKernel) return runKernel.call(this, name, ...rest);
        return onKernel(name, () => runKernel.call(this, name, ...rest));
      },
  );
}

const memoryOf = (native: Binding | undefined) => (native ? native.memory().liveBytes : tf.memory().numBytes);
const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
const formsOf = (made: unknown) =>
  [made]
    .flat()
    .map((tensor) => `${(tensor as tf.Tensor).dtype}[${(tensor as tf.Tensor).shape}]`)
    .join(", ");

// Stacks repeat: a loop's body is one place.
const parsed = new Map<string, string[]>();

function framesNow(): string[] {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 60;
  const { stack = "" } = new Error();
  Error.stackTraceLimit = limit;
  let frames = parsed.get(stack);
  if (!frames) {
    frames = userFrames(stack);
    if (parsed.size > 10_000) parsed.clear();
    parsed.set(stack, frames);
  }
  return frames;
}
