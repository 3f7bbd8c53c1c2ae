// A GPT-2 or Llama of llama.cpp, as gpt.ts has it: other names, and for rotary positions another order of rows.
import * as tf from "@tensorflow/tfjs-core";
import { FormatError, shown } from "../core/io.ts";
import { get, type Params } from "../core/params.ts";
import { type GGUFTensor, type GGUFType, types, type Value } from "../export/gguf.ts";
import { quantize, type Typed } from "../export/write-gguf.ts";
import { complete, type GPTConfig, shapes } from "./gpt.ts";

const names: Record<string, [ours: RegExp, theirs: string][]> = {
  llama: [
    [/^model\.embed_tokens/, "token_embd"],
    [/^model\.norm/, "output_norm"],
    [/^lm_head/, "output"],
    [/input_layernorm/, "attn_norm"],
    [/post_attention_layernorm/, "ffn_norm"],
    [/self_attn\.([qkv])_proj/, "attn_$1"],
    [/self_attn\.o_proj/, "attn_output"],
    [/mlp\.(gate|up|down)_proj/, "ffn_$1"],
    [/^model\.layers/, "blk"],
  ],
  gpt2: [
    [/^wte/, "token_embd"],
    [/^wpe/, "position_embd"],
    [/^ln_f/, "output_norm"],
    [/^lm_head/, "output"],
    [/ln_1/, "attn_norm"],
    [/ln_2/, "ffn_norm"],
    [/attn\.c_attn/, "attn_qkv"],
    [/attn\.c_proj/, "attn_output"],
    [/mlp\.c_fc/, "ffn_up"],
    [/mlp\.c_proj/, "ffn_down"],
    [/^h\./, "blk."],
  ],
};

/** The configuration and parameters out of the tensors and metadata of a GGUF file. Takes over the tensors. */
export function fromGGUF(file: Params, meta: Record<string, Value>): { cfg: GPTConfig; params: Params } {
  const family = meta["general.architecture"];
  if (family !== "llama" && family !== "gpt2")
    throw new FormatError(`The GGUF file is of architecture ${shown(family)}; known are "llama" and "gpt2".`);
  const number = (key: string, otherwise?: number, most = 2 ** 31) => {
    const value = meta[`${family}.${key}`] ?? otherwise;
    if (typeof value === "number" && value > 0 && value <= most) return value;
    throw new FormatError(`${family}.${key} is ${shown(value)}; wanted a number above 0.`);
  };
  const scaling = meta[`${family}.rope.scaling.type`];
  if ((scaling !== undefined && scaling !== "none") || file["rope_freqs.weight"])
    throw new FormatError("The GGUF file stretches its positions; gguf.ts reads models with plain rotary positions.");
  const [vocab] = get(file, "token_embd.weight").shape;
  const heads = number("attention.head_count");
  const dim = number("embedding_length");
  const common = {
    layers: number("block_count", undefined, 10_000),
    dim,
    heads,
    ctx: number("context_length"),
    vocab,
    ffn: number("feed_forward_length"),
    tied: !file["output.weight"],
  };
  const eps = (kind: string) => Number(number(`attention.${kind}_epsilon`).toPrecision(7)); // 1e-5 as float32 is 9.99…e-6
  const cfg: GPTConfig =
    family === "gpt2"
      ? { ...common, eps: eps("layer_norm") }
      : {
          family,
          ...common,
          kvHeads: number("attention.head_count_kv", heads),
          headDim: number("attention.key_length", dim / heads),
          theta: number("rope.freq_base", 10_000),
          eps: eps("layer_norm_rms"),
          bias: Boolean(file["blk.0.attn_q.bias"]),
        };
  const { kvHeads, headDim } = checked(cfg);
  if (family === "llama" && number("rope.dimension_count", headDim) !== headDim)
    throw new FormatError("The GGUF file rotates a part of each head only; gpt.ts rotates all of it.");

  const left = new Map(Object.entries(file));
  const params: Params = {};
  for (const ours of Object.keys(shapes(cfg))) {
    const theirs = named(family, ours);
    const tensor = get(file, theirs);
    left.delete(theirs);
    const turned = isTurned(family, theirs);
    params[ours] = turned ? halves(tensor, theirs.includes("attn_q.") ? heads : kvHeads, headDim) : tensor;
    if (turned) tensor.dispose();
  }
  const [foreign] = left.keys();
  if (foreign) throw new FormatError(`The GGUF file has a tensor ${shown(foreign)}, which is not one of ${family}.`);
  return { cfg, params: checkShapes(params, cfg) };
}

const named = (family: string, ours: string) =>
  names[family].reduce((name, [from, to]) => name.replace(from, to), ours);
const isTurned = (family: string, theirs: string) => family === "llama" && /attn_[qk]\./.test(theirs);

/** The numbers that llama.cpp has for what most of a file is. */
const fileTypes: Record<GGUFType, number> = { F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q8_0: 7, BF16: 32 };

