// flops(f, ...args): floating-point operations of a function, counted from its traced graph without running it.
import * as tf from "@tensorflow/tfjs-core";
import { tensorflowBackend } from "../backend.ts";
import { locate } from "../errors.ts";
import { origins } from "../jit.ts";
import { flatten } from "../pytree.ts";
import { replace } from "../replace.ts";
import { asWritten, currentCall, type Pass } from "../scopes.ts";
import { type Added, Trace, watchTraces } from "../trace.ts";
import { count, type Kind } from "./flop-rules.ts";

/** All calls of an op in one pass. */
export interface FlopRow {
  /** the op as it was written: `matMul`; in a gradient the one that computes it */
  op: string;
  kind: Kind;
  pass: Pass;
  /** nodes of the graph, those in loops once a step */
  count: number;
  flops: number;
}

export interface Flops {
  total: number;
  /** by pass: `recomputed` is what `checkpoint` and `scan` compute again for the gradient */
  forward: number;
  backward: number;
  recomputed: number;
  /** by kind: of matrix products, convolutions, elementwise ops... */
  kinds: Partial<Record<Kind, number>>;
  /** the most expensive first */
  ops: FlopRow[];
  /** ops of floating-point numbers whose operations nobody has counted; `total` is without them */
  uncounted: { op: string; node: string; count: number; shapes: string }[];
}

/**
 * Counts the floating-point operations of `f(...args)` from the graph that jit would compile.
 *
 * A multiplication and an addition are 2. Elementwise ops are one a number of the result, also exp, tanh and their like; copies,
 * comparisons and integers are none. Convolutions count the border as if it were inside, as PyTorch does. A loop of `scan` counts its
 * steps, `checkpoint` what it computes again. XLA may do less: it drops what nothing uses and what it has already. `f` may be a
 * jitted function or contain some; nothing is run, so the arguments' values are of no matter. Dispose nothing in `f`.
 * @throws Error on devices without a graph (wasm, webgpu), and what tracing f throws
 */
export function flops<A extends any[]>(f: (...args: A) => unknown, ...args: A): Flops {
  const backend = tensorflowBackend();
  if (!backend)
    throw new Error(`flops: the device is ${tf.getBackend()}, which traces nothing; count with useDevice("cpu")`);
  if (backend.native.tracer()) throw new Error("flops: inside jit; count the jitted function itself");
  const origin = origins.get(f);
  const fixed = origin?.options.static ?? [];
  const trace = new Trace(backend, origin?.options);
  const counter = createCounter();
  const stop = watchTraces(counter.add);
  const { stackTraceLimit } = Error;
  watchLoops();
  loops = counter;
  try {
    backend.native.setTracer(trace);
    Error.stackTraceLimit = 50;
    tf.tidy(() => {
      const traced = args.map((arg, i) => {
        if (fixed.includes(i)) return arg;
        const { leaves, rebuild } = flatten(arg, `argument ${i}`);
        return rebuild(leaves.map((leaf) => trace.input(leaf)));
      });
      let result: unknown;
      try {
        result = (origin?.f ?? f)(...(traced as A));
      } catch (error) {
        throw locate(error);
      }
      if (result instanceof Promise) {
        result.catch(() => {});
        throw new Error(`flops: ${f.name || "the function"} is asynchronous; only synchronous functions can be traced`);
      }
    });
  } finally {
    loops = undefined;
    stop();
    Error.stackTraceLimit = stackTraceLimit;
    backend.native.setTracer(undefined);
    trace.discard();
  }
  return counter.result();
}

type Counter = ReturnType<typeof createCounter>;

