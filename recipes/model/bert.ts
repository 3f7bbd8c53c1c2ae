// BERT (Devlin 2018): the encoder that reads in both directions; with mean pooling, a sentence embedder (Reimers 2019).
//   x = LayerNorm(word[ids] + position + type);  for each layer: x = LayerNorm(x + attention(x)), x = LayerNorm(x + MLP(x))
// LayerNorm after each part, exact GELU, learned positions. Names are those of the Hugging Face file, without `bert.`.
import * as tf from "@tensorflow/tfjs-core";
import { type Linear, linear as plain } from "../core/linear.ts";
import { geluErf, layerNorm, embed as lookup } from "../core/ops.ts";
import { get, type Params } from "../core/params.ts";
import type { Rng } from "../core/rng.ts";

export interface BertConfig {
  layers: number;
  /** width of the residual stream */
  dim: number;
  heads: number;
  /** width between the two matrices of the MLP */
  ffn: number;
  /** longest sequence: the number of learned positions */
  ctx: number;
  vocab: number;
  /** kinds of token: first and second text of a pair */
  types: number;
  /** added to the variance in LayerNorm */
  eps: number;
}

export interface ForwardOptions {
  /** [B, T]: 1 where there is text, 0 where there is padding; all text if not given */
  mask?: tf.Tensor;
  /** [B, T] int32: 0 in the first text, 1 in the second; all 0 if not given */
  tokenTypes?: tf.Tensor;
  /** around every matrix of weights: `encoder.layer.0.attention.self.query`, `encoder.layer.0.intermediate.dense`, ... */
  linear?: Linear;
  /** sees the residual stream [B, T, C]: 0 the embeddings, l the output of layer l */
  hidden?: (layer: number, x: tf.Tensor) => void;
}

/** The last hidden states [B, T, C] for ids [B, T] int32, T <= ctx. Those of padding are there too: pool with the mask. */
export function forward(
  params: Params,
  cfg: BertConfig,
  ids: tf.Tensor,
  { mask, tokenTypes, linear = plain, hidden }: ForwardOptions = {},
): tf.Tensor {
  const { layers, dim: C, heads: H } = cfg;
  const [B, T] = ids.shape;
  if (ids.rank !== 2 || T > cfg.ctx)
    throw new Error(`bert: ids are [${ids.shape}]; wanted [B, T] with T <= ctx = ${cfg.ctx}.`);
  for (const [what, given] of Object.entries({ mask, tokenTypes })) {
    if (given && String(given.shape) !== String(ids.shape))
      throw new Error(`bert: ${what} is [${given.shape}], ids are [${ids.shape}]; wanted the same shape.`);
  }
  const p = (name: string) => get(params, name);
  const norm = (name: string, x: tf.Tensor) => layerNorm(x, p(`${name}.weight`), p(`${name}.bias`), cfg.eps);
  const lin = (name: string, x: tf.Tensor) => linear(name, x, p(`${name}.weight`), p(`${name}.bias`));
  const split = (x: tf.Tensor) => tf.transpose(tf.reshape(x, [B, T, H, C / H]), [0, 2, 1, 3]);
  const away = mask && tf.mul(tf.sub(1, tf.cast(tf.reshape(mask, [B, 1, 1, T]), "float32")), -1e9); // added to scores

  const e = "embeddings";
  const position = tf.slice(p(`${e}.position_embeddings.weight`), [0, 0], [T, C]);
  const kinds = p(`${e}.token_type_embeddings.weight`);
  const type = tokenTypes ? lookup(kinds, tokenTypes) : tf.slice(kinds, [0, 0], [1, C]);
  const words = lookup(p(`${e}.word_embeddings.weight`), ids);
  let x = norm(`${e}.LayerNorm`, tf.reshape(tf.add(tf.add(words, type), position), [B * T, C]));
  hidden?.(0, tf.reshape(x, [B, T, C]));
  for (let l = 0; l < layers; l++) {
    const at = `encoder.layer.${l}`;
    const [q, k, v] = ["query", "key", "value"].map((part) => split(lin(`${at}.attention.self.${part}`, x))); // [B, H, T, d]
    const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(C / H)); // [B, H, T, T]
    const mixed = tf.matMul(tf.softmax(away ? tf.add(scores, away) : scores, -1), v);
    const joined = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [B * T, C]);
    x = norm(`${at}.attention.output.LayerNorm`, tf.add(x, lin(`${at}.attention.output.dense`, joined)));
    const inner = geluErf(lin(`${at}.intermediate.dense`, x)); // [B T, ffn]
    x = norm(`${at}.output.LayerNorm`, tf.add(x, lin(`${at}.output.dense`, inner)));
    hidden?.(l + 1, tf.reshape(x, [B, T, C]));
  }
  return tf.reshape(x, [B, T, C]);
}

