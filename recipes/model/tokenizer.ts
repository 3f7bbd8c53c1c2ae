// Text to ids for pre-trained models: @huggingface/tokenizers does the work. Here a tokenizer.json is checked first, so that
// a damaged one is an error of the file, and the one inside a GGUF file is put into the form of tokenizer.json.
import { FormatError, shown } from "../core/io.ts";
import type { Value } from "../export/gguf.ts";
import type { Typed } from "../export/write-gguf.ts";

type Json = Record<string, any>;

export interface TextTokenizer {
  /** Special tokens written in the text (`<|im_end|>`) become their ids; `special` adds those around a text ([CLS], ...). */
  encode(text: string, options?: { special?: boolean }): Int32Array;
  /** Leaves special tokens out unless `special` is set. */
  decode(ids: ArrayLike<number>, options?: { special?: boolean }): string;
  idOf(token: string): number | undefined;
  /** what it was made of, to be saved beside a model */
  json: Json;
  config: Json;
}

/** The tokenizer that a Hugging Face `tokenizer.json` describes, with the settings of `tokenizer_config.json`. */
export async function textTokenizer(json: Json, config: Json = {}): Promise<TextTokenizer> {
  check(json);
  const { Tokenizer } = await library();
  let made: InstanceType<typeof Tokenizer>;
  try {
    // Not given means no blanks taken away around punctuation, as in Python; the package would take them.
    made = new Tokenizer(json, { clean_up_tokenization_spaces: false, ...config });
    made.decode(made.encode("Text, 1 2.\n").ids); // what is wrong deep inside shows at the first text only
  } catch (error) {
    throw new FormatError(`tokenizer.json cannot be used: ${(error as Error).message}`, { cause: error });
  }
  return {
    encode: (text, { special = true } = {}) => Int32Array.from(made.encode(text, { add_special_tokens: special }).ids),
    decode: (ids, { special = false } = {}) =>
      ids.length ? made.decode(Array.from(ids), { skip_special_tokens: !special }) : "", // the package takes no empty list
    idOf: (token) => made.token_to_id(token),
    json,
    config,
  };
}

async function library(): Promise<typeof import("@huggingface/tokenizers")> {
  try {
    return await import("@huggingface/tokenizers");
  } catch (error) {
    throw new Error("Tokenizers of pre-trained models need a package: npm install @huggingface/tokenizers", {
      cause: error,
    });
  }
}

// What each part may be. A tokenizer of another kind must not come out as one that cuts texts wrongly.
const kinds: Record<string, string[]> = {
  normalizer: [
    "BertNormalizer",
    "Sequence",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Precompiled",
    "Prepend",
  ].concat(["Replace", "Strip", "StripAccents"]),
  pre_tokenizer: [
    "BertPreTokenizer",
    "ByteLevel",
    "Digits",
    "FixedLength",
    "Metaspace",
    "Punctuation",
    "Replace",
  ].concat(["Sequence", "Split", "Whitespace", "WhitespaceSplit"]),
  post_processor: ["BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"],
  decoder: [
    "BPEDecoder",
    "ByteFallback",
    "ByteLevel",
    "CTC",
    "Fuse",
    "Metaspace",
    "Replace",
    "Sequence",
    "Strip",
  ].concat(["WordPiece"]),
};
const IDS = 2 ** 24; // far more than any vocabulary has

function check(json: Json): void {
  const { model, added_tokens: added = [] } = json;
  if (typeof model !== "object" || !model || Array.isArray(model))
    throw new FormatError(`tokenizer.json: model is ${shown(model)}; wanted a record.`);
  const type = model.type ?? (Array.isArray(model.merges) ? "BPE" : "WordPiece");
  const checks: Record<string, (model: Json) => void> = { BPE: checkBPE, WordPiece: checkVocab, Unigram: checkUnigram };
  const known = typeof type === "string" && Object.hasOwn(checks, type);
  if (!known)
    throw new FormatError(`tokenizer.json: model.type is ${shown(type)}; known are BPE, WordPiece and Unigram.`);
  checks[type](model);
  for (const key of ["unk_token", "continuing_subword_prefix", "end_of_word_suffix"])
    if (model[key] != null && typeof model[key] !== "string")
      throw new FormatError(`tokenizer.json: model.${key} is ${shown(model[key])}; wanted a text.`);
  if (type === "WordPiece" && !Object.hasOwn(model.vocab, model.unk_token))
    throw new FormatError(`tokenizer.json: model.unk_token ${shown(model.unk_token)} is not in the vocabulary.`);
  if (!Array.isArray(added)) throw new FormatError(`tokenizer.json: added_tokens is ${shown(added)}; wanted a list.`);
  const taken = new Set<number>();
  for (const token of added) {
    const { id, content } = token ?? {};
    if (!Number.isInteger(id) || id < 0 || id >= IDS || taken.has(id) || typeof content !== "string" || !content)
      throw new FormatError(
        `tokenizer.json: ${shown(token)} is no added token; wanted an id of its own and a content.`,
      );
    if (type !== "Unigram" && (model.vocab[content] ?? id) !== id)
      throw new FormatError(
        `tokenizer.json: ${shown(content)} is id ${id} and in the vocabulary ${model.vocab[content]}.`,
      );
    taken.add(id);
  }
  for (const [part, known] of Object.entries(kinds)) checkPart(json[part], part, known, 0);
}

