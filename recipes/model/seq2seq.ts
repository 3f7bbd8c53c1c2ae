// T5 (Raffel 2020): an encoder reads the source in both directions, a decoder writes the target and looks at what was read.
//   encoder, a layer:  x += attention(norm(x)), x += MLP(norm(x))
//   decoder, a layer:  x += attention(norm(x)), x += attention(norm(x), encoded), x += MLP(norm(x))
// RMSNorm, no biases. Positions are a learned number for each head and distance, added to the scores (the same in all
// layers), which are not divided by √d. Names are those of the Hugging Face file. v1.0 has ReLU and a tied head that is
// scaled by 1/√C, v1.1 a gate with GELU and a head of its own.
import * as tf from "@tensorflow/tfjs-core";
import { type Linear, linear as plain } from "../core/linear.ts";
import { gelu, embed as lookup, rmsNorm } from "../core/ops.ts";
import { get, type Params } from "../core/params.ts";
import type { Rng } from "../core/rng.ts";
import { causal } from "./attention.ts";
import { write } from "./gpt.ts";

export interface T5Config {
  /** layers of the encoder, and of the decoder */
  layers: number;
  decoderLayers: number;
  dim: number;
  heads: number;
  /** width of a head; need not be dim / heads */
  headDim: number;
  ffn: number;
  vocab: number;
  mlp: "relu" | "gated-gelu";
  tied: boolean;
  /** the decoder's last states are multiplied by 1/√dim */
  scaled: boolean;
  /** how many distances are told apart, and from which on all are the same */
  buckets: number;
  farthest: number;
  eps: number;
  /** the id that the decoder begins with */
  start: number;
}

export interface ForwardOptions {
  /** [B, S]: 1 where the source has text, 0 where it has padding; all text if not given */
  mask?: tf.Tensor;
  /** around every matrix of weights: `encoder.block.0.layer.0.SelfAttention.q`, ..., `lm_head` */
  linear?: Linear;
}

/** Logits [B, T, V] of a target [B, T], which begins with `start`, given a source [B, S]. */
export function forward(
  params: Params,
  cfg: T5Config,
  source: tf.Tensor,
  target: tf.Tensor,
  options: ForwardOptions = {},
): tf.Tensor {
  return decode(params, cfg, target, encode(params, cfg, source, options), options);
}

/** What the encoder makes of a source [B, S]: [B, S, C]. */
export function encode(
  params: Params,
  cfg: T5Config,
  source: tf.Tensor,
  { mask, linear = plain }: ForwardOptions = {},
): tf.Tensor {
  const S = lengthOf("source", source);
  const { attend, mlp, norm } = parts(params, cfg, linear);
  const distances = bias(params, cfg, "encoder", S, true);
  const scores = mask ? tf.add(distances, padding(mask, source)) : distances;
  let x = lookup(get(params, "shared.weight"), source); // [B, S, C]
  for (let l = 0; l < cfg.layers; l++) {
    const at = `encoder.block.${l}.layer`;
    const read = norm(`${at}.0.layer_norm`, x);
    x = tf.add(x, attend(`${at}.0.SelfAttention`, read, read, scores));
    x = tf.add(x, mlp(`${at}.1.DenseReluDense`, norm(`${at}.1.layer_norm`, x)));
  }
  return norm("encoder.final_layer_norm", x);
}

/** Logits [B, T, V] of a target [B, T] given what the encoder made of the source, [B, S, C]. */
export function decode(
  params: Params,
  cfg: T5Config,
  target: tf.Tensor,
  encoded: tf.Tensor,
  { mask, linear = plain }: ForwardOptions = {},
): tf.Tensor {
  const T = lengthOf("target", target);
  const { attend, mlp, norm } = parts(params, cfg, linear);
  const scores = tf.add(bias(params, cfg, "decoder", T, false), causal({ length: T })); // [1, H, T, T]
  const across = mask && padding(mask, encoded);
  let x = lookup(get(params, "shared.weight"), target); // [B, T, C]
  for (let l = 0; l < cfg.decoderLayers; l++) {
    const at = `decoder.block.${l}.layer`;
    const read = norm(`${at}.0.layer_norm`, x);
    x = tf.add(x, attend(`${at}.0.SelfAttention`, read, read, scores));
    x = tf.add(x, attend(`${at}.1.EncDecAttention`, norm(`${at}.1.layer_norm`, x), encoded, across));
    x = tf.add(x, mlp(`${at}.2.DenseReluDense`, norm(`${at}.2.layer_norm`, x)));
  }
  return head(params, cfg, x, linear);
}

