// Where raw data lies, and how it is recognized.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** The data folder of an installed npm package. */
export function packageFolder(name: string, folder = "data"): string {
  return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), folder);
}

/** The SHA-256 of a text's UTF-8 bytes, in hexadecimal. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