function checkPart(part: any, name: string, known: string[], depth: number): void {
  if (part == null) return;
  if (typeof part !== "object" || !known.includes(part.type) || depth > 4)
    throw new FormatError(
      `tokenizer.json: ${name} is of type ${shown(part.type ?? part)}; known are ${known.join(", ")}.`,
    );
  if (part.type !== "Sequence") return;
  const inner =
    part[{ normalizer: "normalizers", pre_tokenizer: "pretokenizers" }[name] ?? "decoders"] ?? part.processors;
  if (!Array.isArray(inner)) throw new FormatError(`tokenizer.json: a Sequence in ${name} has no list of parts.`);
  for (const one of inner) {
    if (one == null) throw new FormatError(`tokenizer.json: a Sequence in ${name} has an empty part.`);
    checkPart(one, name, known, depth + 1);
  }
}

function checkVocab({ vocab }: Json): void {
  if (typeof vocab !== "object" || !vocab || Array.isArray(vocab))
    throw new FormatError(`tokenizer.json: model.vocab is ${shown(vocab)}; wanted ids by token.`);
  const taken = new Set<number>();
  for (const [token, id] of Object.entries<any>(vocab)) {
    if (!Number.isInteger(id) || id < 0 || id >= IDS)
      throw new FormatError(
        `tokenizer.json: ${shown(token)} has the id ${shown(id)}; wanted a whole number below ${IDS}.`,
      );
    if (taken.has(id)) throw new FormatError(`tokenizer.json: ${shown(token)} has the id ${id} of another token.`);
    taken.add(id);
  }
  if (!taken.size) throw new FormatError("tokenizer.json: the vocabulary is empty.");
}

function checkBPE(model: Json): void {
  checkVocab(model);
  const { vocab, merges } = model;
  if (!Array.isArray(merges)) throw new FormatError(`tokenizer.json: model.merges is ${shown(merges)}; wanted a list.`);
  const known = (token: unknown) => typeof token === "string" && Object.hasOwn(vocab, token);
  const prefix = model.continuing_subword_prefix ?? "";
  for (const merge of merges) {
    const [left, right, more] = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
    if (more !== undefined || !known(left) || !known(right) || !known(left + String(right).slice(prefix.length)))
      throw new FormatError(`tokenizer.json: the merge ${shown(merge)} is not of two tokens into a third one.`);
  }
}

function checkUnigram({ vocab, unk_id: unknown }: Json): void {
  const fine = (one: unknown) => Array.isArray(one) && typeof one[0] === "string" && Number.isFinite(one[1]);
  if (!Array.isArray(vocab) || !vocab.length || vocab.length > IDS || !vocab.every(fine))
    throw new FormatError("tokenizer.json: model.vocab is not a list of tokens with their scores.");
  if (unknown != null && !vocab[unknown])
    throw new FormatError(
      `tokenizer.json: model.unk_id is ${shown(unknown)}; wanted one of the ${vocab.length} tokens.`,
    );
}

// How texts are cut before the merges; the names are llama.cpp's.
const GPT2 = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
const cuts: Record<string, Json> = {
  "gpt-2": GPT2,
  smollm: { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, GPT2] },
};

