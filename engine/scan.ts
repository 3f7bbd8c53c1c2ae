// Loops over the first axis: inside jit one TensorFlow While, however long; its gradient is a loop that runs backwards.
import * as tf from "@tensorflow/tfjs-core";
import { type TensorFlowBackend, tensorflowBackend } from "./backend.ts";
import { hold, isTaped, release, untaped, vjp, watch } from "./closure.ts";
import { uniqueName } from "./names.ts";
import { type Flat, flatten } from "./pytree.ts";
import type { Trace } from "./trace.ts";

export interface ScanOptions {
  /** number of steps, where `xs` holds no tensor */
  length?: number;
  /** from the last step to the first; the outputs keep their places */
  reverse?: boolean;
}

/** f on leaves: a step's carry and inputs to the next carry and the step's outputs. `i` counts the steps, inside jit. */
export type Step = (carry: tf.Tensor[], x: tf.Tensor[], i?: tf.Tensor) => { carry: tf.Tensor[]; ys: tf.Tensor[] };

/**
 * Runs `f(carry, x)` for every row of `xs` and gives the last carry and the rows of outputs stacked, as `jax.lax.scan`.
 *
 * `carry`, `xs` and the outputs are pytrees. `f` gives `[carry, y]`; the carry keeps its form, shapes and dtypes. Inside jit the
 * loop is one node of the program, so 1 000 steps compile as fast as one; the gradient keeps the carry of each step and computes
 * the rest again. Eagerly it is a loop.
 */
export function scan<C, X, Y>(
  f: (carry: C, x: X) => [carry: C, y: Y],
  init: C,
  xs: X,
  { length, reverse = false }: ScanOptions = {},
): [carry: C, ys: Y] {
  const carry = flatten(init, "init");
  const rows = flatten(xs, "xs");
  const sizes = rows.leaves.map((leaf, i) => {
    if (leaf.rank === 0) throw new Error(`scan: ${rows.paths[i]} is a scalar; it has no first axis to go along`);
    return leaf.shape[0];
  });
  const steps = length ?? sizes[0];
  if (steps === undefined) throw new Error("scan: xs holds no tensor, so the number of steps is needed: { length }");
  const other = sizes.findIndex((size) => size !== steps);
  if (other >= 0) throw new Error(`scan: ${rows.paths[other]} has ${sizes[other]} rows, but there are ${steps} steps`);
  if (!Number.isInteger(steps) || steps < 1) throw new Error(`scan: ${steps} steps; there must be one at least`);

  let rebuildY: Flat["rebuild"] | undefined;
  const step: Step = (carryLeaves, xLeaves) => {
    const result = f(carry.rebuild(carryLeaves), rows.rebuild(xLeaves));
    if (!Array.isArray(result) || result.length !== 2) throw new Error("scan: f must return [carry, y]");
    const next = flatten(result[0], "carry");
    if (next.key !== carry.key) throw new Error(differs(carry, next));
    const y = flatten(result[1], "y");
    rebuildY = y.rebuild;
    return { carry: next.leaves, ys: y.leaves };
  };
  const backend = tensorflowBackend();
  const run = backend?.native.tracer() ? scanTraced : scanEager;
  const { carry: last, ys } = run(step, carry.leaves, rows.leaves, steps, reverse);
  return [carry.rebuild(last), rebuildY!(ys)];
}

function differs(carry: Flat, next: Flat): string {
  const form = (x: tf.Tensor) => `${x.dtype}[${x.shape}]`;
  const at = carry.leaves.findIndex((leaf, i) => !next.leaves[i] || form(leaf) !== form(next.leaves[i]));
  if (at < 0 || carry.leaves.length !== next.leaves.length) return "scan: f gives a carry of another form than init";
  return `scan: ${carry.paths[at].replace("init", "carry")} is ${form(carry.leaves[at])} and f makes it ${form(next.leaves[at])}`;
}

