// The door to pre-trained models: a folder in Hugging Face's form, a GGUF file or a name on a hub in, a function and its
// parameters out.
//   const { forward, tokenizer } = await fromPretrained("data/models/all-MiniLM-L6-v2");
//   const model = await fromPretrained("HuggingFaceTB/SmolLM2-135M-Instruct", { revision: "main" });
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import {
  type FloatFormat,
  FormatError,
  load,
  loadSharded,
  readJson,
  save as saveTensors,
  shown,
  writeAtomic,
} from "../core/io.ts";
import type { Params } from "../core/params.ts";
import { type GGUFType, loadGGUF } from "../export/gguf.ts";
import { saveGGUF } from "../export/write-gguf.ts";
import * as bert from "./bert.ts";
import { gptConfig, hfConfig } from "./config.ts";
import { fromGGUF, toGGUF } from "./gguf.ts";
import * as gpt from "./gpt.ts";
import { download, type HubOptions, isHubId } from "./hub.ts";
import * as t5 from "./seq2seq.ts";
import { type TextTokenizer, textTokenizer, tokenizerOfGGUF, tokenizerToGGUF } from "./tokenizer.ts";

export interface Meta {
  /** folder or file it came from */
  source: string;
  format: "safetensors" | "gguf";
  /** how the weights were stored, the most frequent type first: a figure made from Q4_1 says so */
  stored: string[];
  /** config.json, or the metadata of the GGUF file without its tokenizer */
  config: Record<string, any>;
  /** ids that end a text */
  eos: number[];
  /** Jinja template of a conversation, or several by their names; infer/chat.ts runs it */
  chatTemplate?: string | { name: string; template: string }[];
}

interface Common<Family, Config, Options> {
  family: Family;
  cfg: Config;
  params: Params;
  /**
   * With these parameters, ids [B, T] int32 to logits [B, T, V] (gpt2, llama; t5, of its `target`) or hidden states
   * [B, T, C] (bert, whose heads are in bert.ts; t5 without a `target`).
   */
  forward: (ids: tf.Tensor, options?: Options) => tf.Tensor;
  /** absent when the folder has none */
  tokenizer?: TextTokenizer;
  meta: Meta;
}

export type GPT = Common<"gpt2" | "llama", gpt.GPTConfig, gpt.ForwardOptions>;
export type Bert = Common<"bert", bert.BertConfig, bert.ForwardOptions>;
export type T5 = Common<"t5", t5.T5Config, t5.ForwardOptions & { target?: tf.Tensor }>;
export type Pretrained = GPT | Bert | T5;

/**
 * A GPT-2, Llama (SmolLM2, ...), BERT (MiniLM, ...) or T5 from a folder with config.json, safetensors (one file or sharded)
 * and tokenizer.json, from a GGUF file, or by its name `org/name` from a hub through the cache (hub.ts; the options are for
 * that). What was saved by `save` is checked against its hashes. Throws FormatError for files that are damaged, HubError
 * for what the hub refuses; refuses pickles, which are programs.
 */
export async function fromPretrained(path: string, options: HubOptions = {}): Promise<Pretrained> {
  if (!existsSync(path)) {
    if (isHubId(path)) {
      const { folder, file } = await download(path, options);
      return fromPretrained(file ? join(folder, file) : folder);
    }
    throw new Error(
      `${path} is not there; \`hf download ORG/NAME --local-dir ${path}\` brings a model from the hub, ` +
        'as fromPretrained("ORG/NAME") does into the cache.',
    );
  }
  if (statSync(path).isDirectory()) return fromFolder(path);
  refusePickle(path);
  if (extname(path) === ".gguf") return fromFile(path);
  if (extname(path) === ".safetensors") return fromFolder(dirname(path), basename(path));
  throw new Error(`${path} is no model file; wanted a folder, a .safetensors or a .gguf.`);
}

