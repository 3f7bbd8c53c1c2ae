// Models by their name: what `fromPretrained` needs of a repository comes from a hub into the cache that Python's
// huggingface_hub has too, so that a model is on the disk once.
//   <cache>/models--org--name/refs/main                   the commit of a branch or tag
//                            /blobs/<hash>                the files: SHA-256 of a large one, git's SHA-1 of a small one
//                            /snapshots/<commit>/<file>   links to them
// @huggingface/hub has the routes and the places of the cache. Its own downloads begin anew when they are cut off and
// check no hash, so files are read here: what is there stays (`<hash>.incomplete`), the rest is asked for by Range.
// Variables as in Python: HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE.
import { createHash } from "node:crypto";
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { copyFile, mkdir, open, rename, rm, stat, symlink, utimes } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readJson, writeAtomic } from "../core/io.ts";

export interface HubOptions {
  /** branch, tag or commit; main if not given. A commit that is in the cache needs no network. */
  revision?: string;
  /** the one file that is wanted, such as a GGUF; else the safetensors and what belongs to them, or the only GGUF */
  file?: string;
  /** for private and gated models; HF_TOKEN if not given */
  token?: string;
  /** HF_ENDPOINT if not given, else https://huggingface.co */
  endpoint?: string;
  /** HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub if not given */
  cacheDir?: string;
  /** takes what the cache has and asks nobody; HF_HUB_OFFLINE if not given */
  offline?: boolean;
  /** called as bytes come */
  onProgress?: (progress: Progress) => void;
  /** stops the download; what came stays, and the next call goes on from there */
  signal?: AbortSignal;
}

/** Bytes; what an earlier download left counts as loaded. */
export interface Progress {
  file: string;
  loaded: number;
  size: number;
  /** of all files that were missing */
  all: { loaded: number; size: number };
}

/** What the hub refused, or that it could not be reached (status 0). */
export class HubError extends Error {
  override name = "HubError";
  readonly status: number;
  constructor(message: string, status: number, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** Where a model lies: a folder of the cache, and in it the file that was asked for or the only GGUF. */
export interface Place {
  folder: string;
  file?: string;
}

/** Is it the name of a model on a hub: `org/name`? */
export const isHubId = (text: string) => /^\w[\w.-]*\/\w[\w.-]*$/.test(text) && !/--|\.\./.test(text);

/**
 * Brings what `fromPretrained` needs of the model `org/name` into the cache, unless it is there, and says where it lies.
 * Throws HubError for what the hub refuses; refuses pickles.
 */
export async function download(id: string, options: HubOptions = {}): Promise<Place> {
  const { revision = "main", file, onProgress, signal } = options;
  if (!/^\w[\w./-]*$/.test(revision) || revision.includes(".."))
    throw new Error(`${id}: revision ${JSON.stringify(revision)} is none; wanted a branch, a tag or a commit.`);
  if (file !== undefined && !inside(file))
    throw new Error(`${id}: file ${JSON.stringify(file)}; wanted a path inside of the model's repository.`);
  if (file !== undefined && isPickle(file)) throw refused(id, [file]);
  const hub = await library();
  const store = join(options.cacheDir ?? hub.getHFHubCachePath(), hub.getRepoFolderName({ type: "model", name: id }));
  const kept = cached(store, revision, file);
  if (options.offline ?? /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? "")) {
    if (kept) return kept;
    const what = `${id}${file ? `/${file}` : ""} at ${revision}`;
    throw new HubError(`${what} is not whole in ${store}, and HF_HUB_OFFLINE is set: download it once without.`, 0);
  }
  if (kept && isCommit(revision) && (file || kept.file || existsSync(join(kept.folder, "tokenizer.json")))) return kept;

  const endpoint = (options.endpoint ?? (process.env.HF_ENDPOINT || hub.HUB_URL)).replace(/\/+$/, "");
  const get = asker(id, revision, endpoint, options.token ?? process.env.HF_TOKEN?.trim(), signal);
  const asked = { hubUrl: endpoint, fetch: get };
  try {
    const { sha: commit } = await hub.modelInfo({ ...asked, name: id, revision, additionalFields: ["sha"] });
    if (!isCommit(commit)) throw new HubError(`${endpoint} gives ${id} the commit ${commit}; wanted 40 digits.`, 0);
    const entries: Entry[] = [];
    const path = file?.includes("/") ? dirname(file) : undefined;
    for await (const entry of hub.listFiles({ ...asked, repo: id, revision: commit, path }))
      if (entry.type === "file" && inside(entry.path)) entries.push(entry);
    const folder = join(store, "snapshots", commit);
    const fetchAll = (names: string[]) =>
      bring(
        names.map((name) => entries.find((entry) => entry.path === name)!),
        { store, folder, url: (name) => `${endpoint}/${id}/resolve/${commit}/${encodeURI(name)}`, get, onProgress },
      );
    const names = needed(id, entries, file);
    await fetchAll(names);
    if (names.includes(INDEX)) {
      const shards = shardsOf(join(folder, INDEX));
      const missing = shards.find((shard) => !entries.some((entry) => entry.path === shard));
      if (missing) throw new HubError(`${id}: ${INDEX} names ${missing}, which the repository does not have.`, 404);
      await fetchAll(shards);
    }
    if (revision !== commit) {
      await mkdir(dirname(join(store, "refs", revision)), { recursive: true });
      writeAtomic(join(store, "refs", revision), commit);
    }
    const one = file ?? names.find((name) => name.endsWith(".gguf"));
    return one === undefined ? { folder } : { folder, file: one };
  } catch (error) {
    if (!kept || !(error instanceof HubError) || (error.status > 0 && error.status < 500)) throw error;
    console.warn(`${error.message} ${id} is taken from the cache, as it was at the last download: ${kept.folder}`);
    return kept;
  }
}

type Entry = { path: string; size: number; oid?: string; lfs?: { oid: string; size: number } };
type Get = typeof fetch;

const INDEX = "model.safetensors.index.json";
const WEIGHTS = "model.safetensors";
// Weights come last: where they are, the rest is.
const BESIDE = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"].concat([
  "chat_template.jinja",
  "whetstone.json",
]);

