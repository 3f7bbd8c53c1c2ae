// A GPT-2 or Llama of llama.cpp, as gpt.ts has it: other names, and for rotary positions another order of rows.
import * as tf from "@tensorflow/tfjs-core";
import { FormatError, shown } from "../core/io.ts";
import { get, type Params } from "../core/params.ts";
import type { Value } from "../export/gguf.ts";
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
    const theirs = names[family].reduce((name, [from, to]) => name.replace(from, to), ours);
    const tensor = get(file, theirs);
    left.delete(theirs);
    const turned = family === "llama" && /attn_[qk]\./.test(theirs);
    params[ours] = turned ? halves(tensor, theirs.includes("attn_q.") ? heads : kvHeads, headDim) : tensor;
    if (turned) tensor.dispose();
  }
  const [foreign] = left.keys();
  if (foreign) throw new FormatError(`The GGUF file has a tensor ${shown(foreign)}, which is not one of ${family}.`);
  return { cfg, params: checkShapes(params, cfg) };
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
