// Which files of a repository a model is made of, and whether the cache has them all: no network here.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readJson } from "../core/io.ts";
import type { Place } from "./hub.ts";
import { HubError } from "./hub-fetch.ts";

/** A file as the hub lists it; its SHA-256 where it is large, git's SHA-1 where it is small. */
export type Entry = { path: string; size: number; oid?: string; lfs?: { oid: string; size: number } };

export const INDEX = "model.safetensors.index.json";
const WEIGHTS = "model.safetensors";
// Weights come last: where they are, the rest is.
const BESIDE = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"].concat([
  "chat_template.jinja",
  "whetstone.json",
]);

export const isCommit = (text: string) => /^[0-9a-f]{40}$/.test(text);
export const isPickle = (name: string) => /\.(bin|pt|pth|ckpt|pkl|pickle)$/.test(name);
/** Does a path stay inside of the folder that it is joined to? */
export const inside = (path: string) =>
  path !== "" && !/[\\:\0]/.test(path) && path.split("/").every((part) => !["", ".", ".."].includes(part));

/** The error for a model of pickles, with the command that converts it. */
export function refused(id: string, names: string[]): Error {
  const to = `${id.split("/")[1]}-safe`;
  return new Error(
    `${id} has its weights as ${names.join(", ")}: pickles, programs that would run. Convert them where you trust them: ` +
      `python -c "from transformers import AutoModel, AutoTokenizer; ` +
      `[part.from_pretrained('${id}').save_pretrained('${to}') for part in (AutoModel, AutoTokenizer)]"`,
  );
}

/** The names of the files that a model is made of; for shards, what tells of them. */
export function needed(id: string, entries: Entry[], file?: string): string[] {
  const names = entries.map((entry) => entry.path);
  const listed = (some: string[]) => some.slice(0, 12).join(", ") || "no files";
  if (file) {
    if (names.includes(file)) return [file];
    throw new HubError(`${id} has no ${file}; it has ${listed(names)}.`, 404);
  }
  const weights = [WEIGHTS, INDEX].find((name) => names.includes(name));
  if (weights && names.includes("config.json")) return [...BESIDE.filter((name) => names.includes(name)), weights];
  const gguf = names.filter((name) => name.endsWith(".gguf"));
  if (gguf.length === 1) return gguf;
  if (gguf.length) throw new Error(`${id} has several models; choose one, { file: "${gguf[0]}" }: ${listed(gguf)}.`);
  const pickles = names.filter(isPickle);
  if (pickles.length) throw refused(id, pickles);
  throw new Error(`${id} has no ${WEIGHTS} with a config.json and no .gguf; it has ${listed(names)}.`);
}

/** The files that an index of shards names. */
export function shardsOf(path: string): string[] {
  const files = [...new Set(Object.values(readJson(path).weight_map ?? {}))];
  const bad = files.find((name) => typeof name !== "string" || !/^[\w.-]+\.safetensors$/.test(name));
  if (bad !== undefined || !files.length)
    throw new HubError(`${path} names ${bad ?? "no files"}; wanted .safetensors.`, 0);
  return files as string[];
}

/** What the cache has of a revision, if that is a whole model. A link without its blob does not exist. */
export function cached(store: string, revision: string, file?: string): Place | undefined {
  const ref = join(store, "refs", revision);
  const commit = isCommit(revision) ? revision : existsSync(ref) ? readFileSync(ref, "utf8").trim() : "";
  const folder = join(store, "snapshots", commit);
  const has = (name: string) => existsSync(join(folder, name));
  if (!isCommit(commit) || !existsSync(folder)) return undefined;
  if (file) return has(file) ? { folder, file } : undefined;
  if (has("config.json") && (has(WEIGHTS) || (has(INDEX) && shardsOf(join(folder, INDEX)).every(has))))
    return { folder };
  const gguf = readdirSync(folder).filter((name) => name.endsWith(".gguf") && has(name));
  return gguf.length === 1 && !has(INDEX) ? { folder, file: gguf[0] } : undefined;
}
