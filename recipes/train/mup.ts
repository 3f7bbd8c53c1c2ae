// Maximal update parametrization (Yang and Hu 2021, "Tensor Programs V"): the step size that is best for a narrow model is
// best for a wide one, so it is searched where runs are cheap. With m = width / base width, for Adam:
//   matrices inside   N(0, σ²/m) at the start, step size / m       (both sides grow with the width)
//   all others        as in the base: embeddings, positions, biases, gains
//   the head          logits / m                                    attention: q·k √(base d) / d in place of q·k / √d
// At the base itself, m = 1, nothing changes. Cost: nothing. The numbers equal Microsoft's `mup` (test/fixtures/mup_adam.py).
import * as tf from "@tensorflow/tfjs-core";
import { type Linear, linear as plain } from "../core/linear.ts";
import { map, type Params } from "../core/params.ts";
import type { Optimizer } from "./optim.ts";

/** Names and shapes of the parameters of a model, such as `shapes(cfg)` of model/gpt.ts gives. */
export type Shapes = Record<string, number[]>;

/**
 * How many times wider than in the base the input of each inner matrix is; 1 for what has at most one side that grows.
 * Weights are [out, in]. Throws where the two models differ in anything but width.
 */
export function widths(wide: Shapes, base: Shapes): Record<string, number> {
  const foreign = Object.keys(wide).find((name) => !base[name]) ?? Object.keys(base).find((name) => !wide[name]);
  if (foreign) throw new Error(`mup: "${foreign}" is in one of the two models only; wanted the same layers.`);
  return Object.fromEntries(
    Object.entries(wide).map(([name, shape]) => {
      const from = base[name];
      if (shape.length !== from.length)
        throw new Error(`mup: ${name} is [${shape}], in the base [${from}]; wanted the same rank.`);
      const grows = shape.map((size, axis) => size !== from[axis]);
      return [name, shape.length === 2 && grows[0] && grows[1] ? shape[1] / from[1] : 1];
    }),
  );
}

/** The start of a wide model from its usual one: inner matrices that are N(0, σ²) in every width become N(0, σ²/m). */
export function init(params: Params, width: Record<string, number>): Params {
  return map(params, (w, name) => (of(width, name) === 1 ? tf.clone(w) : tf.mul(w, 1 / Math.sqrt(of(width, name)))));
}

/** The optimizer with step size / m for inner matrices, its decay too. For Adam and what else is blind to the size of gradients. */
export function scaled<S>(optim: Optimizer<S>, width: Record<string, number>): Optimizer<S> {
  return {
    init: optim.init,
    update(grads, state, params, rate) {
      const next = optim.update(grads, state, params, rate);
      const shorter = (w: tf.Tensor, name: string) => {
        const m = of(width, name);
        return m === 1 ? w : tf.add(params[name], tf.mul(tf.sub(w, params[name]), 1 / m));
      };
      return { state: next.state, params: map(next.params, shorter) };
    },
  };
}

/** The linear layers, with the logits of a head that is `m` times wider than its base divided by m. */
export function head(m: number, { name = "lm_head", next = plain }: { name?: string; next?: Linear } = {}): Linear {
  return (layer, x, w, b) => next(layer, layer === name ? tf.mul(x, 1 / m) : x, w, b);
}

/** Attention whose scores are q·k √(base d) / d, around one that divides by √d; `base` is the width of a head in the base. */
export function attention<A extends unknown[]>(
  base: number,
  next: (q: tf.Tensor, ...rest: A) => tf.Tensor,
): (q: tf.Tensor, ...rest: A) => tf.Tensor {
  return (q, ...rest) => next(tf.mul(q, Math.sqrt(base / q.shape.at(-1)!)), ...rest);
}

function of(width: Record<string, number>, name: string): number {
  if (width[name]) return width[name];
  throw new Error(`mup: no width is known for "${name}"; make them by widths(shapes(cfg), shapes(base)).`);
}
