// A small GPT and its Adam step as pure functions of tfjs tensors: what the engine is measured by, and what its tests train.
// gpt_torch.py is the same model in PyTorch.
import * as tf from "@tensorflow/tfjs-core";

export interface GptConfig {
  layers: number;
  width: number;
  heads: number;
  ctx: number;
  vocab: number;
  batch: number;
}

export const small: GptConfig = { layers: 4, width: 128, heads: 4, ctx: 128, vocab: 2048, batch: 16 };
export const medium: GptConfig = { layers: 6, width: 384, heads: 6, ctx: 256, vocab: 8192, batch: 8 };

export type Params = Record<string, tf.Tensor>;

export interface State {
  params: Params;
  m: Params;
  v: Params;
  /** steps done, a scalar tensor */
  t: tf.Tensor;
}

/** A step that takes a state and gives the next one; each call does it and gives its milliseconds, the loss read. */
export function timed(step: (state: State) => { loss: tf.Tensor; state: State }, state: State): () => number {
  return () => {
    const begin = performance.now();
    const { loss, state: next } = step(state);
    state = next;
    const [value] = loss.dataSync();
    loss.dispose();
    if (!Number.isFinite(value)) throw new Error(`the loss became ${value}`);
    return performance.now() - begin;
  };
}

/** Weights from N(0, 0.02^2), made by a seeded generator; biases 0, gains 1. */
export function init(cfg: GptConfig, seed = 1): Params {
  const { layers, width: d, ctx, vocab } = cfg;
  const params: Params = {};
  const normal = (name: string, shape: number[]) => {
    params[name] = tf.randomNormal(shape, 0, 0.02, "float32", seed++);
  };
  const norm = (name: string) => {
    params[`${name}.g`] = tf.ones([d]);
    params[`${name}.b`] = tf.zeros([d]);
  };
  normal("wte", [vocab, d]);
  normal("wpe", [ctx, d]);
  for (let l = 0; l < layers; l++) {
    norm(`${l}.ln1`);
    normal(`${l}.qkv`, [d, 3 * d]);
    normal(`${l}.o`, [d, d]);
    norm(`${l}.ln2`);
    normal(`${l}.fc`, [d, 4 * d]);
    params[`${l}.fcb`] = tf.zeros([4 * d]);
    normal(`${l}.pr`, [4 * d, d]);
    params[`${l}.prb`] = tf.zeros([d]);
  }
  norm("ln");
  return params;
}

function layerNorm(x: tf.Tensor, g: tf.Tensor, b: tf.Tensor): tf.Tensor {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true);
  return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, 1e-5))), g), b);
}

const gelu = (x: tf.Tensor) => tf.mul(x, tf.sigmoid(tf.mul(x, 1.702)));

/** q, k, v [B, H, T, d/H]; every position sees itself and what came before. */
function causalAttention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor): tf.Tensor {
  const [T, width] = q.shape.slice(2);
  const at = tf.range(0, T);
  const future = tf.greater(tf.expandDims(at, 0), tf.expandDims(at, 1));
  const mask = tf.mul(tf.cast(future, "float32"), -1e9); // [T, T]
  const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(width)), mask);
  return tf.matMul(tf.softmax(scores, -1), v);
}

/** What can be computed in more than one way; PyTorch's functions of these names are such, too. */
export interface Parts {
  layerNorm(x: tf.Tensor, gain: tf.Tensor, bias: tf.Tensor): tf.Tensor;
  /** causal; q, k, v and the result [B, H, T, d/H] */
  attention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor): tf.Tensor;
  /** the mean of logits [N, V] against labels [N] */
  crossEntropy(logits: tf.Tensor, labels: tf.Tensor): tf.Tensor;
}

export const plain: Parts = { layerNorm, attention: causalAttention, crossEntropy };