/**
 * What the decoder remembers: keys and values of the target, a layer each [B, H, capacity, d], of which the first `at`
 * (int32 scalar) are written, and those of the source [B, H, S, d] with what hides its padding, [B, 1, 1, S].
 */
export interface Cache {
  k: tf.Tensor[];
  v: tf.Tensor[];
  sourceK: tf.Tensor[];
  sourceV: tf.Tensor[];
  padding: tf.Tensor;
  at: tf.Tensor;
}

/** A cache for `length` positions of targets, given what the encoder made of the source, [B, S, C]: nothing written yet. */
export function emptyCache(
  params: Params,
  cfg: T5Config,
  encoded: tf.Tensor,
  { length, mask, linear = plain }: ForwardOptions & { length: number },
): Cache {
  const [B, S] = encoded.shape;
  const { lin, split } = parts(params, cfg, linear);
  const layers = Array.from({ length: cfg.decoderLayers }, (_, l) => l);
  const empty = () => layers.map(() => tf.zeros([B, cfg.heads, length, cfg.headDim]));
  const of = (part: string) =>
    layers.map((l) => tf.tidy(() => split(lin(`decoder.block.${l}.layer.1.EncDecAttention.${part}`, encoded))));
  const hidden = tf.tidy(() => (mask ? padding(mask, encoded) : tf.zeros([B, 1, 1, S!])));
  return { k: empty(), v: empty(), sourceK: of("k"), sourceV: of("v"), padding: hidden, at: tf.scalar(0, "int32") };
}

/**
 * Logits of the next `target` [B, T] after what `cache` holds, and the cache with them: [B, T, V], or of the last position
 * only, [B, 1, V], with `last`. The same as `decode` over everything. Shapes stay the same from step to step, so that
 * `jit(step)` compiles once; the caller sees to it that the cache has room for T more, and frees the old one.
 */
export function step(
  params: Params,
  cfg: T5Config,
  target: tf.Tensor,
  cache: Cache,
  { linear = plain, last = false }: Pick<ForwardOptions, "linear"> & { last?: boolean } = {},
): { logits: tf.Tensor; cache: Cache } {
  const T = lengthOf("target", target);
  const [B, , room] = cache.k[0].shape;
  if (target.shape[0] !== B || T > room!)
    throw new Error(`t5: the target is [${target.shape}]; the cache is for ${B} rows of ${room} positions.`);
  const { lin, split, mix, mlp, norm } = parts(params, cfg, linear);
  const scores = tf.add(stepBias(params, cfg, T, room!, cache.at), causal({ length: T, keys: room, at: cache.at }));
  const next = { k: [] as tf.Tensor[], v: [] as tf.Tensor[] };
  let x = lookup(get(params, "shared.weight"), target); // [B, T, C]
  for (let l = 0; l < cfg.decoderLayers; l++) {
    const at = `decoder.block.${l}.layer`;
    const read = norm(`${at}.0.layer_norm`, x);
    const [q, k, v] = ["q", "k", "v"].map((part) => split(lin(`${at}.0.SelfAttention.${part}`, read)));
    next.k[l] = write(cache.k[l], k, cache.at);
    next.v[l] = write(cache.v[l], v, cache.at);
    x = tf.add(x, mix(`${at}.0.SelfAttention`, q, next.k[l], next.v[l], scores));
    const across = split(lin(`${at}.1.EncDecAttention.q`, norm(`${at}.1.layer_norm`, x)));
    x = tf.add(x, mix(`${at}.1.EncDecAttention`, across, cache.sourceK[l], cache.sourceV[l], cache.padding));
    x = tf.add(x, mlp(`${at}.2.DenseReluDense`, norm(`${at}.2.layer_norm`, x)));
  }
  if (last) x = tf.slice(x, [0, T - 1, 0], [B, 1, cfg.dim]);
  const kept = { sourceK: cache.sourceK.map((t) => tf.clone(t)), sourceV: cache.sourceV.map((t) => tf.clone(t)) };
  return {
    logits: head(params, cfg, x, linear),
    cache: { ...next, ...kept, padding: tf.clone(cache.padding), at: tf.add(cache.at, tf.scalar(T, "int32")) },
  };
}