function scanEager(step: Step, init: tf.Tensor[], xs: tf.Tensor[], steps: number, reverse: boolean): ReturnType<Step> {
  return tf.tidy(() => {
    const rows = xs.map((x) => tf.unstack(x));
    const outputs: tf.Tensor[][] = [];
    let carry = init;
    for (let k = 0; k < steps; k++) {
      const i = reverse ? steps - 1 - k : k;
      const row = rows.map((leaf) => leaf[i]);
      const before = carry;
      const made: ReturnType<Step> = tf.tidy(() => step(before, row) as never);
      carry = made.carry;
      outputs[i] = made.ys;
    }
    const ys = (outputs[0] ?? []).map((_, j) => tf.stack(outputs.map((row) => row[j])));
    return { carry: carry.map((leaf) => tf.clone(leaf)), ys } as never;
  });
}

const KERNEL = "Scan";

interface Attrs {
  step: Step;
  carries: number;
  steps: number;
  reverse: boolean;
  closed: tf.Tensor[];
  /** whether its gradient may be asked for, which lets go of `closed` */
  taped: boolean;
  /** number of outputs of a step */
  outputs: number;
}

function scanTraced(step: Step, init: tf.Tensor[], xs: tf.Tensor[], steps: number, reverse: boolean): ReturnType<Step> {
  register();
  const attrs: Attrs = { step, carries: init.length, steps, reverse, closed: [], taped: isTaped(), outputs: 0 };
  const all = tf.engine().runKernel(KERNEL, [...init, ...xs] as never, attrs as never) as unknown as tf.Tensor[];
  const ys = all.slice(init.length, init.length + attrs.outputs);
  return { carry: all.slice(0, init.length), ys };
}

function register(): void {
  if (tf.getKernel(KERNEL, "tensorflow")) return;
  tf.registerKernel({
    kernelName: KERNEL,
    backendName: "tensorflow",
    kernelFunc: ({ inputs, attrs: some }) => {
      const all = inputs as unknown as tf.Tensor[];
      const attrs = some as unknown as Attrs;
      const init = all.slice(0, attrs.carries);
      const xs = all.slice(attrs.carries);
      const { result, closed } = watch(all, () =>
        // The carry at the start of each step is an output too: the gradient needs it, and XLA drops it where nothing does.
        loop(
          (carry, x) => {
            const made = attrs.step(carry, x);
            return { carry: made.carry, ys: [...made.ys, ...carry] };
          },
          init,
          xs,
          attrs.steps,
          { reverse: attrs.reverse },
        ),
      );
      attrs.outputs = result.ys.length - attrs.carries;
      if (attrs.taped) hold(closed);
      attrs.closed = closed;
      // tfjs records its inputs after this, so these count.
      all.push(...closed);
      return [...result.carry, ...result.ys];
    },
  });
  tf.registerGradient({
    kernelName: KERNEL,
    saveAllInputs: true,
    outputsToSave: new Array(10_000).fill(true),
    gradFunc: (some, saved, attrs) => backwards([some].flat() as tf.Tensor[], saved, attrs as unknown as Attrs),
  });
}

const isFloat = (x: tf.Tensor) => x.dtype === "float32";
const floats = (tensors: tf.Tensor[]) => tensors.filter(isFloat);

