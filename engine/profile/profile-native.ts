// Times what goes through the binding to TensorFlow: ops, programs, copies, and tracing.
import { type Binding, bytesOf, describe } from "../binding.ts";
import type { ProfileEvent } from "./profile.ts";
import type { Site } from "./profile-sites.ts";

export type Rest = Omit<ProfileEvent, keyof Site | "thread" | "self"> & { thread?: string };

export interface Tools {
  add(site: Site, rest: Rest): ProfileEvent;
  siteOf(fallback: string): Site;
  aside<R>(run: () => R): R;
  now(): number;
  /** false when the profile has ended; a call may outlive it */
  isOpen(): boolean;
}

/** The program that a call ran, and whether it was its first, which compiles it. */
export const programs = new WeakMap<ProfileEvent, { name: string; compiles: boolean }>();

/** Times what goes through the binding; gives the way back. */
export function recordNative(native: Binding, { add, siteOf, aside, now, isOpen }: Tools): () => void {
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
      if (isOpen())
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

const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
