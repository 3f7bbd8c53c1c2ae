// How each model of the zoo is made: sizes, text, step sizes. What is common to an architecture is in the file of its name.
import type { Architecture, Configs, ZooId } from "../load-zoo.ts";

interface Common {
  /** file in data/zoo */
  tokenizer: "tokenizer-chars.json" | "tokenizer-bpe512.json";
  tokensPerParameter: number;
  /** sequences in a batch */
  batch: number;
  /** highest step size */
  lr: number;
  seed: number;
  /** the model of the zoo whose predictions it learns */
  teacher?: ZooId;
}

/** How a model is made. `ctx` is how many ids a sequence has in training; seq2seq has a length for each of its tasks. */
export type Recipe<A extends Architecture = Architecture> = {
  [K in Architecture]: Common & { architecture: K; cfg: Configs[K] } & (K extends "t5" ? unknown : { ctx: number });
}[A];

const nano: Recipe<"gpt2"> = {
  architecture: "gpt2",
  cfg: { layers: 2, dim: 64, heads: 4, ctx: 64, vocab: 96 },
  ctx: 64,
  tokenizer: "tokenizer-chars.json",
  tokensPerParameter: 20,
  batch: 32,
  lr: 4e-3,
  seed: 1,
};
const micro: Recipe<"gpt2"> = {
  architecture: "gpt2",
  cfg: { layers: 4, dim: 128, heads: 4, ctx: 128, vocab: 512 },
  ctx: 128,
  tokenizer: "tokenizer-bpe512.json",
  tokensPerParameter: 20,
  batch: 16,
  lr: 2e-3,
  seed: 1,
};
// Step sizes fall with the width: 2e-3 for 128 is 1.3e-3 for 192.
const mini: Recipe<"gpt2"> = { ...micro, cfg: { ...micro.cfg, layers: 6, dim: 192, heads: 6 }, lr: 1.3e-3 };

export const zoo: { [I in ZooId]: Recipe } = {
  "nano-5x": { ...nano, tokensPerParameter: 5 },
  nano,
  "micro-5x": { ...micro, tokensPerParameter: 5 },
  micro,
  /** As many parameters as micro, on 224 more. */
  lstm: {
    ...micro,
    architecture: "lstm",
    cfg: { kind: "lstm", layers: 2, dim: 218, hidden: 218, vocab: 512 },
  },
  bert: {
    ...micro,
    architecture: "bert",
    cfg: { layers: 4, dim: 128, heads: 4, ffn: 512, ctx: 128, vocab: 516, types: 2, eps: 1e-12 },
    lr: 1e-3,
  },
  seq2seq: {
    architecture: "t5",
    cfg: {
      layers: 2,
      decoderLayers: 2,
      dim: 128,
      heads: 4,
      headDim: 32,
      ffn: 512,
      vocab: 98,
      mlp: "relu",
      tied: true,
      scaled: true,
      buckets: 64, // in each direction 16 distances are told apart exactly
      farthest: 128,
      eps: 1e-6,
      start: 96,
    },
    tokenizer: "tokenizer-chars.json",
    tokensPerParameter: 20,
    batch: 32,
    lr: 2e-3,
    seed: 1,
  },
  "mini-5x": { ...mini, tokensPerParameter: 5 },
  mini,
  draft: { ...micro, cfg: { ...micro.cfg, layers: 1, dim: 96, heads: 3 }, lr: 2.7e-3, teacher: "mini" },
};
