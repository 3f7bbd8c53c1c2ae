// The small models of data/zoo, as notebooks and tests use them. `npm run zoo` makes them again.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { load } from "../recipes/core/io.ts";
import type { Params } from "../recipes/core/params.ts";
import { type Tokenizer, type TokenizerSpec, tokenizer } from "../recipes/core/tokenizer.ts";
import { fromHF, type GPTConfig } from "../recipes/model/gpt.ts";

export type ZooId = "nano" | "nano-5x" | "micro" | "micro-5x";

/** What is known of a model: <id>.card.json beside its weights. */
export interface Card {
  id: ZooId;
  architecture: "gpt2";
  cfg: GPTConfig;
  parameters: number;
  /** file in data/zoo */
  tokenizer: string;
  /** of <id>.safetensors */
  sha256: string;
  dtype: "F16";
  training: {
    seed: number;
    steps: number;
    tokens: number;
    tokensPerParameter: number;
    batch: number;
    optimizer: string;
    seconds: number;
  };
  /** nat per token; `train` is the mean over the last 100 batches, `validation` that of the file's own weights */
  loss: { train: number; validation: number; sequences: number };
  /** validation loss in bits per byte of text: comparable between tokenizers */
  bitsPerByte: number;
  data: { corpus: "sotu"; trainSha256: string; licence: string };
  licence: string;
}

export interface ZooModel {
  cfg: GPTConfig;
  /** float32, from half precision in the file */
  params: Params;
  tokenizer: Tokenizer;
  card: Card;
}

export const folder = join(import.meta.dirname, "zoo");

/** Loads a model of the zoo with its tokenizer and card. Throws when the weights are not those of the card. */
export function loadZoo(id: ZooId): ZooModel {
  const card = readCard(id);
  const path = join(folder, `${id}.safetensors`);
  const found = createHash("sha256").update(readFileSync(path)).digest("hex");
  if (found !== card.sha256) {
    throw new Error(
      `${path} has SHA-256 ${found}, but its card says ${card.sha256}: npm run zoo -- ${id} makes it again.`,
    );
  }
  const { params, cfg } = fromHF(load(path).params, card.cfg.heads);
  return { cfg, params, tokenizer: loadTokenizer(card.tokenizer), card };
}

/** The card of a model. */
export function readCard(id: ZooId): Card {
  return JSON.parse(readFileSync(join(folder, `${id}.card.json`), "utf8"));
}

/** A tokenizer of data/zoo by its file name. */
export function loadTokenizer(file: string): Tokenizer {
  const spec: TokenizerSpec = JSON.parse(readFileSync(join(folder, file), "utf8"));
  return tokenizer(spec);
}