/** BERT's own summary of a text: tanh of a linear layer over the first token. hidden [B, T, C]; the result [B, C]. */
export function pooler(params: Params, hidden: tf.Tensor, { linear = plain }: { linear?: Linear } = {}): tf.Tensor {
  const [B, , C] = hidden.shape;
  const first = tf.reshape(tf.slice(hidden, [0, 0, 0], [B, 1, C]), [B, C]);
  return tf.tanh(linear("pooler.dense", first, get(params, "pooler.dense.weight"), get(params, "pooler.dense.bias")));
}

/** Logits [B, T, V] of the word at each place (masked language modelling): a layer, LayerNorm, the embedding. hidden [B, T, C]. */
export function mlmLogits(
  params: Params,
  cfg: BertConfig,
  hidden: tf.Tensor,
  { linear = plain }: { linear?: Linear } = {},
): tf.Tensor {
  const p = (name: string) => get(params, name);
  const at = "cls.predictions.transform";
  const inner = geluErf(linear(`${at}.dense`, hidden, p(`${at}.dense.weight`), p(`${at}.dense.bias`)));
  const normed = layerNorm(inner, p(`${at}.LayerNorm.weight`), p(`${at}.LayerNorm.bias`), cfg.eps);
  return linear("cls.predictions.decoder", normed, p("embeddings.word_embeddings.weight"), p("cls.predictions.bias"));
}

/** Logits [B, classes] of a whole text: a linear layer on the pooler. hidden [B, T, C]. */
export function classLogits(
  params: Params,
  hidden: tf.Tensor,
  { linear = plain }: { linear?: Linear } = {},
): tf.Tensor {
  const pooled = pooler(params, hidden, { linear });
  return linear("classifier", pooled, get(params, "classifier.weight"), get(params, "classifier.bias"));
}

/** Mean of the hidden states [B, T, C] over the positions where mask [B, T] is 1: [B, C]; zeros for an empty row. */
export function meanPool(hidden: tf.Tensor, mask: tf.Tensor): tf.Tensor {
  if (String(mask.shape) !== String(hidden.shape.slice(0, 2)))
    throw new Error(`meanPool: hidden is [${hidden.shape}], mask [${mask.shape}]; wanted [B, T, C] and [B, T].`);
  const weights = tf.expandDims(tf.cast(mask, "float32"), -1); // [B, T, 1]
  return tf.div(tf.sum(tf.mul(hidden, weights), 1), tf.maximum(tf.sum(weights, 1), 1e-9));
}

/** Rows of x [..., C] made length 1, so that a product of two of them is their cosine similarity. */
export function normalize(x: tf.Tensor): tf.Tensor {
  return tf.div(x, tf.maximum(tf.sqrt(tf.sum(tf.square(x), -1, true)), 1e-12));
}

/** Sentence embeddings [B, C] of length 1: the mean hidden state of each text. */
export function embed(
  params: Params,
  cfg: BertConfig,
  ids: tf.Tensor,
  mask: tf.Tensor,
  { linear }: { linear?: Linear } = {},
): tf.Tensor {
  return normalize(meanPool(forward(params, cfg, ids, { mask, linear }), mask));
}

/** The configuration out of a Hugging Face `config.json`. Throws for what this file does not compute. */
export function bertConfig(json: Record<string, any>): BertConfig {
  const only = { model_type: "bert", hidden_act: "gelu", position_embedding_type: "absolute" };
  for (const [key, value] of Object.entries(only)) {
    if ((json[key] ?? value) !== value)
      throw new Error(`config.json: ${key} is ${JSON.stringify(json[key])}; bert.ts computes "${value}" only.`);
  }
  const size = (key: string) => {
    const most = key === "num_hidden_layers" ? 10_000 : 2 ** 31 - 1; // a damaged file must not ask for a billion layers
    if (Number.isSafeInteger(json[key]) && json[key] > 0 && json[key] <= most) return json[key] as number;
    throw new Error(`config.json: ${key} is ${JSON.stringify(json[key])}; wanted a whole number from 1 to ${most}.`);
  };
  const cfg: BertConfig = {
    layers: size("num_hidden_layers"),
    dim: size("hidden_size"),
    heads: size("num_attention_heads"),
    ffn: size("intermediate_size"),
    ctx: size("max_position_embeddings"),
    vocab: size("vocab_size"),
    types: size("type_vocab_size"),
    eps: json.layer_norm_eps ?? 1e-12,
  };
  if (cfg.dim % cfg.heads)
    throw new Error(`config.json: hidden_size ${cfg.dim} is not a multiple of num_attention_heads ${cfg.heads}.`);
  return cfg;
}

