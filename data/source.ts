// Where raw data lies, and how it is recognized.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Split } from "../recipes/core/data.ts";

/** The data folder of an installed npm package. */
export function packageFolder(name: string, folder = "data"): string {
  return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), folder);
}

/** The SHA-256 of a text's UTF-8 bytes, in hexadecimal. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Makes of each split what `make` makes of it. */
export function bySplit<T, U>({ train, validation, test }: Record<Split, T>, make: (split: T) => U): Record<Split, U> {
  return { train: make(train), validation: make(validation), test: make(test) };
}

/**
 * Throws when a text is not the one whose hash data/splits.json holds: what was trained or measured on that would not be
 * comparable. `what` names it, `packages` where it comes from.
 */
export function checkHash(what: string, found: string, expected: string, packages: string): void {
  if (found === expected) return;
  throw new Error(
    `${what} has SHA-256 ${found}, but data/splits.json says ${expected}. Another version of ${packages} is installed: run npm ci.`,
  );
}

/** The same for what has splits, by what data/splits.json must hold for each. */
export function checkSplits(
  what: string,
  found: Record<Split, { sha256: string }>,
  expected: Record<Split, { sha256: string }>,
  packages: string,
): void {
  for (const split of ["train", "validation", "test"] as const)
    checkHash(`The ${split} split of ${what}`, found[split].sha256, expected[split].sha256, packages);
}
