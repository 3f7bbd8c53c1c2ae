// config.json of a Hugging Face folder <-> GPTConfig. Throws for what gpt.ts does not compute, instead of computing
// something else.
import { complete, type GPTConfig } from "./gpt.ts";
import type { RopeScaling } from "./rope.ts";

type Json = Record<string, any>;

/** The configuration of a GPT-2 or a Llama (SmolLM2 and others) out of their `config.json`. */
export function gptConfig(json: Json): GPTConfig {
  if (json.model_type === "gpt2") return gpt2(json);
  if (json.model_type === "llama") return llama(json);
  throw new Error(`config.json: model_type is ${JSON.stringify(json.model_type)}; wanted "gpt2" or "llama".`);
}

function gpt2(json: Json): GPTConfig {
  only(json, "activation_function", ["gelu_new", "gelu_pytorch_tanh"]);
  for (const key of ["scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention"])
    only(json, key, [false]);
  only(json, "scale_attn_weights", [true]);
  const cfg: GPTConfig = {
    layers: size(json, "n_layer", LAYERS),
    dim: size(json, "n_embd"),
    heads: size(json, "n_head"),
    ctx: size(json, "n_positions"),
    vocab: size(json, "vocab_size"),
    ...(json.n_inner != null && { ffn: size(json, "n_inner") }),
    ...(json.layer_norm_epsilon !== undefined && { eps: positive(json, "layer_norm_epsilon") }),
    ...(json.tie_word_embeddings === false && { tied: false }),
  };
  complete(cfg);
  return cfg;
}

function llama(json: Json): GPTConfig {
  only(json, "hidden_act", ["silu"]);
  only(json, "pretraining_tp", [1]);
  if (Boolean(json.attention_bias) !== Boolean(json.mlp_bias))
    throw new Error("config.json: attention_bias and mlp_bias differ; gpt.ts has biases in all layers or in none.");
  const heads = size(json, "num_attention_heads");
  const rope: Json = json.rope_parameters ?? { ...json.rope_scaling, rope_theta: json.rope_theta };
  const cfg: GPTConfig = {
    family: "llama",
    layers: size(json, "num_hidden_layers", LAYERS),
    dim: size(json, "hidden_size"),
    heads,
    kvHeads: json.num_key_value_heads == null ? heads : size(json, "num_key_value_heads"),
    ...(json.head_dim != null && { headDim: size(json, "head_dim") }),
    ffn: size(json, "intermediate_size"),
    ctx: size(json, "max_position_embeddings"),
    vocab: size(json, "vocab_size"),
    theta: rope.rope_theta == null ? 10_000 : positive(rope, "rope_theta"),
    ...(stretch(rope) && { scaling: stretch(rope) }),
    eps: json.rms_norm_eps == null ? 1e-6 : positive(json, "rms_norm_eps"),
    tied: json.tie_word_embeddings === true,
    ...(json.attention_bias && { bias: true }),
  };
  complete(cfg);
  return cfg;
}

function stretch(rope: Json): RopeScaling | undefined {
  const type = rope.rope_type ?? rope.type ?? "default";
  if (type === "default") return undefined;
  const factor = () => positive(rope, "factor");
  if (type === "linear") return { type, factor: factor() };
  if (type === "llama3") {
    const [low, high] = [positive(rope, "low_freq_factor"), positive(rope, "high_freq_factor")];
    return { type, factor: factor(), low, high, original: size(rope, "original_max_position_embeddings") };
  }
  throw new Error(`config.json: rope_type is ${JSON.stringify(type)}; known are "default", "linear" and "llama3".`);
}

/** The `config.json` that transformers reads for it. Throws for a mixture of the families, which has no such file. */
export function hfConfig(cfg: GPTConfig): Json {
  const { family, layers, dim, heads, kvHeads, headDim, ffn, ctx, vocab, eps, theta, tied, bias, ...kind } =
    complete(cfg);
  const own = { gpt2: ["learned", "layer", "gelu"], llama: ["rotary", "rms", "swiglu"] }[family];
  if (String([kind.positions, kind.norm, kind.mlp]) !== String(own) || cfg.window)
    throw new Error(
      `gpt: ${kind.positions} positions, ${kind.norm} norm, ${kind.mlp}${cfg.window ? ", a window" : ""} are not what ` +
        `transformers has as "${family}"; it can be kept as plain safetensors only.`,
    );
  const common = { model_type: family, vocab_size: vocab, tie_word_embeddings: tied, dtype: "float32" };
  if (family === "gpt2") {
    if (!bias || kvHeads !== heads || headDim * heads !== dim)
      throw new Error('gpt: a GPT-2 of transformers has biases and heads of dim / heads; this one cannot be a "gpt2".');
    return {
      architectures: ["GPT2LMHeadModel"],
      ...common,
      activation_function: "gelu_new",
      n_layer: layers,
      n_embd: dim,
      n_head: heads,
      n_positions: ctx,
      n_inner: ffn,
      layer_norm_epsilon: eps,
    };
  }
  const { scaling } = cfg;
  const stretched =
    scaling?.type === "llama3"
      ? {
          rope_type: "llama3",
          factor: scaling.factor,
          low_freq_factor: scaling.low,
          high_freq_factor: scaling.high,
          original_max_position_embeddings: scaling.original,
        }
      : scaling && { rope_type: "linear", factor: scaling.factor };
  return {
    architectures: ["LlamaForCausalLM"],
    ...common,
    hidden_act: "silu",
    num_hidden_layers: layers,
    hidden_size: dim,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    intermediate_size: ffn,
    max_position_embeddings: ctx,
    rms_norm_eps: eps,
    rope_theta: theta,
    rope_scaling: stretched ?? null,
    attention_bias: bias,
    mlp_bias: bias,
  };
}

const LAYERS = 10_000; // names are made for each: a damaged file must not ask for a billion
const SIZES = 2 ** 31 - 1;

function size(json: Json, key: string, most = SIZES): number {
  const value = json[key];
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
  throw new Error(`config.json: ${key} is ${JSON.stringify(value)}; wanted a whole number from 1 to ${most}.`);
}

function positive(json: Json, key: string): number {
  const value = json[key];
  if (typeof value === "number" && value > 0 && value < Infinity) return value;
  throw new Error(`config.json: ${key} is ${JSON.stringify(value)}; wanted a number above 0.`);
}

function only(json: Json, key: string, wanted: unknown[]): void {
  const value = json[key];
  if (value != null && !wanted.includes(value))
    throw new Error(`config.json: ${key} is ${JSON.stringify(value)}; gpt.ts computes ${wanted.join(" or ")} only.`);
}