/** The `config.json` that transformers reads for it. */
export function hfConfig(
  { layers, dim, heads, ffn, ctx, vocab, types, eps }: BertConfig,
  head?: Head,
): Record<string, unknown> {
  const names = Array.from({ length: typeof head === "object" ? head.classes : 0 }, (_, i) => `LABEL_${i}`);
  return {
    architectures: [head === "mlm" ? "BertForMaskedLM" : head ? "BertForSequenceClassification" : "BertModel"],
    ...(names.length && {
      id2label: Object.fromEntries(names.entries()),
      label2id: Object.fromEntries(names.map((name, i) => [name, i])),
    }),
    model_type: "bert",
    hidden_act: "gelu",
    num_hidden_layers: layers,
    hidden_size: dim,
    num_attention_heads: heads,
    intermediate_size: ffn,
    max_position_embeddings: ctx,
    vocab_size: vocab,
    type_vocab_size: types,
    layer_norm_eps: eps,
    dtype: "float32",
  };
}

/** What stands on the hidden states: words for masked places, or classes of whole texts. */
export type Head = "mlm" | { classes: number };

/**
 * Names and shapes of the parameters, in the order of the model; the pooler, which many files lack and masked language
 * modelling does not need, comes after the layers, then the head.
 */
export function shapes({ layers, dim, ffn, ctx, vocab, types }: BertConfig, head?: Head): Record<string, number[]> {
  const all: Record<string, number[]> = {
    "embeddings.word_embeddings.weight": [vocab, dim],
    "embeddings.position_embeddings.weight": [ctx, dim],
    "embeddings.token_type_embeddings.weight": [types, dim],
  };
  const norm = (name: string) => Object.assign(all, { [`${name}.weight`]: [dim], [`${name}.bias`]: [dim] });
  const lin = (name: string, out: number, into: number) =>
    Object.assign(all, { [`${name}.weight`]: [out, into], [`${name}.bias`]: [out] });
  norm("embeddings.LayerNorm");
  for (let l = 0; l < layers; l++) {
    const at = `encoder.layer.${l}`;
    for (const part of ["query", "key", "value"]) lin(`${at}.attention.self.${part}`, dim, dim);
    lin(`${at}.attention.output.dense`, dim, dim);
    norm(`${at}.attention.output.LayerNorm`);
    lin(`${at}.intermediate.dense`, ffn, dim);
    lin(`${at}.output.dense`, dim, ffn);
    norm(`${at}.output.LayerNorm`);
  }
  if (head !== "mlm") lin("pooler.dense", dim, dim);
  if (head === "mlm") {
    lin("cls.predictions.transform.dense", dim, dim);
    norm("cls.predictions.transform.LayerNorm");
    all["cls.predictions.bias"] = [vocab];
  } else if (head) lin("classifier", head.classes, dim);
  return all;
}

/** New parameters as BERT has them: weights from N(0, 0.02²), biases 0, gains 1, each from a generator of its own name. */
export function initBert(cfg: BertConfig, rng: Rng, head?: Head): Params {
  const first = (name: string, shape: number[]) => {
    if (shape.length === 2) return rng.fork(name).normal(shape, 0.02);
    return name.endsWith("LayerNorm.weight") ? tf.ones(shape) : tf.zeros(shape);
  };
  return Object.fromEntries(Object.entries(shapes(cfg, head)).map(([name, shape]) => [name, first(name, shape)]));
}

/**
 * Parameters from the tensors of a Hugging Face BERT file, and with `heads` those of its head for masked words or classes.
 * Throws for one that is missing or has another shape than `cfg` says. What is for other tasks stays behind.
 */
export function fromHF(file: Params, cfg: BertConfig, { heads = false } = {}): Params {
  const named: Params = {};
  for (const [name, tensor] of Object.entries(file)) named[name.replace(/^bert\./, "")] = tensor;
  const head = heads ? headOf(named) : undefined;
  const wanted = Object.entries(shapes(cfg, head)).filter(([name]) => named[name] || !name.startsWith("pooler."));
  return Object.fromEntries(
    wanted.map(([name, shape]) => {
      const found = get(named, name);
      if (String(found.shape) !== String(shape))
        throw new Error(`bert: ${name} is [${found.shape}]; wanted [${shape}].`);
      return [name, found];
    }),
  );
}

/** Which head the parameters have. */
export function headOf(params: Params): Head | undefined {
  if (params["cls.predictions.bias"]) return "mlm";
  return params["classifier.weight"] && { classes: params["classifier.weight"].shape[0] };
}

/** The names as a Hugging Face file has them: with a head, the rest is below `bert.`. */
export function toHF(params: Params): Params {
  if (!headOf(params)) return params;
  const outer = (name: string) => (/^(cls|classifier)\./.test(name) ? name : `bert.${name}`);
  return Object.fromEntries(Object.entries(params).map(([name, tensor]) => [outer(name), tensor]));
}