/** Logits [batch * ctx, vocab] of ids [batch, ctx]. */
export function forward(p: Params, cfg: GptConfig, ids: tf.Tensor, parts: Parts = plain): tf.Tensor {
  const { layers, width: d, heads, ctx, batch } = cfg;
  const { layerNorm, attention } = parts;
  const split = (x: tf.Tensor) => tf.transpose(tf.reshape(x, [batch, ctx, heads, d / heads]), [0, 2, 1, 3]);

  let x: tf.Tensor = tf.reshape(tf.gather(p.wte, tf.reshape(ids, [-1])), [batch, ctx, d]);
  x = tf.reshape(tf.add(x, p.wpe), [batch * ctx, d]);
  for (let l = 0; l < layers; l++) {
    const h = layerNorm(x, p[`${l}.ln1.g`], p[`${l}.ln1.b`]);
    const [q, k, v] = tf.split(tf.matMul(h, p[`${l}.qkv`]), 3, 1).map(split); // [B, H, T, d/H]
    const mixed = attention(q, k, v);
    x = tf.add(x, tf.matMul(tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch * ctx, d]), p[`${l}.o`]));
    const h2 = layerNorm(x, p[`${l}.ln2.g`], p[`${l}.ln2.b`]);
    const up = gelu(tf.add(tf.matMul(h2, p[`${l}.fc`]), p[`${l}.fcb`]));
    x = tf.add(x, tf.add(tf.matMul(up, p[`${l}.pr`]), p[`${l}.prb`]));
  }
  return tf.matMul(layerNorm(x, p["ln.g"], p["ln.b"]), p.wte, false, true);
}

/** Mean cross-entropy of logits [N, V] against labels [N]. The gradient is written out: softmax minus one-hot. */
export function crossEntropy(logits: tf.Tensor, labels: tf.Tensor): tf.Tensor {
  const [rows, vocab] = logits.shape;
  const op = tf.customGrad((x, save) => {
    const shifted = tf.sub(x as tf.Tensor, tf.max(x as tf.Tensor, -1, true));
    const logProbs = tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), -1, true)));
    const target = tf.oneHot(tf.cast(labels, "int32"), vocab);
    (save as tf.GradSaveFunc)([logProbs, target]);
    return {
      value: tf.div(tf.neg(tf.sum(tf.mul(logProbs, target))), rows),
      gradFunc: (dy: tf.Tensor, [lp, t]: tf.Tensor[]) => tf.mul(tf.sub(tf.exp(lp), t), tf.div(dy, rows)),
    };
  });
  return op(logits);
}

export const loss = (params: Params, cfg: GptConfig, ids: tf.Tensor, labels: tf.Tensor, parts: Parts = plain) =>
  parts.crossEntropy(forward(params, cfg, ids, parts), labels);

/** Optimizer state of new parameters. */
export function start(params: Params): State {
  const zeros = () => Object.fromEntries(Object.entries(params).map(([name, p]) => [name, tf.zerosLike(p)]));
  return { params, m: zeros(), v: zeros(), t: tf.scalar(0) };
}

/** Adam (betas 0.9, 0.999, eps 1e-8). */
export function adam(state: State, grads: Params, lr: number): State {
  const t = tf.add(state.t, 1);
  const c1 = tf.sub(1, tf.pow(0.9, t));
  const c2 = tf.sub(1, tf.pow(0.999, t));
  const next: State = { params: {}, m: {}, v: {}, t };
  for (const [name, g] of Object.entries(grads)) {
    const m = tf.add(tf.mul(state.m[name], 0.9), tf.mul(g, 0.1));
    const v = tf.add(tf.mul(state.v[name], 0.999), tf.mul(tf.square(g), 0.001));
    const update = tf.div(tf.div(m, c1), tf.add(tf.sqrt(tf.div(v, c2)), 1e-8));
    next.params[name] = tf.sub(state.params[name], tf.mul(update, lr));
    next.m[name] = m;
    next.v[name] = v;
  }
  return next;
}

/** A fixed batch of ids and labels, uniform over the vocabulary. */
export function batch(cfg: GptConfig, seed = 7): { ids: tf.Tensor; labels: tf.Tensor } {
  const draw = (shape: number[], s: number) => tf.cast(tf.randomUniform(shape, 0, cfg.vocab, "float32", s), "int32");
  return { ids: draw([cfg.batch, cfg.ctx], seed), labels: draw([cfg.batch * cfg.ctx], seed + 1) };
}
