// GPT (Radford 2019) and Llama (Touvron 2023): a model is a record of tensors and a function.
//   x = tokens[ids] (+ positions);  for each layer: x += attention(norm(x)), x += MLP(norm(x));  logits = norm(x) headᵀ
// GPT-2: learned positions, LayerNorm, GELU by tanh, biases, the head tied to the embedding.
// Llama: rotary positions (Su 2021), RMSNorm, SwiGLU (Shazeer 2020), fewer heads for keys and values, no biases.
// Each of these is a field of the configuration, so what lies between (ReLU² as in nanochat, windows) is one too.
// Names are those of the Hugging Face file; linear weights are [out, in] in memory (gpt-files.ts turns GPT-2's Conv1D over).
// Cost: 2 FLOPs a weight and token, and 4 T C a layer for attention; the cache holds 2 L G d numbers a token.
import * as tf from "@tensorflow/tfjs-core";
import { type Linear, linear as plain } from "../core/linear.ts";
import { embed, gelu, layerNorm, rmsNorm } from "../core/ops.ts";
import { get, type Params } from "../core/params.ts";
import type { Rng } from "../core/rng.ts";
import { type Attention, apart, attend, causal } from "./attention.ts";
import { complete, type GPTConfig, shapes } from "./gpt-config.ts";
import { frequencies, rotate, rotation } from "./rope.ts";

export { complete, countParams, flops, type GPTConfig, paramBytes, shapes } from "./gpt-config.ts";
export { fromHF, toHF } from "./gpt-files.ts";

/** Keys and values of what was read, a layer each [B, kvHeads, capacity, d]; the first `at` (int32 scalar) are written. */
export interface Cache {
  k: tf.Tensor[];
  v: tf.Tensor[];
  at: tf.Tensor;
}

export interface ForwardOptions {
  /** around every matrix of weights: `h.0.attn.c_attn`, `model.layers.0.mlp.up_proj`, ..., `lm_head` */
  linear?: Linear;
  /** [T, S] scores of a head and what is done with them; see attention.ts */
  attention?: Attention;
  /** int32 [B, T]: where each id stands in its own document, of several in a row (data/pack.ts); it sees no other */
  positions?: tf.Tensor;
  /** sees the residual stream [B, T, C]: 0 the embeddings, l the output of layer l */
  hidden?: (layer: number, x: tf.Tensor) => void;
}

/** Logits [B, T, V] for ids [B, T], T <= ctx. */
export function forward(params: Params, cfg: GPTConfig, ids: tf.Tensor, options: ForwardOptions = {}): tf.Tensor {
  return run(params, cfg, ids, options).logits;
}

/** A cache for `length` positions (ctx, if not given), nothing read yet. */
export function emptyCache(cfg: GPTConfig, { batch = 1, length = cfg.ctx } = {}): Cache {
  const { layers, kvHeads, headDim } = complete(cfg);
  const empty = () => Array.from({ length: layers }, () => tf.zeros([batch, kvHeads, length, headDim]));
  return { k: empty(), v: empty(), at: tf.scalar(0, "int32") };
}

/**
 * Logits of the next `ids` [B, T] after what `cache` holds, and the cache with them: [B, T, V], or of the last position
 * only, [B, 1, V], with `last`. The same as `forward` over everything. Shapes stay the same from step to step, so
 * `jit(step)` compiles once; the caller sees to it that the cache has room for T more, and frees the old one.
 */
export function step(
  params: Params,
  cfg: GPTConfig,
  ids: tf.Tensor,
  cache: Cache,
  options: Omit<ForwardOptions, "positions"> & { last?: boolean } = {},
): { logits: tf.Tensor; cache: Cache } {
  const room = cache.k[0].shape[2]!;
  if (ids.shape[0] !== cache.k[0].shape[0] || ids.shape[1]! > room)
    throw new Error(`gpt: ids are [${ids.shape}]; the cache is for ${cache.k[0].shape[0]} rows of ${room} positions.`);
  return run(params, cfg, ids, options, cache);
}

