// An LSTM layer along a text, with a gradient of its own: both passes are loops with one small product a step; all else is done
// for all steps at once.
import * as tf from "@tensorflow/tfjs-core";
import { scan } from "./scan.ts";

export interface LstmState {
  /** [B, d] */
  h: tf.Tensor;
  /** [B, d] */
  c: tf.Tensor;
}

/**
 * One layer: i, f, o = sigmoid and g = tanh of inputs + h u, c = f c + i g, h = o tanh(c) (Hochreiter 1997). The gates stand
 * in PyTorch's order: i, f, g, o.
 *
 * `inputs` [T, B, 4 d] is x w + b of all steps: one product for all of them; `u` [d, 4 d]; the state before the first step, or
 * zeros. Gives h of each step [T, B, d], and the state after the last. Between the passes it keeps h, c and the gates' sums; the
 * gradient by `u` is one product over all steps, where that of a `scan` adds one up at each.
 */
export function lstm(inputs: tf.Tensor, u: tf.Tensor, state?: LstmState): { out: tf.Tensor; state: LstmState } {
  const [T, B, gates] = inputs.shape;
  const d = gates / 4;
  const fits = inputs.rank === 3 && T > 0 && String(u.shape) === String([d, gates]);
  if (!fits) throw new Error(`lstm: inputs are [${inputs.shape}], u [${u.shape}]; wanted [T, B, 4 d] and [d, 4 d].`);
  for (const [name, given] of Object.entries(state ?? {})) {
    if (String(given.shape) !== String([B, d]))
      throw new Error(`lstm: the state's ${name} is [${given.shape}]; wanted [${[B, d]}].`);
  }
  const zero = () => tf.zeros([B, d]);
  const op = tf.customGrad((...args) => {
    const [inputs, u, h0, c0] = args as tf.Tensor[];
    const save = args[4] as tf.GradSaveFunc;
    const cell = ({ h, c }: LstmState, input: tf.Tensor): [LstmState, LstmState & { sums: tf.Tensor }] => {
      const sums = tf.add(input, tf.matMul(h, u));
      const { i, f, g, o } = activations(sums, d);
      const next = tf.add(tf.mul(f, c), tf.mul(i, g));
      const made = { h: tf.mul(o, tf.tanh(next)), c: next };
      return [made, { ...made, sums }];
    };
    const [, { h, c, sums }] = scan(cell, { h: h0, c: c0 }, inputs);
    save([sums, u, h0, c0, h, c]);
    return {
      value: tf.concat([h, c], 2),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => backwards(dy, saved),
    };
  });
  const both = op(inputs, u, state?.h ?? zero(), state?.c ?? zero()); // [T, B, 2 d]
  const of = (from: number, first: number, count: number) => tf.slice(both, [first, 0, from], [count, B, d]);
  const last = (from: number) => tf.reshape(of(from, T - 1, 1), [B, d]);
  return { out: of(0, 0, T), state: { h: last(0), c: last(d) } };
}

// One sigmoid over all four gates: XLA makes a slow loop of three functions in one.
function activations(sums: tf.Tensor, d: number) {
  const [i, f, , o] = tf.split(tf.sigmoid(sums), 4, -1);
  const third = sums.shape.map((_, axis) => (axis === sums.rank - 1 ? 2 * d : 0));
  const size = [...sums.shape.slice(0, -1), d];
  return { i, f, o, g: tf.tanh(tf.slice(sums, third, size)) };
}

function backwards(dy: tf.Tensor, [sums, u, h0, c0, h, c]: tf.Tensor[]): tf.Tensor[] {
  const [T, B, d] = h.shape;
  const before = (first: tf.Tensor, all: tf.Tensor) =>
    tf.concat([tf.expandDims(first, 0), tf.slice(all, [0, 0, 0], [T - 1, B, d])], 0);
  const hBefore = tf.reshape(before(h0, h), [T * B, d]);
  const { i, f, g, o } = activations(sums, d);
  const tanh = tf.tanh(c);
  const bent = (x: tf.Tensor) => tf.mul(x, tf.sub(1, x)); // a sigmoid's slope
  const flat = (x: tf.Tensor) => tf.sub(1, tf.square(x)); // that of tanh
  // What the gradients by c (i, f, g) and by h (o) are multiplied with to be those by the gates' sums.
  const slopes = tf.concat(
    [tf.mul(g, bent(i)), tf.mul(before(c0, c), bent(f)), tf.mul(i, flat(g)), tf.mul(tanh, bent(o))],
    2,
  );
  const [dh, dc] = tf.split(dy, 2, 2);
  const steps = { slope: slopes, f, toC: tf.mul(o, flat(tanh)), dh, dc };
  const [first, dSums] = scan(
    (after: LstmState, at: typeof steps): [LstmState, tf.Tensor] => {
      const dh = tf.add(after.h, at.dh);
      const dc = tf.add(tf.add(after.c, at.dc), tf.mul(dh, at.toC));
      const dSum = tf.mul(at.slope, tf.concat([dc, dc, dc, dh], 1));
      return [{ h: tf.matMul(dSum, u, false, true), c: tf.mul(dc, at.f) }, dSum];
    },
    { h: tf.zerosLike(h0), c: tf.zerosLike(c0) },
    steps,
    { reverse: true },
  );
  const du = tf.matMul(hBefore, tf.reshape(dSums, [T * B, 4 * d]), true);
  return [dSums, du, first.h, first.c];
}
