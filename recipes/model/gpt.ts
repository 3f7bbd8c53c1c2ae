// GPT-2 (Radford 2019): a model is a record of tensors and a function.
//   x = wte[ids] + wpe;  for each layer: x += attention(LayerNorm(x)), x += MLP(LayerNorm(x));  logits = LayerNorm(x) wteᵀ
// Learned positions, LayerNorm before each part, GELU by tanh, the head tied to the embedding.
// Names are those of the Hugging Face file; linear weights are [out, in] in memory (fromHF, toHF turn GPT-2's Conv1D over).
import * as tf from "@tensorflow/tfjs-core";
import { type Linear, linear as plain } from "../core/linear.ts";
import { causalMask, embed, gelu, layerNorm } from "../core/ops.ts";
import { get, type Params } from "../core/params.ts";
import type { Rng } from "../core/rng.ts";

export interface GPTConfig {
  layers: number;
  /** width of the residual stream */
  dim: number;
  heads: number;
  /** longest sequence: the number of learned positions */
  ctx: number;
  vocab: number;
}

/** softmax(q kᵀ / √d + mask) v. q, k, v [B, H, T, d], mask [T, T] of 0 and -1e9; the result [B, H, T, d]. */
export type Attention = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, mask: tf.Tensor, layer: number) => tf.Tensor;

export interface ForwardOptions {
  /** around every matrix of weights: `h.0.attn.c_attn`, `h.0.attn.c_proj`, `h.0.mlp.c_fc`, `h.0.mlp.c_proj`, `lm_head` */
  linear?: Linear;
  attention?: Attention;
  /** sees the residual stream [B, T, C]: 0 the embeddings, l the output of layer l */
  hidden?: (layer: number, x: tf.Tensor) => void;
}

const attend: Attention = (q, k, v, mask) => {
  const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(q.shape[3]!)); // [B, H, T, T]
  return tf.matMul(tf.softmax(tf.add(scores, mask), -1), v);
};

/** Logits [B, T, V] for ids [B, T], T <= ctx. */
export function forward(
  params: Params,
  cfg: GPTConfig,
  ids: tf.Tensor,
  { linear = plain, attention = attend, hidden }: ForwardOptions = {},
): tf.Tensor {
  const { layers, dim: C, heads: H } = cfg;
  const [B, T] = ids.shape;
  if (ids.rank !== 2 || T > cfg.ctx)
    throw new Error(`gpt: ids are [${ids.shape}]; wanted [B, T] with T <= ctx = ${cfg.ctx}.`);
  const p = (name: string) => get(params, name);
  const norm = (name: string, x: tf.Tensor) => layerNorm(x, p(`${name}.weight`), p(`${name}.bias`));
  const lin = (name: string, x: tf.Tensor) => linear(name, x, p(`${name}.weight`), p(`${name}.bias`));
  const split = (x: tf.Tensor) => tf.transpose(tf.reshape(x, [B, T, H, C / H]), [0, 2, 1, 3]);
  const mask = causalMask(T);

  const wpe = tf.slice(p("wpe.weight"), [0, 0], [T, C]);
  let x = tf.reshape(tf.add(embed(p("wte.weight"), ids), wpe), [B * T, C]);
  hidden?.(0, tf.reshape(x, [B, T, C]));
  for (let l = 0; l < layers; l++) {
    const [q, k, v] = tf.split(lin(`h.${l}.attn.c_attn`, norm(`h.${l}.ln_1`, x)), 3, 1).map(split); // [B, H, T, C/H]
    const mixed = tf.reshape(tf.transpose(attention(q, k, v, mask, l), [0, 2, 1, 3]), [B * T, C]);
    x = tf.add(x, lin(`h.${l}.attn.c_proj`, mixed));
    x = tf.add(x, lin(`h.${l}.mlp.c_proj`, gelu(lin(`h.${l}.mlp.c_fc`, norm(`h.${l}.ln_2`, x)))));
    hidden?.(l + 1, tf.reshape(x, [B, T, C]));
  }
  const logits = linear("lm_head", norm("ln_f", x), p("wte.weight")); // [B T, V]
  return tf.reshape(logits, [B, T, cfg.vocab]);
}

/**
 * New parameters: weights from N(0, 0.02²), those that add to the residual stream smaller by √(2 layers), biases 0,
 * gains 1. Each tensor draws from a generator of its own name, so the same seed gives the same numbers in any order.
 */