function run(
  params: Params,
  cfg: GPTConfig,
  ids: tf.Tensor,
  { linear = plain, attention = attend, positions, hidden, last = false }: ForwardOptions & { last?: boolean },
  cache?: Cache,
): { logits: tf.Tensor; cache: Cache } {
  const { layers, dim: C, heads: H, kvHeads: G, headDim: d, name, ...kind } = complete(cfg);
  const [B, T] = ids.shape;
  if (ids.rank !== 2 || T > cfg.ctx)
    throw new Error(`gpt: ids are [${ids.shape}]; wanted [B, T] with T <= ctx = ${cfg.ctx}.`);
  const p = (name: string) => get(params, name);
  const norm = (name: string, x: tf.Tensor) =>
    kind.norm === "layer"
      ? layerNorm(x, p(`${name}.weight`), p(`${name}.bias`), kind.eps)
      : rmsNorm(x, p(`${name}.weight`), kind.eps);
  const lin = (name: string, x: tf.Tensor) =>
    linear(name, x, p(`${name}.weight`), kind.bias ? p(`${name}.bias`) : undefined);
  const split = (x: tf.Tensor) => tf.transpose(tf.reshape(x, [B, T, -1, d]), [0, 2, 1, 3]); // [B, heads, T, d]

  const keys = cache ? cache.k[0].shape[2]! : T;
  if (positions && String(positions.shape) !== String(ids.shape))
    throw new Error(`gpt: positions are [${positions.shape}], ids [${ids.shape}]; wanted the same shape.`);
  const past = causal({ length: T, keys, at: cache?.at, window: cfg.window });
  const mask = positions ? tf.minimum(past, apart(positions)) : past;
  const at = cache ? tf.add(tf.range(0, T, 1, "int32"), cache.at) : tf.range(0, T, 1, "int32");
  const places = positions ? tf.expandDims(positions, 1) : at; // [B, 1, T] or [T]
  const turn = kind.positions === "rotary" ? rotation(places, frequencies(d, kind.theta, cfg.scaling)) : undefined;
  const turned = (x: tf.Tensor) => (turn ? rotate(x, turn) : x);
  const read: Cache = { k: [], v: [], at: tf.scalar(0, "int32") };
  const remember = (part: "k" | "v", l: number, x: tf.Tensor) => {
    read[part][l] = cache ? write(cache[part][l], x, cache.at) : x;
    return read[part][l];
  };

  let x = embed(p(`${name.tokens}.weight`), ids); // [B, T, C]
  if (kind.positions === "learned") {
    const table = p("wpe.weight");
    if (positions) x = tf.add(x, embed(table, positions));
    else x = tf.add(x, cache ? tf.gather(table, within(at, cfg.ctx - 1)) : tf.slice(table, [0, 0], [T, C]));
  }
  x = tf.reshape(x, [B * T, C]);
  hidden?.(0, tf.reshape(x, [B, T, C]));
  for (let l = 0; l < layers; l++) {
    const in_ = name.layer(l);
    const normed = norm(`${in_}.${name.norms[0]}`, x);
    const parts = name.qkv.map((part) => lin(`${in_}.${part}`, normed));
    const [q, k, v] = (parts.length === 1 ? tf.split(parts[0], [H * d, G * d, G * d], 1) : parts).map(split);
    const [allK, allV] = [remember("k", l, turned(k)), remember("v", l, v)];
    const mixed = tf.transpose(attention(turned(q), allK, allV, mask, l), [0, 2, 1, 3]);
    x = tf.add(x, lin(`${in_}.${name.out}`, tf.reshape(mixed, [B * T, H * d])));
    x = tf.add(x, mlp(`${in_}.`, norm(`${in_}.${name.norms[1]}`, x)));
    hidden?.(l + 1, tf.reshape(x, [B, T, C]));
  }
  function mlp(at: string, x: tf.Tensor): tf.Tensor {
    const { gate, up, down } = name.mlp;
    const wide = lin(at + up, x); // [B T, ffn]
    if (kind.mlp === "gelu") return lin(at + down, gelu(wide));
    if (kind.mlp === "relu2") return lin(at + down, tf.square(tf.relu(wide)));
    const open = lin(at + gate, x);
    return lin(at + down, tf.mul(tf.mul(open, tf.sigmoid(open)), wide));
  }
  if (last) x = tf.reshape(tf.slice(tf.reshape(x, [B, T, C]), [0, T - 1, 0], [B, 1, C]), [B, C]);
  const head = p(kind.tied ? `${name.tokens}.weight` : "lm_head.weight");
  const logits = linear("lm_head", norm(name.last, x), head); // [B T, V]
  if (cache) read.at = tf.add(cache.at, tf.scalar(T, "int32"));
  return { logits: tf.reshape(logits, [B, last ? 1 : T, cfg.vocab]), cache: read };
}

