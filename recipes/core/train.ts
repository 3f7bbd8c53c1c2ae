// The only training loop.
import * as tf from "@tensorflow/tfjs-core";
import type { Batch } from "./data.ts";
import { map, type Params } from "./params.ts";

/** What a step gives back: the loss of the batch (a scalar), the new parameters and the new optimizer state. */
export interface Stepped<S> {
  value: tf.Tensor;
  params: Params;
  state: S;
}

/**
 * One update. Pure, so that a compiler can take it: `step: jit(step, { donate: [0, 1] })`. `more` are the other tensors of
 * a batch, such as the mask of a packed one.
 */
export type Step<S> = (params: Params, state: S, ids: tf.Tensor, targets: tf.Tensor, more: Params) => Stepped<S>;

export interface TrainOptions<S> {
  params: Params;
  state: S;
  step: Step<S>;
  data: Iterable<Batch> | AsyncIterable<Batch>;
  /** number of the last step */
  steps: number;
  /** steps done before, by the run that this one goes on from */
  start?: number;
  /** Called after each step, for live curves and checkpoints. The tensors are alive until the next step. */
  onStep?: (done: { step: number; loss: number; params: Params; state: S }) => void | Promise<void>;
}

export interface Trained<S> {
  params: Params;
  state: S;
  /** loss of each step's batch, before its update */
  history: { step: number; loss: number }[];
}

/**
 * Runs `step` over the batches until step number `steps`. The params and state given stay the caller's; everything in
 * between is freed. A loss that is not finite stops the run with an error that names the step.
 */
export async function train<S>({
  params,
  state,
  step,
  data,
  steps,
  start = 0,
  onStep,
}: TrainOptions<S>): Promise<Trained<S>> {
  const history: Trained<S>["history"] = [];
  const batches = Symbol.asyncIterator in data ? data[Symbol.asyncIterator]() : data[Symbol.iterator]();
  // A step that donates its arguments frees them; the first ones are the caller's, so it gets copies.
  let now = copy({ params, state });
  for (let i = start + 1; i <= steps; i++) {
    const { value: batch, done } = await batches.next();
    if (done)
      throw new Error(`train: the data ended before step ${i} of ${steps}; give more, or a generator without end.`);
    const { ids, targets, ...rest } = batch;
    const more = Object.fromEntries(Object.entries<any>(rest).filter(([, value]) => value instanceof tf.Tensor));
    const next = tf.tidy(() => step(now.params, now.state, ids, targets, more) as any) as Stepped<S>;
    const [loss] = await next.value.data();
    const kept = new Set(leaves([next.params, next.state]));
    tf.dispose([ids, targets, more, next.value, leaves(now).filter((tensor) => !kept.has(tensor))]);
    now = { params: next.params, state: next.state };
    if (!Number.isFinite(loss)) {
      tf.dispose(leaves(now));
      throw new Error(
        `train: the loss is ${loss} at step ${i}${history.length ? ` (${history.at(-1)!.loss.toFixed(3)} before it)` : ""}. ` +
          "Lower the learning rate, warm it up, or clip the gradients; check the data if it is the first step.",
      );
    }
    history.push({ step: i, loss });
    await onStep?.({ step: i, loss, ...now });
  }
  return { ...now, history };
}

function leaves(tree: unknown): tf.Tensor[] {
  return tf.tensor_util.getTensorsInContainer(tree as tf.TensorContainer).filter((tensor) => !tensor.isDisposed);
}

/** The same nested records, each tensor a copy of its own. */
function copy<T>(tree: T): T {
  if (tree instanceof tf.Tensor) return tf.clone(tree) as T;
  if (Array.isArray(tree)) return tree.map(copy) as T;
  if (tree && typeof tree === "object")
    return Object.fromEntries(Object.entries(tree).map(([name, child]) => [name, copy(child)])) as T;
  return tree;
}

/** Gradients scaled so that their common norm is at most `limit`, and the norm they had. Pure: for use inside a step. */
export function clipByGlobalNorm(grads: Params, limit: number): { grads: Params; norm: tf.Scalar } {
  const norm = tf.sqrt(tf.addN(Object.values(grads).map((grad) => tf.sum(tf.square(grad))))) as tf.Scalar;
  const scale = tf.minimum(tf.div(limit, tf.maximum(norm, 1e-12)), 1);
  return { grads: map(grads, (grad) => tf.mul(grad, scale)), norm };
}
