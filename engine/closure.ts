// Functions inside other functions' gradients: what they close over, and their vector-Jacobian products. tfjs' tape knows inputs
// and outputs of kernels only, so a function that is recomputed or looped over has to be one, with all that it uses as inputs.
import * as tf from "@tensorflow/tfjs-core";
import { replace } from "./replace.ts";

interface State {
  gradientDepth: number;
  kernelDepth: number;
  activeTape: unknown;
  scopeStack: { id: number; name: string }[];
}

interface Engine {
  state: State;
  nextTensorId(): number;
  runKernel(name: string, inputs: object, attrs?: object): unknown;
  gradients(
    f: () => tf.Tensor,
    xs: tf.Tensor[],
    dy: tf.Tensor | undefined,
    allowNoGradients: boolean,
  ): { grads: (tf.Tensor | undefined)[] };
}

const engine = () => tf.engine() as unknown as Engine;
const watchers = new Set<(tensor: tf.Tensor) => void>();

/** Lets `watch` see the inputs of kernels. */
export function observeKernels(): void {
  replace(
    engine(),
    "runKernel",
    "observe",
    (runKernel) =>
      function (this: Engine, name: string, inputs: object, attrs?: object) {
        if (watchers.size) for (const input of Object.values(inputs).flat()) tell(input);
        return runKernel.call(this, name, inputs, attrs);
      },
  );
}

function tell(input: unknown): void {
  if (input instanceof tf.Tensor) for (const watcher of watchers) watcher(input);
}

/** Whether kernels are recorded for a gradient now. */
export const isTaped = () => engine().state.gradientDepth > 0 && engine().state.kernelDepth === 0;

/** Runs `run` and gives the tensors that it used and that were there before, except `given`. */
export function watch<T>(given: tf.Tensor[], run: () => T): { result: T; closed: tf.Tensor[] } {
  const first = engine().nextTensorId();
  const known = new Set(given);
  const closed = new Set<tf.Tensor>();
  const watcher = (tensor: tf.Tensor) => {
    if (tensor.id < first && !known.has(tensor)) closed.add(tensor);
  };
  watchers.add(watcher);
  try {
    return { result: run(), closed: [...closed] };
  } finally {
    watchers.delete(watcher);
    // A function around this one closes over them as well.
    for (const tensor of closed) tell(tensor);
  }
}

/** Runs `run` as if no gradient were being recorded around it. */
export function untaped<T>(run: () => T): T {
  const { state } = engine();
  const { gradientDepth, kernelDepth, activeTape } = state;
  Object.assign(state, { gradientDepth: 0, kernelDepth: 0, activeTape: null });
  try {
    return run();
  } finally {
    Object.assign(state, { gradientDepth, kernelDepth, activeTape });
  }
}

/** Gradients by xs, which are float32, of the float32 values of f, each weighted with its dy. */
export function vjp(f: () => tf.Tensor[], xs: tf.Tensor[], dys: tf.Tensor[]): tf.Tensor[] {
  if (xs.length === 0) return [];
  return untaped(() => {
    const product = () =>
      f()
        .flatMap((y, i) => (y.dtype === "float32" ? [tf.sum(tf.mul(y, dys[i]))] : []))
        .reduce((a: tf.Tensor, b) => tf.add(a, b), tf.scalar(0));
    const { grads } = engine().gradients(product, xs, undefined, true);
    return xs.map((x, i) => grads[i] ?? tf.zerosLike(x));
  });
}

const held = new WeakMap<tf.Tensor, number>();

/**
 * Keeps tensors of the forward pass until `release`: the gradient runs the function again, when tfjs has disposed them. Those
 * from outside the forward pass live on by themselves.
 */
export function hold(tensors: tf.Tensor[]): void {
  const { scopeStack } = engine().state;
  const forward = scopeStack.findIndex(({ name }) => name === "forward");
  const ids = new Set(scopeStack.slice(Math.max(forward, 0)).map(({ id }) => id));
  for (const tensor of tensors) {
    const count = held.get(tensor);
    if (count !== undefined) held.set(tensor, count + 1);
    else if (forward >= 0 && !tensor.kept && ids.has(tensor.scopeId)) {
      tf.keep(tensor);
      held.set(tensor, 1);
    }
  }
}

/** Undoes `hold`. */
export function release(tensors: tf.Tensor[]): void {
  for (const tensor of tensors) {
    const count = held.get(tensor);
    if (count === undefined) continue;
    if (count > 1) held.set(tensor, count - 1);
    else {
      held.delete(tensor);
      tensor.dispose();
    }
  }
}
