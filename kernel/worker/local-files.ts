// The user's own modules on disk: which are loaded, what they import, and which have to be loaded anew because a file was edited.
//
// A module is known by its URL for ever, so an edited file gets a new one: `model.ts`, `model.ts?v=2`, ... Every import of the process goes
// through here, so that a file has one URL at a time, and one instance, whoever imports it. Old versions stay in memory: an old closure may use them.
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { sep } from "node:path";
import { fileURLToPath } from "node:url";

interface LocalFile {
  version: number;
  /** What is on disk under this version; nothing as long as it has not been read. */
  seen?: Seen;
  /** The local files that it imports, as far as they have been resolved. */
  imports: Set<string>;
  /** Read, but its code has not run to its end: it runs now, or it failed. */
  unfinished: boolean;
}

interface Seen {
  mtimeMs: number;
  size: number;
  hash: string;
  /** Written so shortly before it was read that a later write may have the same time. */
  isFresh: boolean;
}

const freshMs = 100;
const files = new Map<string, LocalFile>();
const { cache: commonJS } = createRequire(import.meta.url);
const kernelFolder = import.meta.dirname + sep;

/** The path of a module that is the user's own: not of Node, of the kernel, or of an installed package. */
export function localPath(url: string | undefined): string | undefined {
  if (url === undefined || !url.startsWith("file:") || url.includes("/node_modules/")) return undefined;
  const path = fileURLToPath(url);
  return path.startsWith(kernelFolder) ? undefined : path;
}

/** The URL under which the present version of a file is loaded. `from` is the local file that imports it, if one does. */
export function versionedURL(url: string, path: string, from: string | undefined): string {
  const { version } = fileOf(path);
  if (from !== undefined) fileOf(from).imports.add(path);
  const bare = withoutVersion(url);
  return version === 1 ? bare : `${bare}${bare.includes("?") ? "&" : "?"}v=${version}`;
}

/** The URL of a file without the version that the kernel has added. */
export function withoutVersion(url: string): string {
  return url.replace(/[?&]v=\d+$/, "");
}

/** Notes what a file held when it was read to be run. `reportsEnd`: `finished` will be called when its code has run. */
export function noteRead(path: string, content: Buffer, reportsEnd: boolean) {
  const file = fileOf(path);
  file.seen = stamp(path, content);
  file.unfinished = reportsEnd;
}

/** Notes that the code of a module has run to its end. */
export function noteFinished(url: string) {
  const path = localPath(url);
  const file = path === undefined ? undefined : files.get(path);
  if (file !== undefined && versionedURL(url, path!, undefined) === url) file.unfinished = false;
}

/** The local files that a file leads to, itself included. */
export function closure(path: string): Set<string> {
  const all = new Set([path]);
  for (const each of all) for (const next of files.get(each)?.imports ?? []) all.add(next);
  return all;
}

/** The files among these whose code has not run to its end. */
export function unfinished(paths: Iterable<string>): string[] {
  return [...paths].filter((path) => files.get(path)?.unfinished);
}

/** All files that are known. */
export function knownFiles(): Iterable<string> {
  return files.keys();
}

/** Gives files whose code failed, and all that import them, new versions: their next import tries again. */
export function forget(paths: string[]) {
  renew(new Set(paths));
}

/** Gives files that were edited, and all that import them, new versions. */
export function renewEdited() {
  const edited = new Set<string>();
  for (const [path, { seen }] of files) if (seen !== undefined && isEdited(path, seen)) edited.add(path);
  if (edited.size > 0) renew(edited);
}

function renew(paths: Set<string>) {
  for (let size = 0; size !== paths.size; ) {
    size = paths.size;
    for (const [path, { imports }] of files) if ([...imports].some((each) => paths.has(each))) paths.add(path);
  }
  for (const path of paths) {
    const file = fileOf(path);
    // What was never read has nobody who holds it.
    if (file.seen !== undefined) file.version++;
    file.seen = undefined;
    file.unfinished = false;
    file.imports = new Set();
    delete commonJS[path];
  }
}

function isEdited(path: string, seen: Seen): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return true;
  if (!seen.isFresh && found.mtimeMs === seen.mtimeMs && found.size === seen.size) return false;
  const now = stamp(path, readFileSync(path));
  if (now.hash !== seen.hash) return true;
  Object.assign(seen, now);
  return false;
}

function stamp(path: string, content: Buffer): Seen {
  const { mtimeMs = 0, size = 0 } = statSync(path, { throwIfNoEntry: false }) ?? {};
  const hash = createHash("sha1").update(content).digest("base64");
  return { mtimeMs, size, hash, isFresh: Date.now() - mtimeMs < freshMs };
}

function fileOf(path: string): LocalFile {
  let file = files.get(path);
  if (file === undefined) {
    file = { version: 1, imports: new Set(), unfinished: false };
    files.set(path, file);
  }
  return file;
}