function head(params: Params, cfg: T5Config, x: tf.Tensor, linear: Linear): tf.Tensor {
  const last = rmsNorm(x, get(params, "decoder.final_layer_norm.weight"), cfg.eps);
  const w = get(params, cfg.tied ? "shared.weight" : "lm_head.weight");
  return linear("lm_head", cfg.scaled ? tf.mul(last, cfg.dim ** -0.5) : last, w);
}

function parts(params: Params, cfg: T5Config, linear: Linear) {
  const { heads: H, headDim: d } = cfg;
  const p = (name: string) => get(params, `${name}.weight`);
  const lin = (name: string, x: tf.Tensor) => linear(name, x, p(name));
  const norm = (name: string, x: tf.Tensor) => rmsNorm(x, p(name), cfg.eps);
  const split = (x: tf.Tensor) => tf.transpose(tf.reshape(x, [x.shape[0], x.shape[1]!, H, d]), [0, 2, 1, 3]); // [B, H, T, d]
  const attend = (at: string, x: tf.Tensor, seen: tf.Tensor, added?: tf.Tensor) => {
    const [q, k, v] = [lin(`${at}.q`, x), lin(`${at}.k`, seen), lin(`${at}.v`, seen)].map(split);
    return mix(at, q, k, v, added);
  };
  const mix = (at: string, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, added?: tf.Tensor) => {
    const scores = tf.matMul(q, k, false, true); // [B, H, T, S]
    const mixed = tf.matMul(tf.softmax(added ? tf.add(scores, added) : scores, -1), v);
    const [B, , T] = q.shape;
    return lin(`${at}.o`, tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [B, T!, H * d]));
  };
  const mlp = (at: string, x: tf.Tensor) => {
    if (cfg.mlp === "relu") return lin(`${at}.wo`, tf.relu(lin(`${at}.wi`, x)));
    return lin(`${at}.wo`, tf.mul(gelu(lin(`${at}.wi_0`, x)), lin(`${at}.wi_1`, x)));
  };
  return { lin, split, attend, mix, mlp, norm };
}

function lengthOf(what: string, ids: tf.Tensor): number {
  if (ids.rank !== 2) throw new Error(`t5: the ${what} is [${ids.shape}]; wanted [B, T].`);
  return ids.shape[1]!;
}

// [B, 1, 1, S]: 0 for text, -1e9 for padding.
function padding(mask: tf.Tensor, source: tf.Tensor): tf.Tensor {
  const [B, S] = source.shape;
  if (String(mask.shape) !== String([B, S])) throw new Error(`t5: mask is [${mask.shape}]; wanted [${B},${S}].`);
  return tf.mul(tf.sub(1, tf.cast(tf.reshape(mask, [B, 1, 1, S!]), "float32")), -1e9);
}

// [1, H, length, length]: what each head adds for the distance of key and query.
function bias(params: Params, cfg: T5Config, side: string, length: number, both: boolean): tf.Tensor {
  const table = get(params, `${side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`); // [buckets, H]
  const at = Int32Array.from({ length: length ** 2 }, (_, i) =>
    bucket((i % length) - Math.floor(i / length), cfg.buckets, cfg.farthest, both),
  );
  const each = lookup(table, tf.tensor2d(at, [length, length], "int32")); // [T, T, H]
  return tf.expandDims(tf.transpose(each, [2, 0, 1]), 0);
}

