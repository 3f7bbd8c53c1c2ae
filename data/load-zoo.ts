// The small models of data/zoo, as notebooks and tests use them. `npm run zoo` makes them again (data/make/).
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { load } from "../recipes/core/io.ts";
import type { Params } from "../recipes/core/params.ts";
import { type Tokenizer, type TokenizerSpec, tokenizer } from "../recipes/core/tokenizer.ts";
import * as bert from "../recipes/model/bert.ts";
import * as gpt from "../recipes/model/gpt.ts";
import * as rnn from "../recipes/model/rnn.ts";
import * as t5 from "../recipes/model/seq2seq.ts";

/** Which models are of which architecture. A -5x one has read 5 tokens per parameter, the others 20. */
export interface ZooIds {
  gpt2: "nano-5x" | "nano" | "micro-5x" | "micro" | "mini-5x" | "mini" | "draft";
  lstm: "lstm";
  bert: "bert";
  t5: "seq2seq";
}
export type Architecture = keyof ZooIds;
export type ZooId = ZooIds[Architecture];
export type ArchitectureOf<I extends ZooId> = { [A in Architecture]: I extends ZooIds[A] ? A : never }[Architecture];

/** The configurations of recipes/model/. */
export interface Configs {
  gpt2: gpt.GPTConfig;
  lstm: rnn.RNNConfig;
  bert: bert.BertConfig;
  t5: t5.T5Config;
}

/** What is known of a model: <id>.card.json beside its weights and its loss curve, <id>.log. */
export interface Card<A extends Architecture = Architecture> {
  id: string;
  architecture: A;
  cfg: Configs[A];
  parameters: number;
  /** file in data/zoo */
  tokenizer: string;
  /** ids after those of the tokenizer, by what they mean */
  special?: Record<string, number>;
  /** of <id>.safetensors */
  sha256: string;
  dtype: "F16";
  training: {
    seed: number;
    steps: number;
    /** ids read, without padding; texts shorter than a batch are counted by their mean */
    tokens: number;
    tokensPerParameter: number;
    /** sequences in a batch, and ids in a sequence where all have the same length */
    batch: number;
    ctx?: number;
    objective: string;
    optimizer: string;
    /** wall time, with whatever else the machine did */
    seconds: number;
    /** processor time of all threads; not recorded for the first models */
    cpuSeconds?: number;
    energy: { wattHours: number; how: string };
    versions: Record<string, string>;
  };
  /** nat per id asked for; `train` is the mean over the last 100 batches, `validation` that of the file's own weights */
  loss: { train: number; validation: number; sequences: number };
  /** validation loss in bits per byte of text: comparable between tokenizers */
  bitsPerByte?: number;
  /** other measures on validation data, shares from 0 to 1 */
  scores?: Record<string, number>;
  data: { corpus: string; trainSha256?: string; licence: string }[];
  licence: string;
}

export interface ZooModel<A extends Architecture = Architecture> {
  cfg: Configs[A];
  /** float32, from half precision in the file */
  params: Params;
  tokenizer: Tokenizer;
  card: Card<A>;
}

/** Ids that bert has after the 512 of its tokenizer: a text is [cls] ... [sep], a hidden place [mask]. */
export const bertIds = { pad: 512, cls: 513, sep: 514, mask: 515 } as const;

/** Ids that seq2seq has after the 96 characters: its target begins with pad and ends with end, as its source does. */
export const seq2seqIds = { pad: 96, end: 97 } as const;

export const folder = join(import.meta.dirname, "zoo");

/** Loads a model of the zoo with its tokenizer and card. Throws when the weights are not those of the card. */
export function loadZoo<I extends ZooId>(id: I, { from = folder } = {}): ZooModel<ArchitectureOf<I>> {
  const card = readCard(id, { from });
  const path = join(from, `${id}.safetensors`);
  const found = createHash("sha256").update(readFileSync(path)).digest("hex");
  if (found !== card.sha256) {
    throw new Error(
      `${path} has SHA-256 ${found}, but its card says ${card.sha256}: npm run zoo -- ${id} makes it again.`,
    );
  }
  const params = fromFile(card.architecture, load(path).params, card.cfg);
  return { cfg: card.cfg, params, tokenizer: loadTokenizer(card.tokenizer), card };
}

/** Parameters as recipes/model/ names them, from the tensors of a file. */
export function fromFile<A extends Architecture>(architecture: A, file: Params, cfg: Configs[A]): Params {
  const from: { [A in Architecture]: (file: Params, cfg: Configs[A]) => Params } = {
    gpt2: (file, { heads }) => gpt.fromHF(file, heads).params,
    lstm: (file) => rnn.fromTorch(file),
    bert: (file, cfg) => bert.fromHF(file, cfg, { heads: true }),
    t5: (file, cfg) => t5.fromHF(file, cfg),
  };
  return from[architecture](file, cfg);
}

/** The card of a model. */
export function readCard<I extends ZooId>(id: I, { from = folder } = {}): Card<ArchitectureOf<I>> {
  return JSON.parse(readFileSync(join(from, `${id}.card.json`), "utf8"));
}

/** A tokenizer of data/zoo by its file name. */
export function loadTokenizer(file: string): Tokenizer {
  const spec: TokenizerSpec = JSON.parse(readFileSync(join(folder, file), "utf8"));
  return tokenizer(spec);
}
