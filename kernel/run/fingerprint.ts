// Whether files are still what they were: by size and time of change where these are the same, else by content.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";

/** What a file was, or what a folder listed, or that neither was there. */
export interface Fingerprint {
  path: string;
  kind: "file" | "folder" | "missing";
  hash?: string;
  size?: number;
  /** Milliseconds; a file that has changed within the tick of its clock has another size or is hashed. */
  changed?: number;
}

/** Files that were changed less than so long before they are looked at may change again within the same tick of the clock. */
const settledMs = 2000;

export function fingerprintOf(path: string, kind: Fingerprint["kind"] = "file"): Fingerprint {
  if (kind === "missing") return { path, kind };
  if (kind === "folder") return { path, kind, hash: listing(path) };
  const { size, mtimeMs } = statSync(path);
  const isSettled = Date.now() - mtimeMs > settledMs;
  return { path, kind, hash: hashOf(readFileSync(path)), size, changed: isSettled ? mtimeMs : undefined };
}

/** Whether it is still the same. */
export function isSame({ path, kind, hash, size, changed }: Fingerprint): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (kind === "missing") return stat === undefined;
  if (stat === undefined) return false;
  if (kind === "folder") return stat.isDirectory() && listing(path) === hash;
  if (!stat.isFile() || stat.size !== size) return false;
  return stat.mtimeMs === changed || hashOf(readFileSync(path)) === hash;
}

export const hashOf = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex").slice(0, 32);

const listing = (folder: string) => hashOf(JSON.stringify(readdirSync(folder).sort()));
