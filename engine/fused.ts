// Parts of a model whose gradient is written out, because what tfjs' tape would keep or compute for it costs memory or time.
// They are made of tfjs ops, so they run eagerly, inside jit and on every device.
import * as tf from "@tensorflow/tfjs-core";
import { tensorflowBackend } from "./backend.ts";

export type { LstmState } from "./fused-lstm.ts";
export { lstm } from "./fused-lstm.ts";

/**
 * -log softmax(logits)[label] at each position: logits [..., V], labels [...] (whole numbers from 0 to V - 1); the result [...].
 *
 * Between forward and backward pass it keeps one number a position beside the logits; the gradient, softmax minus one-hot, is
 * one fused loop. The largest logit is subtracted first, so 1e4 does not overflow.
 */
export function softmaxCrossEntropy(logits: tf.Tensor, labels: tf.Tensor): tf.Tensor {
  const vocab = logits.shape[logits.rank - 1];
  if (logits.rank === 0 || String(logits.shape.slice(0, -1)) !== String(labels.shape)) {
    throw new Error(
      `softmaxCrossEntropy: logits are [${logits.shape}], labels [${labels.shape}]; wanted logits [...labels, V].`,
    );
  }
  const ids = tf.cast(tf.reshape(labels, [-1]), "int32");
  const each = tf.customGrad((x, save) => {
    const rows = x as tf.Tensor;
    const largest = tf.max(rows, -1, true);
    const logSum = tf.add(tf.log(tf.sum(tf.exp(tf.sub(rows, largest)), -1, true)), largest); // [N, 1]
    (save as tf.GradSaveFunc)([rows, logSum, ids]);
    return {
      value: tf.sub(tf.reshape(logSum, [-1]), tf.gather(tf.reshape(rows, [-1]), places(ids, vocab))),
      gradFunc: (dy: tf.Tensor, [rows, logSum, ids]: tf.Tensor[]) =>
        tf.mul(tf.sub(tf.exp(tf.sub(rows, logSum)), oneHot(ids, vocab)), tf.expandDims(dy, -1)),
    };
  })(logits.rank === 2 ? logits : tf.reshape(logits, [-1, vocab]));
  return tf.reshape(each, labels.shape);
}

/** Where each row's label stands among all logits. */
const places = (ids: tf.Tensor, vocab: number) =>
  tf.add(ids, tf.mul(tf.range(0, ids.size, 1, "int32"), tf.scalar(vocab, "int32")));

// XLA computes it where it is used; it is no array there. Eagerly a cast takes as long as the rest; tfjs' WASM kernel writes
// integers whatever it is asked for.
const oneHot = (ids: tf.Tensor, vocab: number) =>
  tensorflowBackend() ? tf.oneHot(ids, vocab, 1, 0, "float32") : tf.cast(tf.oneHot(ids, vocab), "float32");

/**
 * (x - mean) / deviation * gain + bias over the last axis (Ba 2016): x [..., C], gain and bias [C].
 *
 * It keeps x, and two numbers a row. The gradient takes two sums along the rows and two down the columns.
 */
export function layerNorm(x: tf.Tensor, gain: tf.Tensor, bias: tf.Tensor, eps = 1e-5): tf.Tensor {
  const width = x.shape[x.rank - 1];
  for (const [what, given] of Object.entries({ gain, bias })) {
    if (x.rank === 0 || String(given.shape) !== String([width]))
      throw new Error(`layerNorm: x is [${x.shape}], ${what} [${given.shape}]; wanted x [..., C] and ${what} [C].`);
  }
  const op = tf.customGrad((...args) => {
    const [x, gain, bias, save] = args as unknown as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const mean = tf.mean(x, -1, true);
    const centred = tf.sub(x, mean);
    const scale = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), eps)); // [N, 1]
    save([x, gain, mean, scale]);
    return {
      value: tf.add(tf.mul(tf.mul(centred, scale), gain), bias),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [x, gain, mean, scale] = saved;
        const unit = tf.mul(tf.sub(x, mean), scale);
        const inner = tf.mul(dy, gain);
        const along = tf.sub(inner, tf.mul(unit, tf.mean(tf.mul(inner, unit), -1, true)));
        const dx = tf.mul(tf.sub(along, tf.mean(inner, -1, true)), scale);
        return [dx, tf.sum(tf.mul(dy, unit), 0), tf.sum(dy, 0)];
      },
    };
  });
  return tf.reshape(op(tf.reshape(x, [-1, width]), gain, bias), x.shape);
}