function createCounter() {
  const rows = new Map<string, FlopRow>();
  const uncounted = new Map<string, Flops["uncounted"][number]>();
  // How often the ops of a trace run: those of a loop's body once a step.
  const times = new Map<Trace, number>();
  const scans: { outer: unknown; steps: number }[] = [];
  const timesOf = (trace: Trace): number => {
    const known = times.get(trace);
    if (known !== undefined) return known;
    // The innermost scan that began in the parent; other loops (of checkpoint) have one step.
    const steps = trace.parent ? (scans.findLast(({ outer }) => outer === trace.parent)?.steps ?? 1) : 1;
    const all = steps * (trace.parent ? timesOf(trace.parent) : 1);
    times.set(trace, all);
    return all;
  };
  return {
    add(added: Added) {
      if (!("node" in added)) return;
      const runs = timesOf(added.trace);
      const { op: name, attrs, inputs, outputs } = added;
      const { op = asWritten(name), pass } = currentCall();
      const found = count(name, attrs, inputs, outputs);
      if (!found) {
        const shapes = `${inputs.map((x) => `[${x.shape}]`).join(", ")} -> ${outputs.map((x) => `[${x.shape}]`).join(", ")}`;
        const key = `${op} ${name} ${shapes}`;
        const entry = uncounted.get(key) ?? { op, node: name, count: 0, shapes };
        entry.count += runs;
        uncounted.set(key, entry);
        return;
      }
      if (!found.flops) return;
      const key = `${op} ${found.kind} ${pass}`;
      const row = rows.get(key) ?? { op, kind: found.kind, pass, count: 0, flops: 0 };
      row.count += runs;
      row.flops += runs * found.flops;
      rows.set(key, row);
    },
    /** While `run` traces a loop of so many steps. */
    within<T>(outer: unknown, steps: number, run: () => T): T {
      scans.push({ outer, steps });
      try {
        return run();
      } finally {
        scans.pop();
      }
    },
    result(): Flops {
      const ops = [...rows.values()].sort((a, b) => b.flops - a.flops);
      const sum = (of: FlopRow[]) => of.reduce((total, row) => total + row.flops, 0);
      const ofPass = (pass: Pass) => sum(ops.filter((row) => row.pass === pass));
      const kinds: Flops["kinds"] = {};
      for (const { kind, flops } of ops) kinds[kind] = (kinds[kind] ?? 0) + flops;
      const found: Flops = {
        total: sum(ops),
        forward: ofPass("forward"),
        backward: ofPass("backward"),
        recomputed: ofPass("recomputed"),
        kinds,
        ops,
        uncounted: [...uncounted.values()],
      };
      return Object.defineProperty(found, Symbol.for("Jupyter.display"), { value: () => view(found) });
    },
  };
}

let loops: Counter | undefined;

// The graph does not say how many steps a loop has; the kernel of scan does.
function watchLoops(): void {
  replace(
    tf.engine(),
    "runKernel",
    "flops",
    (runKernel) =>
      function (this: unknown, name: string, inputs: object, attrs?: { steps?: number }) {
        if (!loops || name !== "Scan" || !attrs?.steps) return runKernel.call(this, name, inputs, attrs);
        const outer = tensorflowBackend()?.native.tracer();
        return loops.within(outer, attrs.steps, () => runKernel.call(this, name, inputs, attrs));
      },
  );
}

const HEADS = ["op", "kind", "pass", "count", "FLOPs", "share"];

/** `1.23 GFLOP` */
export function inUnits(flops: number): string {
  const at = flops < 1 ? 0 : Math.min(5, Math.floor(Math.log10(flops) / 3));
  const unit = ["", "k", "M", "G", "T", "P"][at];
  return `${at ? (flops / 1000 ** at).toPrecision(3) : flops} ${unit}FLOP`;
}

function view(found: Flops): Record<string, string> {
  const { total, forward, backward, recomputed, ops, uncounted } = found;
  const parts = [
    `forward ${inUnits(forward)}`,
    ...(backward ? [`backward ${inUnits(backward)}`] : []),
    ...(recomputed ? [`recomputed ${inUnits(recomputed)}`] : []),
  ];
  const head = `${inUnits(total)}: ${parts.join(", ")}`;
  const cells = ops.map(({ op, kind, pass, count, flops }) => [
    op,
    kind,
    pass,
    String(count),
    inUnits(flops),
    `${((100 * flops) / total).toFixed(1)} %`,
  ]);
  const missing = uncounted.map(
    ({ op, node, count, shapes }) => `not counted: ${op} (${node}) ${shapes}, ${count} times`,
  );
  const widths = HEADS.map((name, i) => Math.max(name.length, ...cells.map((row) => row[i].length)));
  const lines = [HEADS, ...cells].map((row) =>
    row.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  "),
  );
  const row = (values: string[], tag: string) =>
    `<tr>${values.map((value, i) => `<${tag} style="text-align:${i < 3 ? "left" : "right"}">${value}</${tag}>`).join("")}</tr>`;
  const rows = cells.map((values) => row(values, "td")).join("");
  const below = missing.map((line) => `<div>${line.replaceAll("->", "&#8594;")}</div>`).join("");
  return {
    "text/plain": [head, ...lines, ...missing].join("\n"),
    "text/html": `<div><div>${head}</div><table><thead>${row(HEADS, "th")}</thead><tbody>${rows}</tbody></table>${below}</div>`,
  };
}