// [1, H, T, room] of the decoder for queries at..at+T, where `at` is known when it runs: of all distances, those that fit.
function stepBias(params: Params, cfg: T5Config, T: number, room: number, at: tf.Tensor): tf.Tensor {
  const table = get(params, "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"); // [buckets, H]
  const far = room + T; // a query may stand behind the last key by T at most
  const numbers = Int32Array.from({ length: far + room }, (_, i) => bucket(i - far, cfg.buckets, cfg.farthest, false));
  const each = lookup(table, tf.tensor1d(numbers, "int32")); // [distances, H]
  const keys = tf.expandDims(tf.range(0, room, 1, "int32"), 0);
  const queries = tf.expandDims(tf.add(tf.range(0, T, 1, "int32"), at), 1);
  const index = tf.add(tf.sub(keys, queries), tf.scalar(far, "int32")); // [T, room]
  return tf.expandDims(tf.transpose(tf.gather(each, tf.cast(index, "int32")), [2, 0, 1]), 0);
}

/**
 * The number of a distance (key minus query): half of them are exact, the others grow by the logarithm up to `farthest`.
 * In both directions each has half of the numbers. In float32 as elsewhere, since a rounding decides at the borders.
 */
export function bucket(distance: number, buckets: number, farthest: number, both: boolean): number {
  const all = both ? buckets / 2 : buckets;
  const first = both && distance > 0 ? all : 0;
  const far = both ? Math.abs(distance) : Math.max(0, -distance);
  const exact = Math.floor(all / 2);
  if (far < exact) return first + far;
  const f = Math.fround;
  const share = f(f(f(Math.log(f(far / exact))) / f(Math.log(farthest / exact))) * (all - exact));
  return first + Math.min(all - 1, exact + Math.trunc(share));
}

/** Names and shapes of the parameters, in the order of the model. */
export function shapes(cfg: T5Config): Record<string, number[]> {
  const { dim, heads, headDim, ffn, vocab, buckets } = cfg;
  const all: Record<string, number[]> = { "shared.weight": [vocab, dim] };
  const attention = (at: string) => {
    for (const part of ["q", "k", "v"]) all[`${at}.${part}.weight`] = [heads * headDim, dim];
    all[`${at}.o.weight`] = [dim, heads * headDim];
  };
  for (const [side, layers] of [["encoder", cfg.layers] as const, ["decoder", cfg.decoderLayers] as const]) {
    for (let l = 0; l < layers; l++) {
      const at = `${side}.block.${l}.layer`;
      attention(`${at}.0.SelfAttention`);
      if (!l) all[`${at}.0.SelfAttention.relative_attention_bias.weight`] = [buckets, heads];
      all[`${at}.0.layer_norm.weight`] = [dim];
      if (side === "decoder") {
        attention(`${at}.1.EncDecAttention`);
        all[`${at}.1.layer_norm.weight`] = [dim];
      }
      const last = side === "decoder" ? 2 : 1;
      for (const name of cfg.mlp === "relu" ? ["wi"] : ["wi_0", "wi_1"])
        all[`${at}.${last}.DenseReluDense.${name}.weight`] = [ffn, dim];
      all[`${at}.${last}.DenseReluDense.wo.weight`] = [dim, ffn];
      all[`${at}.${last}.layer_norm.weight`] = [dim];
    }
    all[`${side}.final_layer_norm.weight`] = [dim];
  }
  if (!cfg.tied) all["lm_head.weight"] = [vocab, dim];
  return all;
}