/** tokenizer.json and tokenizer_config.json for what is inside a GGUF file: byte-pair encoding, or SentencePiece's ("llama"). */
export function tokenizerOfGGUF(meta: Record<string, Value>): { json: Json; config: Json } {
  const get = (key: string) => meta[`tokenizer.ggml.${key}`];
  const [kind, tokens, types = []] = ["model", "tokens", "token_type"].map(get);
  if (kind !== "gpt2" && kind !== "llama")
    throw new FormatError(
      `The GGUF file's tokenizer is ${shown(kind)}; known are "gpt2" (byte-pair encoding) and "llama" (SentencePiece).`,
    );
  if (!texts(tokens) || !Array.isArray(types))
    throw new FormatError("The GGUF file's tokenizer has no lists of tokens and of their types.");
  const vocab = new Map(tokens.map((text, id) => [text, id]));
  if (vocab.size !== tokens.length) throw new FormatError("The GGUF file's tokenizer has a token twice.");
  const added = tokens.flatMap((content, id) => {
    const special = types[id] === 3; // 3 control, 4 of the user's, 1 normal
    const rest = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    return special || types[id] === 4 ? [{ id, content, special, ...rest }] : [];
  });
  const token = (key: string, otherwise?: number) => {
    const id = get(key) ?? (kind === "llama" ? otherwise : undefined);
    if (id !== undefined && (typeof id !== "number" || tokens[id] === undefined))
      throw new FormatError(`The GGUF file's ${key} is ${shown(id)}; it has ${tokens.length} tokens.`);
    return id === undefined ? undefined : tokens[id as number];
  };
  const [bos, eos, unknown] = [token("bos_token_id", 1), token("eos_token_id", 2), token("unknown_token_id", 0)];
  const start = (get("add_bos_token") ?? kind === "llama") === true && bos !== undefined;
  const template = {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: { [bos ?? ""]: { id: bos, ids: [vocab.get(bos ?? "")], tokens: [bos] } },
  };
  const parts = kind === "llama" ? sentencePiece(meta, vocab, unknown) : bytePairs(meta, vocab);
  const json = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    ...parts,
    post_processor: start ? template : parts.post_processor,
  };
  const config = {
    tokenizer_class: kind === "llama" ? "LlamaTokenizer" : "GPT2Tokenizer",
    bos_token: bos,
    eos_token: eos,
    unk_token: unknown,
    pad_token: token("padding_token_id"),
    chat_template: meta["tokenizer.chat_template"],
    clean_up_tokenization_spaces: false,
  };
  return { json, config };
}

const texts = (list: unknown): list is string[] => Array.isArray(list) && list.every((x) => typeof x === "string");
const PLAIN = { type: "BPE", dropout: null, continuing_subword_prefix: "", end_of_word_suffix: "" };

function bytePairs(meta: Record<string, Value>, vocab: Map<string, number>) {
  const [pre, merges] = ["pre", "merges"].map((key) => meta[`tokenizer.ggml.${key}`]);
  const cut = cuts[String(pre ?? "gpt-2")];
  if (!cut)
    throw new FormatError(`The GGUF file cuts words as ${shown(pre)}; known are ${Object.keys(cuts).join(", ")}.`);
  if (!texts(merges)) throw new FormatError("The GGUF file's tokenizer has no list of merges.");
  return {
    normalizer: null,
    pre_tokenizer: cut,
    post_processor: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true } as Json,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      ...PLAIN,
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(vocab),
      merges,
    },
  };
}

/**
 * SentencePiece (Kudo 2018) joins the neighbours that make the piece of the highest score, again and again: byte-pair encoding
 * whose merges are all pairs of pieces that make a third one, by its score. Blanks are ▁; what no piece has becomes bytes.
 */
function sentencePiece(meta: Record<string, Value>, vocab: Map<string, number>, unknown?: string) {
  const [scores, prefix = true] = ["scores", "add_space_prefix"].map((key) => meta[`tokenizer.ggml.${key}`]);
  if (!Array.isArray(scores) || scores.length !== vocab.size || !scores.every((score) => Number.isFinite(score)))
    throw new FormatError(`The GGUF file's tokenizer has no list of ${vocab.size} scores, one a token.`);
  const merges: { pair: [string, string]; score: number }[] = [];
  for (const [piece, id] of vocab) {
    const letters = Array.from(piece);
    for (let i = 1, left = ""; i < letters.length; i++) {
      left += letters[i - 1];
      const right = piece.slice(left.length);
      if (vocab.has(left) && vocab.has(right)) merges.push({ pair: [left, right], score: scores[id] as number });
    }
  }
  merges.sort((a, b) => b.score - a.score);
  const blank = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const text = { type: "Replace", pattern: { String: "▁" }, content: " " };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  return {
    normalizer: { type: "Sequence", normalizers: [...(prefix ? [{ type: "Prepend", prepend: "▁" }] : []), blank] },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [text, { type: "ByteFallback" }, { type: "Fuse" }, ...(prefix ? [strip] : [])],
    },
    model: {
      ...PLAIN,
      unk_token: unknown ?? null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(vocab),
      merges: merges.map(({ pair }) => pair),
    },
  };
}

