// Files into the cache: what is there stays, what was cut off goes on where it was, what has another hash than the hub says is thrown
// away, and one process at a time writes a file.
import { createHash } from "node:crypto";
import { createReadStream, existsSync, statSync } from "node:fs";
import { copyFile, mkdir, open, rename, rm, stat, symlink, utimes } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HubError } from "./hub-fetch.ts";
import type { Entry } from "./hub-files.ts";

/** Bytes; what an earlier download left counts as loaded. */
export interface Progress {
  file: string;
  loaded: number;
  size: number;
  /** of all files that were missing */
  all: { loaded: number; size: number };
}

interface Way {
  store: string;
  folder: string;
  url: (name: string) => string;
  get: typeof fetch;
  onProgress?: (progress: Progress) => void;
}

/** Downloads what is missing and links it into the folder. */
export async function bring(entries: Entry[], { store, folder, url, get, onProgress }: Way): Promise<void> {
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
async function receive(url: string, to: string, size: number, get: typeof fetch, tell: (loaded: number) => void) {
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