// One step back: the gradient by the carry goes on, that by x is an output, that by what f closes over is summed up.
function backwards(dys: tf.Tensor[], saved: tf.Tensor[], attrs: Attrs): Record<string, () => tf.Tensor> {
  const { step, carries, steps, reverse, closed, outputs } = attrs;
  const givenCount = saved.length - closed.length - 2 * carries - outputs;
  const init = saved.slice(0, carries);
  const xs = saved.slice(carries, givenCount);
  const starts = saved.slice(saved.length - carries);
  const dCarry = floats(dys.slice(0, carries));
  const dRows = dys.slice(carries, carries + outputs);
  const inner = floats(closed);
  const back: Step = (state, rows) => {
    const carry = rows.slice(0, carries);
    const x = rows.slice(carries, carries + xs.length);
    const dy = rows.slice(carries + xs.length);
    const wanted = [...floats(carry), ...floats(x), ...inner];
    const weights = carry.map((leaf) => leaf);
    let next = 0;
    carry.forEach((leaf, i) => {
      if (isFloat(leaf)) weights[i] = state[next++];
    });
    const grads = vjp(
      () => {
        const made = step(carry, x);
        return [...made.carry, ...made.ys];
      },
      wanted,
      [...weights, ...dy],
    );
    const byCarry = grads.slice(0, floats(carry).length);
    const byX = grads.slice(byCarry.length, grads.length - inner.length);
    const byClosed = grads.slice(grads.length - inner.length).map((g, i) => tf.add(g, state[byCarry.length + i]));
    return { carry: [...byCarry, ...byClosed], ys: byX };
  };
  const zeros = inner.map((x) => tf.zeros(x.shape));
  const result = untaped(() => scanTraced(back, [...dCarry, ...zeros], [...starts, ...xs, ...dRows], steps, !reverse));
  release(closed);
  const found = {
    carry: result.carry.slice(0, dCarry.length),
    x: result.ys,
    closed: result.carry.slice(dCarry.length),
  };
  const all = [...init, ...xs, ...closed];
  const queue = [...found.carry, ...found.x, ...found.closed];
  return Object.fromEntries(
    all.map((x, i) => {
      const grad = isFloat(x) ? queue.shift()! : undefined;
      return [i, () => grad ?? tf.zeros(x.shape)];
    }),
  );
}

/**
 * Runs `run` inside jit where XLA cannot merge it with the same computation elsewhere, nor move it: in a loop of one step, of
 * which XLA does not know that it is one. (It drops its own optimization barrier on the CPU before it looks for duplicates.)
 */
export function apart(run: (inputs: tf.Tensor[]) => tf.Tensor[], inputs: tf.Tensor[]): tf.Tensor[] {
  const first = inputs.find(isFloat);
  if (!first || first.size === 0) return run(inputs);
  const one = tf.reshape(tf.slice(tf.reshape(first, [-1]), 0, 1), []);
  // 1, or 2 where the value is NaN.
  const limit = tf.add(tf.scalar(1, "int32"), tf.cast(tf.notEqual(one, one), "int32"));
  const step: Step = ([end, ...values], _x, i) => {
    // True at every step; but known at run time only, so that nothing below is the same at all steps.
    const goesOn = tf.less(i!, tf.add(end, tf.scalar(1, "int32")));
    const fenced = values.map((x) => (isFloat(x) ? tf.where(goesOn, x, tf.zerosLike(x)) : x));
    return { carry: [end, ...values], ys: run(fenced) };
  };
  const { ys } = loop(step, [limit, ...inputs], [], 1, { until: ([end], i) => tf.less(i, end) });
  return ys.map((y) => tf.reshape(y, y.shape.slice(1)));
}

interface LoopOptions {
  reverse?: boolean;
  /** whether step i is to be done; the first `steps` if not given */
  until?: (carry: tf.Tensor[], i: tf.Tensor) => tf.Tensor;
  /** output k is written over the rows of xs[over[k]] */
  over?: number[];
}

