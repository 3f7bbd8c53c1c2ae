// Adds to a profile what TensorFlow's profiler saw inside of programs.
import type { JitSummary, ProfileEvent } from "./profile.ts";
import { programs } from "./profile-native.ts";
import { siteOfNodes } from "./profile-sites.ts";
import type { XlaProfile } from "./xla-profiler.ts";

/** Adds the ops inside of programs, and takes compilation out of the first call. */
export function includeXla(events: ProfileEvent[], seen: XlaProfile, sessionStart: number): void {
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
      frames: [...site.frames, ...(call?.frames ?? [])],
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

/** What jitted functions took, by their names. */
export function summaries(events: ProfileEvent[]): JitSummary[] {
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