// Whole numbers 0..most; clipped as floats, since tfjs' WASM clips the bits of int32.
function within(at: tf.Tensor, most: number): tf.Tensor1D {
  return tf.cast(tf.clipByValue(tf.cast(at, "float32"), 0, most), "int32") as tf.Tensor1D;
}

/** Positions at..at+T of `kept` [B, G, S, d] replaced by `more` [B, G, T, d]. */
export function write(kept: tf.Tensor, more: tf.Tensor, at: tf.Tensor): tf.Tensor {
  const [, , S] = kept.shape;
  const T = more.shape[2]!;
  const from = tf.sub(tf.range(0, S, 1, "int32"), at); // where in `more` each position is
  const inside = tf.logicalAnd(tf.greaterEqual(from, 0), tf.less(from, T));
  const placed = T === 1 ? more : tf.gather(more, within(from, T - 1), 2);
  return tf.where(tf.reshape(inside, [1, 1, S, 1]), placed, kept);
}

/**
 * New parameters: weights from N(0, 0.02²), those that add to the residual stream smaller by √(2 layers), biases 0,
 * gains 1. Each tensor draws from a generator of its own name, so the same seed gives the same numbers in any order.
 */
export function initGPT(cfg: GPTConfig, rng: Rng): Params {
  const params: Params = {};
  const { name } = complete(cfg);
  for (const [key, shape] of Object.entries(shapes(cfg))) {
    const adds = key.endsWith(`${name.out}.weight`) || key.endsWith(`${name.mlp.down}.weight`);
    const std = adds ? 0.02 / Math.sqrt(2 * cfg.layers) : 0.02;
    if (shape.length === 2) params[key] = rng.fork(key).normal(shape, std);
    else params[key] = key.endsWith(".weight") ? tf.ones(shape) : tf.zeros(shape);
  }
  return params;
}

export interface SampleOptions {
  /** ids to add */
  length: number;
  /** 0 takes the most likely id; 1 draws from the model's distribution */
  temperature?: number;
  rng: Rng;
}

/**
 * Continues `prompt` id by id. `logits` maps ids [1, ctx] to [1, ctx, V], as `jit((ids) => forward(params, cfg, ids))`
 * does; the window is always ctx long, filled up behind with 0, which the causal mask hides, so one program serves all.
 */
export function sample(
  logits: (ids: tf.Tensor2D) => tf.Tensor,
  cfg: GPTConfig,
  prompt: ArrayLike<number>,
  { length, temperature = 1, rng }: SampleOptions,
): number[] {
  if (!prompt.length) throw new Error("sample: the prompt is empty; give it one id or more.");
  const out = Array.from(prompt);
  for (let i = 0; i < length; i++) {
    const seen = out.slice(-cfg.ctx);
    const scores = tf.tidy(() => {
      const window = [...seen, ...Array<number>(cfg.ctx - seen.length).fill(0)];
      const all = logits(tf.tensor2d(window, [1, cfg.ctx], "int32"));
      return tf.reshape(tf.slice(all, [0, seen.length - 1, 0], [1, 1, cfg.vocab]), [-1]).dataSync();
    });
    out.push(temperature === 0 ? scores.indexOf(Math.max(...scores)) : draw(scores, temperature, rng));
  }
  return out;
}

function draw(scores: ArrayLike<number>, temperature: number, rng: Rng): number {
  const top = Array.from(scores).reduce((a, b) => Math.max(a, b));
  const weights = Array.from(scores, (score) => Math.exp((score - top) / temperature));
  let left = rng.next() * weights.reduce((a, b) => a + b);
  for (let id = 0; id < weights.length; id++) {
    left -= weights[id];
    if (left < 0) return id;
  }
  return weights.length - 1;
}
