// Records what happens while a function runs: ops by the binding or by tfjs' kernels, passes by tfjs' scopes.
import * as tf from "@tensorflow/tfjs-core";
import { tensorflowBackend } from "../backend.ts";
import type { Binding } from "../binding.ts";
import { unfuse } from "../jit.ts";
import { replace } from "../replace.ts";
import { askFrames } from "../scopes.ts";
import type { ProfileEvent, Scope } from "./profile.ts";
import { type Rest, recordNative } from "./profile-native.ts";
import { forgetLast, framesNow, recordTraces, type Site, siteNow } from "./profile-sites.ts";
import type { Recorded } from "./profile-view.ts";
import { includeXla, summaries } from "./profile-xla.ts";
import { type Session, startSession, type XlaProfile } from "./xla-profiler.ts";

export type Recorder = ReturnType<typeof record>;

export function record(unfused: boolean) {
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
  let open = true;
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
  const siteOf = (fallback: string): Site => aside(() => siteNow(fallback));
  const add = (site: Site, rest: Rest): ProfileEvent => {
    const event = { thread: "ops", self: rest.ms, ...site, ...rest };
    events.push(event);
    const bytes = memoryOf(native);
    peak = Math.max(peak, bytes);
    if (bytes !== levels.at(-1)?.bytes) levels.push({ at: rest.start + rest.ms, bytes });
    return event;
  };

  askFrames(framesNow);
  undo.push(() => {
    askFrames(undefined);
    forgetLast();
  });
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
    undo.push(recordNative(native, { add, siteOf, aside, now, isOpen: () => open }));
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
      open = false;
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
        if (onScope) ends.push(onScope(name));
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
const formsOf = (made: unknown) =>
  [made]
    .flat()
    .map((tensor) => `${(tensor as tf.Tensor).dtype}[${(tensor as tf.Tensor).shape}]`)
    .join(", ");
