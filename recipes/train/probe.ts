// A linear probe: multinomial logistic regression on features that stay as they are, the plain way to use an embedder, and with
// counted words the baseline that a language model has to beat.
//   p = softmax(W x + b);  L = mean(-log p of the class) + decay/2 |W|²      by Adam on all examples at once, or in parts
// Bags of words: log(1 + count) of the words seen most often in training, each text scaled to length 1.
// Cost: steps · items · features · classes · 6 FLOPs.
import * as tf from "@tensorflow/tfjs-core";
import { valueAndGrads } from "../core/grad.ts";
import { crossEntropy } from "../core/ops.ts";
import type { Params } from "../core/params.ts";
import { adamw } from "./optim.ts";

export interface ProbeOptions {
  steps?: number;
  lr?: number;
  /** of the weights, not of the bias */
  decay?: number;
}

/** Weights [classes, features] and bias [classes] of a probe on x [n, features]; labels are 0 to classes - 1. */
export function fitProbe(
  x: tf.Tensor2D,
  labels: ArrayLike<number>,
  { steps = 300, lr = 0.05, decay = 1e-3 }: ProbeOptions = {},
): Params {
  const classes = Math.max(...Array.from(labels)) + 1;
  if (labels.length !== x.shape[0])
    throw new Error(`fitProbe: ${labels.length} labels for features [${x.shape}]; wanted one for each row.`);
  const wanted = tf.tensor1d(Int32Array.from(labels), "int32");
  const loss = valueAndGrads((p) =>
    tf.add(crossEntropy(scores(p, x), wanted), tf.mul(tf.sum(tf.square(p.weight)), decay / 2)),
  );
  const optimizer = adamw({ lr });
  let params: Params = { weight: tf.zeros([classes, x.shape[1]]), bias: tf.zeros([classes]) };
  let state = optimizer.init(params);
  for (let i = 0; i < steps; i++) {
    const before = [params, state];
    [params, state] = tf.tidy(() => {
      const next = optimizer.update(loss(params).grads, state, params);
      return [next.params, next.state] as any;
    }) as [Params, typeof state];
    tf.dispose(before as tf.TensorContainer);
  }
  tf.dispose([wanted, state]);
  return params;
}

/** The class of each row of x [n, features]. */
export function classify(probe: Params, x: tf.Tensor2D): number[] {
  return tf.tidy(() => Array.from(tf.argMax(scores(probe, x), 1).dataSync()));
}

const scores = ({ weight, bias }: Params, x: tf.Tensor) => tf.add(tf.matMul(x, weight, false, true), bias);

const words = (text: string) => text.toLowerCase().match(/[a-z]+|\d+|[$%!?]/g) ?? [];

/** A function from texts to bags of the `size` words that most of the texts given have: [n, size]. */
export function bagOfWords(texts: readonly string[], { size = 2000 } = {}): (texts: readonly string[]) => tf.Tensor2D {
  const seen = new Map<string, number>();
  for (const text of texts) for (const word of new Set(words(text))) seen.set(word, (seen.get(word) ?? 0) + 1);
  const kept = [...seen].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, size);
  if (!kept.length) throw new Error(`bagOfWords: no words in ${texts.length} texts.`);
  const place = new Map(kept.map(([word], i) => [word, i]));
  return (texts) => {
    const rows = texts.map((text) => {
      const row = new Float32Array(kept.length);
      for (const word of words(text)) if (place.has(word)) row[place.get(word)!]++;
      const logs = row.map((count) => Math.log1p(count));
      const length = Math.hypot(...logs) || 1;
      return logs.map((value) => value / length);
    });
    const all = new Float32Array(rows.length * kept.length);
    rows.forEach((row, i) => {
      all.set(row, i * kept.length);
    });
    return tf.tensor2d(all, [rows.length, kept.length]);
  };
}