export interface AttentionOptions {
  /** position i sees positions up to i only; where there are more keys than queries, the last query sees them all */
  causal?: boolean;
  /** added to the scores, [T, S] or what broadcasts to [..., T, S]: 0 where a query may look, -1e9 where not; no gradient */
  mask?: tf.Tensor;
  /** factor of the scores; 1 / sqrt(d) if not given */
  scale?: number;
  /** rows or columns of scores at a time; an eighth of the sequence, but 64 at least, if not given */
  block?: number;
}

/**
 * softmax(scale q kᵀ + mask) v: q [..., T, d], k [..., S, d], v [..., S, e]; the result [..., T, e].
 *
 * The scores [T, S] are never kept: the forward pass takes a block of queries at a time and keeps the logarithm of each row's
 * sum; the backward pass takes a block of keys at a time and computes their scores again (T. Dao et al., "FlashAttention",
 * 2022). With `causal`, blocks in the future are not computed at all.
 */
export function attention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, options: AttentionOptions = {}): tf.Tensor {
  const { causal = false, mask } = options;
  checkAttention(q, k, v, options);
  const [T, d] = q.shape.slice(-2);
  const S = k.shape[k.rank - 2];
  const { scale = 1 / Math.sqrt(d), block = Math.max(64, Math.ceil(Math.max(T, S) / 8)) } = options;
  const later = S - T; // query i stands at position i + later
  // Scores of queries and keys from..to, laid out [..., queries, keys] or turned over.
  const scores = (q: tf.Tensor, k: tf.Tensor, [i, iEnd]: Span, [j, jEnd]: Span, mask?: tf.Tensor, turned = false) => {
    let s = turned ? tf.matMul(k, q, false, true) : tf.matMul(q, k, false, true);
    s = tf.mul(s, scale);
    const turn = (x: tf.Tensor) => (turned ? swapLast(x) : x);
    if (mask) s = tf.add(s, turn(part(part(mask, -2, [i, iEnd]), -1, [j, jEnd])));
    if (causal && jEnd - 1 > i + later) s = tf.add(s, turn(future([i + later, iEnd + later], [j, jEnd])));
    return s;
  };

  const op = tf.customGrad((...args) => {
    const [q, k, v, save] = args as unknown as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const rows: tf.Tensor[] = [];
    const sums: tf.Tensor[] = [];
    for (const queries of spans(T, block)) {
      const keys: Span = [0, causal ? Math.min(S, queries[1] + later) : S];
      const s = scores(afterwards(part(q, -2, queries), rows), part(k, -2, keys), queries, keys, mask);
      const largest = tf.max(s, -1, true);
      const weights = tf.exp(tf.sub(s, largest));
      const sum = tf.sum(weights, -1, true);
      rows.push(tf.div(tf.matMul(weights, part(v, -2, keys)), sum));
      sums.push(tf.add(tf.log(sum), largest));
    }
    const out = join(rows);
    const logSum = join(sums); // [..., T, 1]
    save(mask ? [q, k, v, out, logSum, mask] : [q, k, v, out, logSum]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [q, k, v, out, logSum, mask] = saved;
      const shift = swapLast(logSum); // [..., 1, T]
      const drift = swapLast(tf.sum(tf.mul(dy, out), -1, true)); // [..., 1, T]
      let dq: tf.Tensor | undefined;
      const dk: tf.Tensor[] = [];
      const dv: tf.Tensor[] = [];
      for (const keys of spans(S, block)) {
        const queries: Span = [causal ? Math.max(0, keys[0] - later) : 0, T];
        const [qs, dys] = [q, dy].map((x) => part(x, -2, queries));
        const [ks, vs] = [k, v].map((x) => afterwards(part(x, -2, keys), dk));
        // Turned over, [..., keys, queries]: then two of the three products below need no transposed copy.
        const s = scores(qs, ks, queries, keys, mask, true);
        const weights = tf.exp(tf.sub(s, part(shift, -1, queries)));
        dv.push(tf.matMul(weights, dys));
        const slope = tf.sub(tf.matMul(vs, dys, false, true), part(drift, -1, queries));
        const ds = tf.mul(tf.mul(weights, slope), scale);
        dk.push(tf.matMul(ds, qs));
        const more = padRows(tf.matMul(ds, ks, true), queries[0]);
        dq = dq ? tf.add(dq, more) : more;
      }
      return [dq!, join(dk), join(dv)];
    };
    return { value: out, gradFunc };
  });
  return op(q, k, v);
}

