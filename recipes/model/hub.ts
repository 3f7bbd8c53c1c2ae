// Models by their name: what `fromPretrained` needs of a repository comes from a hub into the cache that Python's
// huggingface_hub has too, so that a model is on the disk once.
//   <cache>/models--org--name/refs/main                   the commit of a branch or tag
//                            /blobs/<hash>                the files: SHA-256 of a large one, git's SHA-1 of a small one
//                            /snapshots/<commit>/<file>   links to them
// @huggingface/hub has the routes and the places of the cache. Its own downloads begin anew when they are cut off and
// check no hash, so files are read here: what is there stays (`<hash>.incomplete`), the rest is asked for by Range.
// Variables as in Python: HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE.
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeAtomic } from "../core/io.ts";
import { asker, HubError } from "./hub-fetch.ts";
import { cached, type Entry, INDEX, inside, isCommit, isPickle, needed, refused, shardsOf } from "./hub-files.ts";
import { bring, type Progress } from "./hub-receive.ts";

export { HubError, type Progress };

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

async function library(): Promise<typeof import("@huggingface/hub")> {
  try {
    return await import("@huggingface/hub");
  } catch (error) {
    throw new Error("Models by their name on a hub need a package: npm install @huggingface/hub", { cause: error });
  }
}