/**
 * The metadata of a GGUF file for a byte-pair tokenizer and a model of `vocab` ids; without a tokenizer, that there is
 * none. Throws for a tokenizer that llama.cpp would cut texts otherwise with.
 */
export function tokenizerToGGUF(
  tokenizer: TextTokenizer | undefined,
  vocab: number,
  eos: number[] = [],
): Record<string, Typed> {
  const key = (name: string) => `tokenizer.ggml.${name}`;
  if (!tokenizer) return { [key("model")]: { type: "string", value: "none" } };
  const { json, config } = tokenizer;
  const { model, normalizer, post_processor: post } = json;
  const cannot = (what: string) =>
    new Error(`tokenizer: ${what} is not written as GGUF; a folder of safetensors keeps it.`);
  if (
    (model.type ?? "BPE") !== "BPE" ||
    model.byte_fallback ||
    model.continuing_subword_prefix ||
    model.end_of_word_suffix
  )
    throw cannot(`${shown(model.type ?? "BPE")} with bytes or affixes of its own`);
  if (normalizer) throw cannot(`a normalizer (${shown(normalizer.type)})`);
  const pre = Object.keys(cuts).find((name) => cutsAlike(cuts[name], json.pre_tokenizer));
  if (!pre) throw cannot(`how it cuts words (${shown(json.pre_tokenizer?.type)})`);
  const start = post?.type === "TemplateProcessing" ? post.single?.[0]?.SpecialToken?.id : undefined;
  if (post?.type === "TemplateProcessing" ? !start || post.single.length !== 2 : post && post.type !== "ByteLevel")
    throw cannot(`what it adds to a text (${shown(post.type)})`);

  const tokens: string[] = [];
  const kinds: number[] = [];
  for (const [content, id] of Object.entries<number>(model.vocab)) [tokens[id], kinds[id]] = [content, 1];
  for (const { id, content, special } of json.added_tokens ?? []) [tokens[id], kinds[id]] = [content, special ? 3 : 4]; // control, of the user's
  if (tokens.length > vocab) throw new Error(`tokenizer: it has ${tokens.length} ids, but the model ${vocab}.`);
  for (let id = 0; id < vocab; id++) if (tokens[id] === undefined) [tokens[id], kinds[id]] = [`[PAD${id}]`, 5]; // unused
  const merges = model.merges.map((merge: string | string[]) => (typeof merge === "string" ? merge : merge.join(" ")));
  const ids: Record<string, Typed> = {};
  for (const [name, token] of Object.entries({
    bos: start ?? config.bos_token,
    eos: config.eos_token,
    unknown: config.unk_token,
    padding: config.pad_token,
  })) {
    const id = name === "eos" && eos.length ? eos[0] : tokens.indexOf(token?.content ?? token);
    if (id >= 0) ids[key(`${name}_token_id`)] = { type: "u32", value: id };
  }
  return {
    [key("model")]: { type: "string", value: "gpt2" },
    [key("pre")]: { type: "string", value: pre },
    [key("tokens")]: { type: "string[]", value: tokens },
    [key("token_type")]: { type: "i32[]", value: kinds },
    [key("merges")]: { type: "string[]", value: merges },
    ...ids,
    [key("add_bos_token")]: { type: "bool", value: start !== undefined },
    [key("add_space_prefix")]: { type: "bool", value: false },
    ...(typeof config.chat_template === "string" && {
      "tokenizer.chat_template": { type: "string", value: config.chat_template },
    }),
  };
}

// trim_offsets says where a token lies in a text, not which one it is.
function cutsAlike(a: Json, b: Json | null): boolean {
  const essence = (part: any): unknown =>
    part && [
      part.type,
      part.individual_digits,
      part.add_prefix_space,
      part.use_regex ?? (part.type === "ByteLevel" || undefined),
      part.pretokenizers?.map(essence),
    ];
  return JSON.stringify(essence(a)) === JSON.stringify(essence(b));
}