/** New parameters as T5 has them: a deviation of 1/√in, of q 1/√(dim d) since scores are not divided; embeddings of 1. */
export function initT5(cfg: T5Config, rng: Rng): Params {
  const std = (name: string, into: number) => {
    if (name.startsWith("shared")) return 1;
    if (name.endsWith(".q.weight")) return (cfg.dim * cfg.headDim) ** -0.5;
    return (name.includes("relative_attention_bias") ? cfg.dim : into) ** -0.5;
  };
  return Object.fromEntries(
    Object.entries(shapes(cfg)).map(([name, shape]) => [
      name,
      shape.length === 1 ? tf.ones(shape) : rng.fork(name).normal(shape, std(name, shape[1])),
    ]),
  );
}

/** Parameters from the tensors of a Hugging Face T5 file, checked against the configuration. */
export function fromHF(file: Params, cfg: T5Config): Params {
  const wanted = shapes(cfg);
  const again = /^(encoder|decoder)\.embed_tokens\.weight$|^lm_head\.weight$/; // the embedding once more
  const foreign = Object.keys(file).find((name) => !wanted[name] && !again.test(name) && !cross.test(name));
  if (foreign) throw new Error(`t5: "${foreign}" is not a parameter of this T5.`);
  return Object.fromEntries(
    Object.entries(wanted).map(([name, shape]) => {
      const found = get(file, name);
      if (String(found.shape) !== String(shape)) throw new Error(`t5: ${name} is [${found.shape}]; wanted [${shape}].`);
      return [name, found];
    }),
  );
}

// Which the first T5 had, and no one used.
const cross = /EncDecAttention\.relative_attention_bias\.weight$/;

/** The `config.json` that transformers reads for it. */
export function hfConfig(cfg: T5Config): Record<string, any> {
  return {
    architectures: ["T5ForConditionalGeneration"],
    model_type: "t5",
    is_encoder_decoder: true,
    num_layers: cfg.layers,
    num_decoder_layers: cfg.decoderLayers,
    d_model: cfg.dim,
    num_heads: cfg.heads,
    d_kv: cfg.headDim,
    d_ff: cfg.ffn,
    vocab_size: cfg.vocab,
    feed_forward_proj: cfg.mlp,
    tie_word_embeddings: cfg.tied,
    scale_decoder_outputs: cfg.scaled,
    relative_attention_num_buckets: cfg.buckets,
    relative_attention_max_distance: cfg.farthest,
    layer_norm_epsilon: cfg.eps,
    decoder_start_token_id: cfg.start,
    pad_token_id: cfg.start,
    dtype: "float32",
  };
}

/** The configuration out of a Hugging Face `config.json`. Throws for what this file does not compute. */
export function t5Config(json: Record<string, any>): T5Config {
  if (json.model_type !== "t5")
    throw new Error(`config.json: model_type is ${JSON.stringify(json.model_type)}; wanted "t5".`);
  const mlp = json.feed_forward_proj ?? "relu";
  if (mlp !== "relu" && mlp !== "gated-gelu")
    throw new Error(`config.json: feed_forward_proj is ${JSON.stringify(mlp)}; wanted "relu" or "gated-gelu".`);
  const size = (key: string, otherwise?: number) => {
    const value = json[key] ?? otherwise;
    const most = /layers/.test(key) ? 10_000 : 2 ** 31 - 1; // a damaged file must not ask for a billion layers
    if (Number.isSafeInteger(value) && value > 0 && value <= most) return value as number;
    throw new Error(`config.json: ${key} is ${JSON.stringify(value)}; wanted a whole number from 1 to ${most}.`);
  };
  const tied = json.tie_word_embeddings ?? true;
  return {
    layers: size("num_layers"),
    decoderLayers: size("num_decoder_layers", json.num_layers),
    dim: size("d_model"),
    heads: size("num_heads"),
    headDim: size("d_kv"),
    ffn: size("d_ff"),
    vocab: size("vocab_size"),
    mlp,
    tied,
    scaled: json.scale_decoder_outputs ?? tied,
    buckets: size("relative_attention_num_buckets", 32),
    farthest: size("relative_attention_max_distance", 128),
    eps: json.layer_norm_epsilon ?? 1e-6,
    start: json.decoder_start_token_id ?? json.pad_token_id ?? 0,
  };
}
