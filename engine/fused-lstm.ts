// An LSTM layer along a text, with a gradient of its own: both passes are loops with one small product a step; all else is done
// for all steps at once.
import * as tf from "@tensorflow/tfjs-core";
import { type Step, scan, scanOver } from "./scan.ts";

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
    const [last, { h, c, sums }] = scan(cell, { h: h0, c: c0 }, inputs);
    save([sums, u, h0, c0, h, c]);
    return {
      value: tf.concat([h, tf.expandDims(last.c, 0)], 0),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => backwards(dy, saved),
    };
  });
  const all = op(inputs, u, state?.h ?? zero(), state?.c ?? zero()); // [T + 1, B, d]: h of each step, c of the last
  const row = (at: number) => tf.reshape(tf.slice(all, [at, 0, 0], [1, B, d]), [B, d]);
  return { out: tf.slice(all, [0, 0, 0], [T, B, d]), state: { h: row(T - 1), c: row(T) } };
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
  const dOut = tf.slice(dy, [0, 0, 0], [T, B, d]);
  const dLast = tf.reshape(tf.slice(dy, [T, 0, 0], [1, B, d]), [B, d]);
  const turned = turnedOver(u);
  const step: Step = ([dhNext, dcNext], [slope, f, toC, dOut]) => {
    const dh = tf.add(dhNext, dOut);
    const dc = tf.add(dcNext, tf.mul(dh, toC));
    const dSum = tf.mul(slope, tf.concat([dc, dc, dc, dh], 1));
    return { carry: [tf.matMul(dSum, turned), tf.mul(dc, f)], ys: [dSum] };
  };
  const xs = [slopes, f, tf.mul(o, flat(tanh)), dOut];
  // The gradients by the sums take the place of the slopes: no array of zeros is made, nor copied.
  const { carry, y: dSums } = scanOver(step, [tf.zerosLike(h0), dLast], xs, true);
  const du = tf.matMul(hBefore, tf.reshape(dSums, [T * B, 4 * d]), true);
  return [dSums, du, ...carry];
}

/** uᵀ, as an array of its own. In two halves: XLA undoes the exchange where it sees a factor turned over as a whole. */
function turnedOver(u: tf.Tensor): tf.Tensor {
  const [d, gates] = u.shape;
  const half = gates / 2;
  return tf.concat(
    [0, half].map((from) => tf.transpose(tf.slice(u, [0, from], [d, half]))),
    0,
  );
}