export function initGPT(cfg: GPTConfig, rng: Rng): Params {
  if (cfg.dim % cfg.heads) throw new Error(`gpt: dim ${cfg.dim} is not a multiple of heads ${cfg.heads}.`);
  const params: Params = {};
  for (const [name, shape] of Object.entries(shapes(cfg))) {
    const std = name.endsWith("c_proj.weight") ? 0.02 / Math.sqrt(2 * cfg.layers) : 0.02;
    if (shape.length === 2) params[name] = rng.fork(name).normal(shape, std);
    else params[name] = /ln_.*weight$/.test(name) ? tf.ones(shape) : tf.zeros(shape);
  }
  return params;
}

/** Names and shapes of the parameters, in the order of the model. */
export function shapes({ layers, dim, ctx, vocab }: GPTConfig): Record<string, number[]> {
  const all: Record<string, number[]> = { "wte.weight": [vocab, dim], "wpe.weight": [ctx, dim] };
  const norm = (name: string) => Object.assign(all, { [`${name}.weight`]: [dim], [`${name}.bias`]: [dim] });
  const lin = (name: string, out: number, into: number) =>
    Object.assign(all, { [`${name}.weight`]: [out, into], [`${name}.bias`]: [out] });
  for (let l = 0; l < layers; l++) {
    norm(`h.${l}.ln_1`);
    lin(`h.${l}.attn.c_attn`, 3 * dim, dim);
    lin(`h.${l}.attn.c_proj`, dim, dim);
    norm(`h.${l}.ln_2`);
    lin(`h.${l}.mlp.c_fc`, 4 * dim, dim);
    lin(`h.${l}.mlp.c_proj`, dim, 4 * dim);
  }
  norm("ln_f");
  return all;
}

/** Number of parameters: V C + T C + L (12 C² + 13 C) + 2 C. The head is the embedding. */
export function countParams({ layers, dim, ctx, vocab }: GPTConfig): number {
  return (vocab + ctx) * dim + layers * (12 * dim ** 2 + 13 * dim) + 2 * dim;
}

/** FLOPs of the matrix products of a forward pass over [batch, length]; a training step takes three times as many. */
export function flops({ layers, dim, ctx, vocab }: GPTConfig, { batch = 1, length = ctx } = {}): number {
  const weights = 2 * batch * length * (12 * layers * dim ** 2 + vocab * dim);
  const attention = 4 * layers * batch * length ** 2 * dim; // scores and their product with the values
  return weights + attention;
}

/** Bytes of the parameters at `bits` a number. */
export function paramBytes(cfg: GPTConfig, bits = 32): number {
  return (countParams(cfg) * bits) / 8;
}

// GPT-2's file keeps these as [in, out], as its Conv1D layer does.
const conv1d = /(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight$/;

/** Parameters from the tensors of a Hugging Face GPT-2 file, and its configuration; `heads` is not in the file. */
export function fromHF(file: Params, heads: number): { params: Params; cfg: GPTConfig } {
  const named: Params = {};
  for (const [name, tensor] of Object.entries(file)) {
    const short = name.replace(/^transformer\./, "");
    if (/\.attn\.(masked_)?bias$/.test(short)) continue; // the causal mask, which old files carry
    if (short !== "lm_head.weight") named[short] = conv1d.test(short) ? tf.transpose(tensor) : tensor; // the head is tied
  }
  const [vocab, dim] = get(named, "wte.weight").shape;
  const [ctx] = get(named, "wpe.weight").shape;
  const layers = new Set(Object.keys(named).flatMap((name) => /^h\.(\d+)\./.exec(name)?.[1] ?? [])).size;
  const cfg: GPTConfig = { layers, dim, heads, ctx, vocab };
  const wanted = shapes(cfg);
  for (const [name, shape] of Object.entries(wanted)) {
    const found = get(named, name).shape;
    if (String(found) !== String(shape)) throw new Error(`gpt: ${name} is [${found}]; wanted [${shape}].`);
  }
  const foreign = Object.keys(named).find((name) => !wanted[name]);
  if (foreign) throw new Error(`gpt: "${foreign}" is not a parameter of GPT-2.`);
  return { params: Object.fromEntries(Object.keys(wanted).map((name) => [name, named[name]])), cfg };
}

/** The tensors as a Hugging Face GPT-2 file names and lays them out: `save(path, toHF(params))`. */
export function toHF(params: Params): Params {
  return Object.fromEntries(
    Object.entries(params).map(([name, tensor]) => [name, conv1d.test(name) ? tf.transpose(tensor) : tensor]),
  );
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