/** The While: its state is the step's number, the carry, the stacked outputs and the inputs. */
function loop(
  step: Step,
  init: tf.Tensor[],
  xs: tf.Tensor[],
  steps: number,
  { reverse = false, until, over = [] }: LoopOptions = {},
): ReturnType<Step> {
  const backend = tensorflowBackend() as TensorFlowBackend;
  const { native } = backend;
  const outer = native.tracer() as Trace;
  const name = uniqueName("scan");
  const body = outer.child();
  const condition = outer.child();
  const formOf = (tensor: tf.Tensor) => {
    const { shape, dtype } = native.get(backend.idOf(tensor));
    return { shape: [...shape], dtype };
  };
  const within = <T>(trace: Trace, run: () => T): T => {
    native.setTracer(trace);
    try {
      return untaped(run);
    } finally {
      native.setTracer(outer);
    }
  };
  try {
    return tf.tidy(() => {
      const int = { shape: [], dtype: native.TF_INT32 };
      const forms = [...init, ...xs].map(formOf);
      // The outputs' shapes are known when the step has been traced.
      const first = within(body, () => {
        const i = body.inputOf(int);
        const leaves = forms.map((form) => body.inputOf(form));
        const at = reverse ? tf.sub(tf.scalar(steps - 1, "int32"), i) : i;
        const rows = leaves.slice(init.length).map((x) => rowOf(backend, x, at));
        const made = step(leaves.slice(0, init.length), rows, i);
        return { i, leaves, at, made };
      });
      const { made } = first;
      const stacks = made.ys.map((y) => {
        const { shape, dtype } = within(body, () => formOf(y));
        return { shape: [steps, ...shape], dtype, of: y };
      });
      const own = stacks.filter((_, k) => over[k] === undefined);
      const results = within(body, () => {
        const rest = first.leaves.slice(init.length);
        over.forEach((x, k) => {
          rest[x] = writeRow(backend, rest[x], stacks[k].of, first.at);
        });
        const written = own.map((form) => writeRow(backend, body.inputOf(form), form.of, first.at));
        const next = tf.add(first.i, tf.scalar(1, "int32"));
        return [next, ...made.carry, ...rest, ...written].map((x) => body.output(x));
      });
      const goesOn = within(condition, () => {
        const i = condition.inputOf(int);
        const leaves = [...forms, ...own].map((form) => condition.inputOf(form));
        return condition.output(until?.(leaves.slice(0, init.length), i) ?? tf.less(i, tf.scalar(steps, "int32")));
      });
      const empty = own.map(({ shape, of }) => tf.zeros(shape, of.dtype as "float32"));
      const state = [tf.scalar(0, "int32"), ...init, ...xs, ...empty];
      const ends = outer.loop(name, condition, body, state, results, goesOn);
      const rows = ends.slice(1 + forms.length);
      const ys = stacks.map((_, k) => (over[k] === undefined ? rows.shift()! : ends[1 + init.length + over[k]]));
      return { carry: ends.slice(1, 1 + init.length), ys } as never;
    });
  } finally {
    body.close();
    condition.close();
  }
}

function rowOf(backend: TensorFlowBackend, x: tf.Tensor, at: tf.Tensor): tf.Tensor {
  const { native } = backend;
  const type = (name: string, value: number) => ({ name, type: native.TF_ATTR_TYPE, value });
  const attrs = [
    { name: "batch_dims", type: native.TF_ATTR_INT, value: 0 },
    type("Tparams", native.get(backend.idOf(x)).dtype),
    type("Tindices", native.TF_INT32),
    type("Taxis", native.TF_INT32),
  ];
  return backend.executeSingleOutput("GatherV2", attrs, [x, at, tf.scalar(0, "int32")]);
}

function writeRow(backend: TensorFlowBackend, into: tf.Tensor, row: tf.Tensor, at: tf.Tensor): tf.Tensor {
  const { native } = backend;
  const type = (name: string, value: number) => ({ name, type: native.TF_ATTR_TYPE, value });
  const place = tf.concat([tf.reshape(at, [1]), tf.zeros([row.rank], "int32")]);
  const attrs = [type("T", native.get(backend.idOf(row)).dtype), type("Tindices", native.TF_INT32)];
  return backend.executeSingleOutput("XlaDynamicUpdateSlice", attrs, [into, tf.expandDims(row, 0), place]);
}

/**
 * `scan` on leaves, whose one output is written over the rows of xs[0], of the same form, where no gradient of it is asked for.
 * Where all that reads a row of xs[0] goes into the output, XLA does it in place.
 */
export function scanOver(
  step: Step,
  init: tf.Tensor[],
  xs: tf.Tensor[],
  reverse: boolean,
): { carry: tf.Tensor[]; y: tf.Tensor } {
  const steps = xs[0].shape[0];
  const over = () => loop(step, init, xs, steps, { reverse, over: [0] });
  const run = isTaped() ? scanTraced : over;
  const traced = tensorflowBackend()?.native.tracer();
  const { carry, ys } = (traced ? run : scanEager)(step, init, xs, steps, reverse);
  return { carry, y: ys[0] };
}