async function fromFolder(folder: string, file?: string): Promise<Pretrained> {
  const files = readdirSync(folder);
  const single = file ?? files.find((name) => name === "model.safetensors");
  const index = files.find((name) => name === "model.safetensors.index.json");
  if (!single && !index) {
    const gguf = files.filter((name) => name.endsWith(".gguf"));
    if (gguf.length === 1) return fromFile(join(folder, gguf[0]));
    for (const name of files) refusePickle(join(folder, name));
    throw new Error(`${folder} has no model.safetensors and not one .gguf; it has ${files.slice(0, 8).join(", ")}.`);
  }
  for (const name of ["config.json", ...(single ? [single] : [])])
    if (!files.includes(name))
      throw new Error(`${join(folder, name)} is missing; a model's folder has it beside the weights.`);
  checkManifest(folder, files);
  const config = readJson(join(folder, "config.json"));
  const json = (name: string) => (files.includes(name) ? readJson(join(folder, name)) : undefined);
  const tokenizerConfig = json("tokenizer_config.json") ?? {};
  const chat = "chat_template.jinja"; // beside it in newer folders, and then it is the one that holds
  if (files.includes(chat)) tokenizerConfig.chat_template = readFileSync(join(folder, chat), "utf8");
  const tokenizerJson = json("tokenizer.json");
  const { types, model } = ofFile(folder, (): { types: string[]; model: Parts } => {
    const { params: tensors, stored } = single ? load(join(folder, single)) : loadSharded(join(folder, index!));
    const types = mostFirst(Object.values(stored));
    if (config.model_type === "bert") {
      const cfg = bert.bertConfig(config);
      const params = keep(tensors, bert.fromHF(tensors, cfg, { heads: true }));
      return { types, model: { cfg, family: "bert", params } };
    }
    if (config.model_type === "t5") {
      const cfg = t5.t5Config(config);
      return { types, model: { cfg, family: "t5", params: keep(tensors, t5.fromHF(tensors, cfg)) } };
    }
    const cfg = gptConfig(config);
    return {
      types,
      model: { cfg, family: cfg.family ?? "gpt2", params: keep(tensors, gpt.fromHF(tensors, cfg).params) },
    };
  });
  return complete(model, tokenizerJson && (await textTokenizer(tokenizerJson, tokenizerConfig)), {
    source: folder,
    format: "safetensors",
    stored: types,
    config,
    eos: [json("generation_config.json")?.eos_token_id ?? config.eos_token_id ?? []].flat(), // a chat's ends are there
    chatTemplate: tokenizerConfig.chat_template ?? undefined,
  });
}

async function fromFile(path: string): Promise<Pretrained> {
  const { params: tensors, meta, types } = loadGGUF(path);
  const { cfg, params } = ofFile(path, () => fromGGUF(tensors, meta));
  const wordless = ["none", "no_vocab"].includes(String(meta["tokenizer.ggml.model"]));
  const described = wordless ? undefined : ofFile(path, () => tokenizerOfGGUF(meta));
  const stored = Object.values(types);
  const eos = meta["tokenizer.ggml.eos_token_id"];
  return complete(
    { cfg, family: cfg.family ?? "gpt2", params },
    described && (await textTokenizer(described.json, described.config)),
    {
      source: path,
      format: "gguf",
      stored: mostFirst(stored),
      config: Object.fromEntries(Object.entries(meta).filter(([key]) => !key.startsWith("tokenizer."))),
      eos: typeof eos === "number" ? [eos] : [],
      chatTemplate: described?.config.chat_template,
    },
  );
}

type Parts =
  | { family: "bert"; cfg: bert.BertConfig; params: Params }
  | { family: "t5"; cfg: t5.T5Config; params: Params }
  | { family: "gpt2" | "llama"; cfg: gpt.GPTConfig; params: Params };

function complete(model: Parts, tokenizer: TextTokenizer | undefined, meta: Meta): Pretrained {
  if (model.family === "bert") {
    const { cfg, params } = model;
    return {
      ...model,
      tokenizer,
      meta,
      forward: (ids: tf.Tensor, options?: bert.ForwardOptions) => bert.forward(params, cfg, ids, options),
    };
  }
  if (model.family === "t5") {
    const { cfg, params } = model;
    const forward: T5["forward"] = (ids, { target, ...options } = {}) =>
      target ? t5.forward(params, cfg, ids, target, options) : t5.encode(params, cfg, ids, options);
    return { ...model, tokenizer, meta, forward };
  }
  const { cfg, params } = model;
  return {
    ...model,
    tokenizer,
    meta,
    forward: (ids: tf.Tensor, options?: gpt.ForwardOptions) => gpt.forward(params, cfg, ids, options),
  };
}

/**
 * Writes a folder that transformers, and `fromPretrained`, load: config.json, model.safetensors, the tokenizer, and
 * whetstone.json with the SHA-256 of each. It comes last, so a folder without it was cut off. A path that ends in .gguf
 * becomes a file of llama.cpp: GPT-2 and Llama, also in blocks of 8 or 4 bits (export/write-gguf.ts).
 */
