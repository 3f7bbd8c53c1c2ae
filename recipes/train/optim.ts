// SGD and AdamW as pure functions: state in, state out, all of it tensors, so that a whole training step can be compiled.
// Both equal torch.optim (test/recipes/optim.test.ts).
//   SGD    m = momentum m + g           w = w - lr m                        one copy of the weights
//   AdamW  m = b1 m + (1 - b1) g        w = w - lr (decay w + (m / c1) / (√(v / c2) + eps))      two copies
//          v = b2 v + (1 - b2) g²       c = 1 - bᵗ                          (Loshchilov 2019)
import * as tf from "@tensorflow/tfjs-core";
import { map, type Params } from "../core/params.ts";

/** A step size: a number, or a scalar tensor when it changes inside a compiled step. */
export type Rate = number | tf.Tensor;

export interface Optimizer<S> {
  /** the state before the first step */
  init(params: Params): S;
  /** New params and state; `rate` in place of the `lr` of the options, if given. Gradients may be of some params only. */
  update(grads: Params, state: S, params: Params, rate?: Rate): { params: Params; state: S };
}

export interface SGDOptions {
  lr?: number;
  momentum?: number;
  /** look ahead by the momentum (Nesterov) */
  nesterov?: boolean;
  /** L2: added to the gradient, as in torch.optim.SGD */
  decay?: number;
}

export interface SGDState extends Record<string, any> {
  /** running sums of gradients; empty without momentum */
  m: Params;
}

/** Stochastic gradient descent with momentum (Polyak 1964). */
export function sgd({ lr = 0.01, momentum = 0, nesterov = false, decay = 0 }: SGDOptions = {}): Optimizer<SGDState> {
  return {
    init: (params) => ({ m: momentum ? zeros(params) : {} }),
    update(grads, state, params, rate = lr) {
      const m: Params = { ...state.m };
      const next = map(params, (w, name) => {
        if (!grads[name]) return w;
        const g = decay ? tf.add(grads[name], tf.mul(w, decay)) : grads[name];
        if (!momentum) return tf.sub(w, tf.mul(g, rate));
        m[name] = tf.add(tf.mul(stateOf(state.m, name), momentum), g);
        return tf.sub(w, tf.mul(nesterov ? tf.add(g, tf.mul(m[name], momentum)) : m[name], rate));
      });
      return { params: next, state: { m } };
    },
  };
}

export interface AdamWOptions {
  lr?: number;
  b1?: number;
  b2?: number;
  eps?: number;
  /** decoupled weight decay: the share of a weight that a step of lr 1 takes away */
  decay?: number;
  /** Which parameters decay. By default matrices only: gains and biases are not there to be small. */
  decays?: (name: string, w: tf.Tensor) => boolean;
}

export interface AdamWState extends Record<string, any> {
  /** steps done, a scalar */
  t: tf.Tensor;
  /** running mean of the gradients */
  m: Params;
  /** running mean of their squares */
  v: Params;
}

/** AdamW: step sizes by the running size of each gradient, decay apart from it. */
export function adamw({
  lr = 1e-3,
  b1 = 0.9,
  b2 = 0.999,
  eps = 1e-8,
  decay = 0,
  decays = (_, w) => w.rank >= 2,
}: AdamWOptions = {}): Optimizer<AdamWState> {
  return {
    init: (params) => ({ t: tf.scalar(0), m: zeros(params), v: zeros(params) }),
    update(grads, state, params, rate = lr) {
      const t = tf.add(state.t, 1);
      const [c1, c2] = [b1, b2].map((b) => tf.neg(tf.expm1(tf.mul(t, Math.log(b))))); // 1 - 0.999ᵗ loses five digits
      const m: Params = { ...state.m };
      const v: Params = { ...state.v };
      const next = map(params, (w, name) => {
        const g = grads[name];
        if (!g) return w;
        m[name] = tf.add(tf.mul(stateOf(state.m, name), b1), tf.mul(g, 1 - b1));
        v[name] = tf.add(tf.mul(stateOf(state.v, name), b2), tf.mul(tf.square(g), 1 - b2));
        const direction = tf.div(tf.div(m[name], c1), tf.add(tf.sqrt(tf.div(v[name], c2)), eps));
        // Not w (1 - lr decay): rounding 0.998 to float32 shrinks every weight by the same error, step after step.
        const all = decay && decays(name, w) ? tf.add(direction, tf.mul(w, decay)) : direction;
        return tf.sub(w, tf.mul(all, rate));
      });
      return { params: next, state: { t, m, v } };
    },
  };
}

const zeros = (params: Params) => map(params, (w) => tf.zerosLike(w));

function stateOf(state: Params, name: string): tf.Tensor {
  if (state[name]) return state[name];
  throw new Error(`The optimizer has no state for ${name}; make the state by init() of the params that are trained.`);
}