const isCommit = (text: string) => /^[0-9a-f]{40}$/.test(text);
const isPickle = (name: string) => /\.(bin|pt|pth|ckpt|pkl|pickle)$/.test(name);
const inside = (path: string) =>
  path !== "" && !/[\\:\0]/.test(path) && path.split("/").every((part) => !["", ".", ".."].includes(part));

function refused(id: string, names: string[]): Error {
  const to = `${id.split("/")[1]}-safe`;
  return new Error(
    `${id} has its weights as ${names.join(", ")}: pickles, programs that would run. Convert them where you trust them: ` +
      `python -c "from transformers import AutoModel, AutoTokenizer; ` +
      `[part.from_pretrained('${id}').save_pretrained('${to}') for part in (AutoModel, AutoTokenizer)]"`,
  );
}

// The names of the files that a model is made of; for shards, what tells of them.
function needed(id: string, entries: Entry[], file?: string): string[] {
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

function shardsOf(path: string): string[] {
  const files = [...new Set(Object.values(readJson(path).weight_map ?? {}))];
  const bad = files.find((name) => typeof name !== "string" || !/^[\w.-]+\.safetensors$/.test(name));
  if (bad !== undefined || !files.length)
    throw new HubError(`${path} names ${bad ?? "no files"}; wanted .safetensors.`, 0);
  return files as string[];
}

// What the cache has of a revision, if that is a whole model. A link without its blob does not exist.
function cached(store: string, revision: string, file?: string): Place | undefined {
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

interface Way {
  store: string;
  folder: string;
  url: (name: string) => string;
  get: Get;
  onProgress?: (progress: Progress) => void;
}

// Downloads what is missing and links it into the folder.
async function bring(entries: Entry[], { store, folder, url, get, onProgress }: Way): Promise<void> {
  const wanted = entries
    .filter(({ path }) => !existsSync(join(folder, path)))
    .map(({ path, size, oid, lfs }) => ({ path, size: lfs?.size ?? size, sha256: lfs?.oid, sha1: oid }));
  const all = { loaded: 0, size: wanted.reduce((sum, { size }) => sum + size, 0) };
  for (const { path, size, sha256, sha1 } of wanted) {
    const hash = sha256 ?? sha1;
    if (!hash || !/^[0-9a-f]{40}([0-9a-f]{24})?$/.test(hash))
      throw new HubError(`The hub gives ${path} the hash ${hash}; wanted a SHA-256, or git's SHA-1.`, 0);
    const blob = join(store, "blobs", hash);
    const before = all.loaded;
    await mkdir(dirname(blob), { recursive: true });
    if (!existsSync(blob))
      await alone(blob, async () => {
        const tell = (loaded: number) => {
          all.loaded = before + loaded;
          onProgress?.({ file: path, loaded, size, all: { ...all } });
        };
        await receive(url(path), `${blob}.incomplete`, size, get, tell);
        const found = await hashOf(`${blob}.incomplete`, sha256 ? "sha256" : "sha1", sha256 ? "" : `blob ${size}\0`);
        if (found !== hash) {
          await rm(`${blob}.incomplete`);
          throw new HubError(
            `${url(path)} came with the hash ${found}, but the hub says ${hash}: download it again.`,
            0,
          );
        }
        await rename(`${blob}.incomplete`, blob);
      });
    all.loaded = before + size;
    const link = join(folder, path);
    await mkdir(dirname(link), { recursive: true });
    await rm(link, { force: true }); // one that leads nowhere
    try {
      await symlink(relative(dirname(link), blob), link);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") continue; // another process was faster
      await copyFile(blob, link); // Windows allows links to developers only
    }
  }
}

const TRIES = 5;

// Appends to the file until it has all bytes: goes on where a connection, or an earlier call, was cut off.
async function receive(url: string, to: string, size: number, get: Get, tell: (loaded: number) => void) {
  let reason: unknown;
  for (let left = TRIES; left > 0; left--) {
    let have = existsSync(to) ? statSync(to).size : 0;
    if (have > size) {
      await rm(to);
      have = 0;
    }
    if (have === size && (size || existsSync(to))) return;
    const response = await get(url, { headers: have ? { Range: `bytes=${have}-` } : {} });
    if (response.status !== 206 || !response.headers.get("content-range")?.startsWith(`bytes ${have}-`)) have = 0;
    const file = await open(to, have ? "a" : "w");
    let at = have;
    try {
      const reader = response.body?.getReader();
      while (reader) {
        const { done, value } = await reader.read().catch((error) => {
          reason = error;
          return { done: true, value: undefined };
        });
        if (done || !value) break;
        await file.write(value);
        at += value.length;
        if (at > size) throw new HubError(`${url} sends more than the ${size} bytes that the hub says.`, 0);
        tell(at);
      }
      await file.sync();
    } finally {
      await file.close();
      await response.body?.cancel().catch(() => {});
    }
    if (at === size) return;
    if (at > have) left = TRIES + 1; // it goes on, if slowly
    await sleep(100);
  }
  const have = existsSync(to) ? statSync(to).size : 0;
  throw new HubError(`${url} was cut off at ${have} of ${size} bytes; the next call goes on from there.`, 0, {
    cause: reason,
  });
}

async function hashOf(path: string, algorithm: string, before: string): Promise<string> {
  const hash = createHash(algorithm).update(before);
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}

const STALE = 60_000; // ms after which nobody holds a lock that nobody touched

// One process at a time writes a blob; the others wait until it is there. A lock of a process that died is taken over.
async function alone(blob: string, run: () => Promise<void>): Promise<void> {
  const lock = `${blob}.lock`;
  for (;;) {
    if (existsSync(blob)) return;
    try {
      await (await open(lock, "wx")).close();
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      const age = await stat(lock).then(
        ({ mtimeMs }) => Date.now() - mtimeMs,
        () => 0,
      );
      if (age > STALE) await rm(lock, { force: true });
      else await sleep(200);
    }
  }
  const touch = setInterval(() => utimes(lock, new Date(), new Date()).catch(() => {}), STALE / 6);
  try {
    if (!existsSync(blob)) await run();
  } finally {
    clearInterval(touch);
    await rm(lock, { force: true });
  }
}

const PAUSES = [250, 500, 1000]; // ms before a request is made again
const PATIENCE = 60_000; // ms: the longest pause that a hub may ask for

// A fetch for the hub: the token goes there only, what may pass is tried again, and a refusal says what to do.
function asker(id: string, revision: string, endpoint: string, token: string | undefined, signal?: AbortSignal): Get {
  const { origin } = new URL(endpoint);
  return async (url, init) => {
    const headers = new Headers(init?.headers);
    if (token && new URL(String(url)).origin === origin) headers.set("Authorization", `Bearer ${token}`);
    for (let i = 0; ; i++) {
      let response: Response;
      try {
        response = await fetch(url, { ...init, headers, signal });
      } catch (error) {
        signal?.throwIfAborted();
        const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
        if (i < PAUSES.length && !["ECONNREFUSED", "ENOTFOUND"].includes(cause?.code ?? "")) {
          await sleep(PAUSES[i], undefined, { signal });
          continue;
        }
        const why = cause?.code ?? cause?.message ?? (error as Error).message;
        throw new HubError(
          `${endpoint} cannot be reached (${why}): check the network and HF_ENDPOINT, or set HF_HUB_OFFLINE=1 to take ` +
            "what the cache has.",
          0,
          { cause: error },
        );
      }
      if (response.ok) return response;
      await response.body?.cancel().catch(() => {});
      const { status } = response;
      const asked = pause(response.headers);
      if ((status === 429 || status >= 500) && i < PAUSES.length && (asked ?? 0) <= PATIENCE) {
        await sleep(asked ?? PAUSES[i], undefined, { signal });
        continue;
      }
      throw new HubError(refusal(response, { id, revision, endpoint, token, asked }), status);
    }
  };
}

// Milliseconds that a hub asks to wait: Retry-After: 30, or RateLimit: "api";r=0;t=30
function pause(headers: Headers): number | undefined {
  const seconds = headers.get("retry-after") ?? /;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  return seconds != null && /^\d+$/.test(seconds) ? 1000 * Number(seconds) : undefined;
}

interface Request {
  id: string;
  revision: string;
  endpoint: string;
  token?: string;
  asked?: number;
}

function refusal({ status, headers, url }: Response, { id, revision, endpoint, token, asked }: Request): string {
  const code = headers.get("x-error-code");
  const page = `${endpoint}/${id}`;
  const [given, make] = [token ? "the token that was given" : "no token", `${endpoint}/settings/tokens`];
  if (code === "GatedRepo" || (status === 403 && code !== "RepoNotFound"))
    return `${id} is only for those who accepted its terms (status ${status}, ${given}): accept them on ${page} and set HF_TOKEN to a token of that account (${make}).`;
  if (status === 401)
    return `${id} is not there, or private (status 401, ${given}): check the name on ${page}, or set HF_TOKEN to a token that may read it (${make}).`;
  if (status === 404 && code === "RevisionNotFound") return `${id} has no revision ${JSON.stringify(revision)}.`;
  if (status === 404 && code !== "EntryNotFound" && !url.includes("/resolve/"))
    return `${endpoint} has no model ${id} (status 404, ${given}): check the name on ${page}.`;
  if (status === 404) return `${id} at ${revision} does not have ${url}.`;
  if (status === 429) {
    const wait = asked === undefined ? "a few minutes" : `${asked / 1000} s`;
    return `${endpoint} takes no more requests for now (status 429, ${given}): try again in ${wait}${token ? "" : "; with a token (HF_TOKEN) it takes more"}.`;
  }
  return `${endpoint} answers ${url} with status ${status}: try again later.`;
}

async function library(): Promise<typeof import("@huggingface/hub")> {
  try {
    return await import("@huggingface/hub");
  } catch (error) {
    throw new Error("Models by their name on a hub need a package: npm install @huggingface/hub", { cause: error });
  }
}