export function save(
  folder: string,
  model: Pick<Pretrained, "family" | "cfg" | "params"> & { tokenizer?: TextTokenizer; meta?: Pick<Meta, "eos"> },
  { dtype = "F32" }: { dtype?: GGUFType } = {},
): void {
  if (extname(folder) === ".gguf") {
    saveFile(folder, model, dtype);
    return;
  }
  if (dtype.startsWith("Q"))
    throw new Error(`${folder}: ${dtype} is of GGUF files; a folder holds F32, F16 or BF16. End the path in .gguf.`);
  mkdirSync(folder, { recursive: true });
  const { family, params, tokenizer, meta } = model;
  const kind =
    family === "bert"
      ? bert.hfConfig(model.cfg as bert.BertConfig, bert.headOf(params))
      : family === "t5"
        ? t5.hfConfig(model.cfg as t5.T5Config)
        : hfConfig(model.cfg as gpt.GPTConfig);
  const bos = tokenizer?.config.bos_token;
  const eos = meta?.eos ?? [];
  const ends = {
    bos_token_id: typeof bos === "string" ? (tokenizer!.idOf(bos) ?? null) : null, // not given means 50256 to a GPT-2
    eos_token_id: eos.length > 1 ? eos : (eos[0] ?? null),
  };
  const text = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  const files: Record<string, string> = { "config.json": text({ ...kind, ...ends }) };
  if (tokenizer) {
    files["tokenizer.json"] = text(tokenizer.json);
    files["tokenizer_config.json"] = text(tokenizer.config);
  }
  for (const [name, content] of Object.entries(files)) writeAtomic(join(folder, name), content);
  const weights = family === "bert" ? bert.toHF(params) : family === "t5" ? params : gpt.toHF(params);
  saveTensors(join(folder, "model.safetensors"), weights, { dtype: dtype as FloatFormat, metadata: { format: "pt" } });
  const names = [...Object.keys(files), "model.safetensors"];
  const sha256 = Object.fromEntries(names.map((name) => [name, hashOf(join(folder, name))]));
  writeAtomic(join(folder, MANIFEST), text({ sha256 }));
}

function saveFile(
  path: string,
  { family, cfg, params, tokenizer, meta }: Parameters<typeof save>[1],
  type: GGUFType,
): void {
  if (family === "bert" || family === "t5")
    throw new Error(
      `${path}: a ${family === "t5" ? "T5" : "BERT"} is not written as GGUF; a folder of safetensors keeps it.`,
    );
  const file = toGGUF(params, cfg as gpt.GPTConfig, type);
  const words = tokenizerToGGUF(tokenizer, (cfg as gpt.GPTConfig).vocab, meta?.eos);
  mkdirSync(dirname(path), { recursive: true });
  saveGGUF(path, file.tensors, { ...file.meta, ...words });
}

const MANIFEST = "whetstone.json";
const hashOf = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

function checkManifest(folder: string, files: string[]): void {
  if (!files.includes(MANIFEST)) return;
  const { sha256 } = readJson(join(folder, MANIFEST));
  for (const [name, wanted] of Object.entries(sha256 ?? {})) {
    if (!files.includes(name)) throw new FormatError(`${join(folder, name)} is missing, but ${MANIFEST} lists it.`);
    const found = hashOf(join(folder, name));
    if (found !== wanted)
      throw new FormatError(
        `${join(folder, name)} has SHA-256 ${found}, but ${MANIFEST} says ${shown(wanted)}: it was changed.`,
      );
  }
}

function refusePickle(path: string): void {
  if (!/\.(bin|pt|pth|ckpt|pkl|pickle)$/.test(path)) return;
  throw new Error(
    `${path} is a pickle: a program that would run. Convert it where you trust it: python -c "` +
      "from transformers import AutoModel; " +
      `AutoModel.from_pretrained('${dirname(path)}').save_pretrained('${dirname(path)}-safe')"`,
  );
}

// What the checks of a model say about the contents of a file is an error of the file.
function ofFile<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof FormatError) && (error as Error).constructor !== Error) throw error;
    const { message } = error as Error;
    throw new FormatError(message.startsWith(path) ? message : `${path}: ${message}`, { cause: error });
  }
}

// Frees the tensors of a file that the model does not use: what was turned over, heads of other tasks.
function keep(tensors: Params, used: Params): Params {
  const kept = new Set(Object.values(used));
  tf.dispose(Object.values(tensors).filter((tensor) => !kept.has(tensor)));
  return used;
}

function mostFirst(types: string[]): string[] {
  const times = (type: string) => types.filter((one) => one === type).length;
  return [...new Set(types)].sort((a, b) => times(b) - times(a));
}