function checkAttention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, { causal, mask, block }: AttentionOptions) {
  const [T, S] = [q, k].map((x) => x.shape[x.rank - 2]);
  const lead = (x: tf.Tensor) => String(x.shape.slice(0, -2));
  const same = q.rank >= 2 && [k, v].every((x) => x.rank === q.rank && lead(x) === lead(q));
  if (!same || q.shape[q.rank - 1] !== k.shape[k.rank - 1] || v.shape[v.rank - 2] !== S) {
    const found = `q is [${q.shape}], k [${k.shape}], v [${v.shape}]`;
    throw new Error(
      `attention: ${found}; wanted [..., T, d], [..., S, d] and [..., S, e] with the same leading sizes.`,
    );
  }
  if (causal && S < T) throw new Error(`attention: causal, but there are ${T} queries and only ${S} keys.`);
  if (mask && (mask.rank < 2 || mask.shape[mask.rank - 2] !== T || mask.shape[mask.rank - 1] !== S))
    throw new Error(`attention: the mask is [${mask.shape}]; wanted [..., ${T}, ${S}].`);
  if (block !== undefined && !(Number.isInteger(block) && block >= 1))
    throw new Error(`attention: block is ${block}; wanted a whole number from 1.`);
}

/** x, but not before the last of `done` is: XLA would compute the blocks side by side, and hold the scores of them all. */
function afterwards(x: tf.Tensor, done: tf.Tensor[]): tf.Tensor {
  const last = done.at(-1);
  if (!last || !tensorflowBackend()?.native.tracer()) return x;
  // A zero, which XLA does not know, of any value of the last.
  const one = tf.slice(tf.reshape(last, [-1]), 0, 1);
  return tf.add(x, tf.mul(tf.cast(tf.isNaN(one), "float32"), 0));
}

type Span = [from: number, to: number];

const spans = (length: number, block: number): Span[] =>
  Array.from({ length: Math.ceil(length / block) }, (_, i) => [i * block, Math.min(length, (i + 1) * block)]);

function part(x: tf.Tensor, axis: -1 | -2, [from, to]: Span): tf.Tensor {
  const at = x.rank + axis;
  if (from === 0 && to === x.shape[at]) return x;
  const along = (value: number) => x.shape.map((_, i) => (i === at ? value : 0));
  return tf.slice(
    x,
    along(from),
    x.shape.map((n, i) => (i === at ? to - from : n)),
  );
}

const join = (parts: tf.Tensor[]) => (parts.length === 1 ? parts[0] : tf.concat(parts, parts[0].rank - 2));

const padRows = (x: tf.Tensor, before: number) =>
  before
    ? tf.pad(
        x,
        x.shape.map((_, i): [number, number] => [i === x.rank - 2 ? before : 0, 0]),
      )
    : x;

function swapLast(x: tf.Tensor): tf.Tensor {
  const axes = x.shape.map((_, i) => i);
  return tf.transpose(x, [...axes.slice(0, -2), x.rank - 1, x.rank - 2]);
}

/** [queries, keys]: -1e9 where the key stands later than the query, else 0. */
function future([i, iEnd]: Span, [j, jEnd]: Span): tf.Tensor {
  const later = tf.greater(tf.expandDims(tf.range(j, jEnd), 0), tf.expandDims(tf.range(i, iEnd), 1));
  return tf.mul(tf.cast(later, "float32"), -1e9);
}