/**
 * The tensors and metadata of a GGUF file that llama.cpp, and `fromGGUF`, load. Matrices are stored as `type`, vectors and
 * learned positions as F32; of a four-bit file the head (the embedding, where that is the head) as Q8_0; rows of no
 * multiple of 32 as F16. Throws for models that llama.cpp has no architecture for.
 */
export function toGGUF(
  params: Params,
  cfg: GPTConfig,
  type: GGUFType,
): { tensors: GGUFTensor[]; meta: Record<string, Typed> } {
  const all = complete(cfg);
  const { family, heads, kvHeads, headDim, dim } = all;
  const own = { gpt2: ["learned", "layer", "gelu"], llama: ["rotary", "rms", "swiglu"] }[family];
  if (String([all.positions, all.norm, all.mlp]) !== String(own) || cfg.window || cfg.scaling)
    throw new Error(
      `gpt: ${all.positions} positions${cfg.scaling ? " that are stretched" : ""}, ${all.norm} norm, ${all.mlp}` +
        `${cfg.window ? ", a window" : ""} are not written as GGUF; a folder of safetensors keeps them.`,
    );
  if (family === "gpt2" && (!all.bias || kvHeads !== heads || headDim * heads !== dim))
    throw new Error(
      "gpt: a GPT-2 of llama.cpp has biases and heads of dim / heads; this one cannot be written as GGUF.",
    );
  const u32 = (value: number): Typed => ({ type: "u32", value });
  const f32 = (value: number): Typed => ({ type: "f32", value });
  const sizes: Record<string, Typed> = {
    block_count: u32(all.layers),
    context_length: u32(all.ctx),
    embedding_length: u32(dim),
    feed_forward_length: u32(all.ffn),
    "attention.head_count": u32(heads),
    ...(family === "gpt2"
      ? { "attention.layer_norm_epsilon": f32(all.eps) }
      : {
          "attention.head_count_kv": u32(kvHeads),
          "attention.key_length": u32(headDim),
          "attention.value_length": u32(headDim),
          "rope.freq_base": f32(all.theta),
          "rope.dimension_count": u32(headDim),
          "attention.layer_norm_rms_epsilon": f32(all.eps),
        }),
    vocab_size: u32(all.vocab),
  };
  const meta: Record<string, Typed> = {
    "general.architecture": { type: "string", value: family },
    "general.file_type": u32(fileTypes[type]),
    "general.quantization_version": u32(2),
    ...Object.fromEntries(Object.entries(sizes).map(([key, value]) => [`${family}.${key}`, value])),
  };
  const head = all.tied ? "token_embd.weight" : "output.weight";
  const tensors = Object.entries(shapes(cfg)).map(([ours, shape]): GGUFTensor => {
    const name = named(family, ours);
    const kind = kindOf(name, shape, name === head && type.startsWith("Q4") ? "Q8_0" : type);
    const tensor = get(params, ours);
    const values = isTurned(family, name)
      ? tf.tidy(() => neighbours(tensor, name.includes("attn_q.") ? heads : kvHeads, headDim).dataSync())
      : tensor.dataSync();
    return { name, type: kind, shape, bytes: quantize(values as Float32Array, kind) };
  });
  return { tensors, meta };
}

function kindOf(name: string, shape: number[], type: GGUFType): GGUFType {
  if (shape.length === 1 || name.startsWith("position_embd")) return "F32";
  return shape.at(-1)! % types[type].block ? "F16" : type;
}

function checked(cfg: GPTConfig) {
  try {
    return complete(cfg);
  } catch (error) {
    throw new FormatError((error as Error).message, { cause: error });
  }
}

function checkShapes(params: Params, cfg: GPTConfig): Params {
  for (const [name, shape] of Object.entries(shapes(cfg)))
    if (String(params[name].shape) !== String(shape))
      throw new FormatError(`gpt: ${name} is [${params[name].shape}]; wanted [${shape}].`);
  return params;
}

// llama.cpp turns neighbours, Hugging Face's models turn halves: row 2 i + s of a head there is row s d/2 + i here.
function halves(x: tf.Tensor, heads: number, d: number): tf.Tensor {
  const rest = x.shape.slice(1);
  if (x.shape[0] !== heads * d)
    throw new FormatError(`A query or key matrix is [${x.shape}]; wanted ${heads * d} rows.`);
  return tf.tidy(() => {
    const apart = tf.reshape(x, [heads, d / 2, 2, rest.reduce((a, b) => a * b, 1)]);
    return tf.reshape(tf.transpose(apart, [0, 2, 1, 3]), x.shape);
  });
}

// And back.
function neighbours(x: tf.Tensor, heads: number, d: number): tf.Tensor {
  const apart = tf.reshape(x, [heads, 2, d / 2, x.size / (heads * d)]);
  return tf.reshape(tf.transpose(apart, [0, 2, 1, 3]), x.shape);
}
