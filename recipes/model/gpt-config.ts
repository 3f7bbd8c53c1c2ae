// What a GPT or a Llama is, in numbers: its configuration, the names and shapes of its parameters, and what it costs.
import type { RopeScaling } from "./rope.ts";

export interface GPTConfig {
  layers: number;
  /** width of the residual stream */
  dim: number;
  heads: number;
  /** longest sequence: the number of learned positions */
  ctx: number;
  vocab: number;
  /** whose names the parameters have, and what the fields below are where they are not given; gpt2 if not given */
  family?: "gpt2" | "llama";
  /** heads of keys and values, of which `heads` is a multiple; as many as `heads` if not given */
  kvHeads?: number;
  /** width of a head; dim / heads if not given */
  headDim?: number;
  /** width between the matrices of the MLP; 4 dim if not given */
  ffn?: number;
  positions?: "learned" | "rotary";
  /** rotary: point i turns by theta^(-2i/d) a position; 10 000 if not given */
  theta?: number;
  scaling?: RopeScaling;
  norm?: "layer" | "rms";
  /** added to the variance in the norms; 1e-5 if not given */
  eps?: number;
  mlp?: "gelu" | "relu2" | "swiglu";
  /** linear layers add a bias */
  bias?: boolean;
  /** the head is the embedding */
  tied?: boolean;
  /** how many positions one sees, itself included; all before it if not given */
  window?: number;
}

const families = {
  gpt2: { positions: "learned", norm: "layer", mlp: "gelu", bias: true, tied: true },
  llama: { positions: "rotary", norm: "rms", mlp: "swiglu", bias: false, tied: false },
} as const;

const names = {
  gpt2: {
    tokens: "wte",
    layer: (l: number) => `h.${l}`,
    norms: ["ln_1", "ln_2"],
    qkv: ["attn.c_attn"],
    out: "attn.c_proj",
    mlp: { gate: "mlp.c_gate", up: "mlp.c_fc", down: "mlp.c_proj" },
    last: "ln_f",
  },
  llama: {
    tokens: "model.embed_tokens",
    layer: (l: number) => `model.layers.${l}`,
    norms: ["input_layernorm", "post_attention_layernorm"],
    qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    out: "self_attn.o_proj",
    mlp: { gate: "mlp.gate_proj", up: "mlp.up_proj", down: "mlp.down_proj" },
    last: "model.norm",
  },
};

/** The configuration with every field that has a default. Throws for numbers that do not fit together. */
export function complete(cfg: GPTConfig) {
  const family = cfg.family ?? "gpt2";
  const { dim, heads } = cfg;
  const kvHeads = cfg.kvHeads ?? heads;
  const rest = { headDim: dim / heads, ffn: 4 * dim, theta: 10_000, eps: 1e-5, ...families[family], ...cfg };
  if (rest.headDim % 1) throw new Error(`gpt: dim ${dim} is not a multiple of heads ${heads}.`);
  if (heads % kvHeads) throw new Error(`gpt: heads ${heads} is not a multiple of kvHeads ${kvHeads}.`);
  return { ...rest, family, kvHeads, name: names[family] };
}

/** Names and shapes of the parameters, in the order of the model. */
export function shapes(cfg: GPTConfig): Record<string, number[]> {
  const { layers, dim, heads, kvHeads, headDim, ffn, ctx, vocab, name, ...kind } = complete(cfg);
  const all: Record<string, number[]> = { [`${name.tokens}.weight`]: [vocab, dim] };
  if (kind.positions === "learned") all["wpe.weight"] = [ctx, dim];
  const norm = (name: string) => {
    all[`${name}.weight`] = [dim];
    if (kind.norm === "layer") all[`${name}.bias`] = [dim];
  };
  const lin = (name: string, out: number, into: number) => {
    all[`${name}.weight`] = [out, into];
    if (kind.bias) all[`${name}.bias`] = [out];
  };
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  for (let l = 0; l < layers; l++) {
    const in_ = name.layer(l);
    norm(`${in_}.${name.norms[0]}`);
    name.qkv.forEach((part, i) => {
      lin(`${in_}.${part}`, name.qkv.length === 1 ? q + 2 * kv : i ? kv : q, dim);
    });
    lin(`${in_}.${name.out}`, dim, q);
    norm(`${in_}.${name.norms[1]}`);
    if (kind.mlp === "swiglu") lin(`${in_}.${name.mlp.gate}`, ffn, dim);
    lin(`${in_}.${name.mlp.up}`, ffn, dim);
    lin(`${in_}.${name.mlp.down}`, dim, ffn);
  }
  norm(name.last);
  if (!kind.tied) all["lm_head.weight"] = [vocab, dim];
  return all;
}

/** Number of parameters; for GPT-2 V C + T C + L (12 C² + 13 C) + 2 C. */
export function countParams(cfg: GPTConfig): number {
  return Object.values(shapes(cfg)).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b), 0);
}

/** FLOPs of the matrix products of a forward pass over [batch, length]; a training step takes three times as many. */
export function flops(cfg: GPTConfig, { batch = 1, length = cfg.ctx } = {}): number {
  const { layers, dim, heads, headDim, vocab } = complete(cfg);
  const inLayers = Object.entries(shapes({ ...cfg, tied: true })).filter(([name]) => !/^w[tp]e|embed/.test(name));
  const weights = inLayers.reduce((sum, [, [out, into]]) => sum + (into ? out * into : 0), vocab * dim);
  const attention = 4 * layers * batch * length ** 2 * heads * headDim; // scores and their product with the values
  return 2 * batch * length * weights + attention;
}

/** Bytes of the parameters at `bits` a number. */
export function paramBytes(cfg: GPTConfig, bits = 32): number {
  return (countParams(cfg) * bits) / 8;
}
