// node data/board.ts: how good the models are, as two tables in recipes/README.md. Language models by bits per byte of held-out text;
// MiniLM with a linear head, and SmolLM2 by the likelihood of choices, on six small tasks beside the plainest baselines.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jit, tf } from "@whetstone/engine";
import { pairedBootstrap, perplexity } from "../recipes/core/eval.ts";
import type { Params } from "../recipes/core/params.ts";
import { type CausalModel, type Continuation, choose, logLikelihoods } from "../recipes/infer/likelihood.ts";
import * as gpt from "../recipes/model/gpt.ts";
import { fromPretrained, type GPT } from "../recipes/model/index.ts";
import * as rnn from "../recipes/model/rnn.ts";
import { bagOfWords, classify, fitProbe } from "../recipes/train/probe.ts";
import { type ChoiceTask, type ClassTask, choiceTasks, classTasks } from "./board-tasks.ts";
import { type CorpusName, loadText } from "./corpus.ts";
import { loadMiniLM, folder as minilm } from "./load-minilm.ts";
import { loadZoo, readCard, type ZooId, folder as zoo } from "./load-zoo.ts";

const smollm2 = join(import.meta.dirname, "models/SmolLM2-135M-Instruct");

/** A model of the zoo, if it is a causal one, and how to free it. */
export function causal(id: ZooId): { model: CausalModel; dispose: () => void } | undefined {
  const { architecture } = readCard(id);
  if (architecture !== "gpt2" && architecture !== "lstm") return undefined;
  const { params, cfg, tokenizer, card } = loadZoo(id as "micro" | "lstm");
  const ctx = "ctx" in cfg ? cfg.ctx : (card.training.ctx ?? 128);
  const forward = jit((p: Params, ids: tf.Tensor) =>
    "ctx" in cfg ? gpt.forward(p, cfg, ids) : rnn.forward(p, cfg, ids),
  );
  const logits = (ids: tf.Tensor2D) => forward(params, ids);
  return { model: { logits, encode: (text) => tokenizer.encode(text), ctx }, dispose: () => tf.dispose(params) };
}

/** SmolLM2 for texts of up to `ctx` ids. */
export async function speaker(ctx = 160): Promise<{ model: CausalModel; dispose: () => void }> {
  const { params, cfg, tokenizer } = (await fromPretrained(smollm2)) as GPT;
  const forward = jit((p: Params, ids: tf.Tensor) => gpt.forward(p, cfg, ids));
  const logits = (ids: tf.Tensor2D) => forward(params, ids);
  const encode = (text: string) => tokenizer!.encode(text, { special: false });
  return { model: { logits, encode, ctx, batch: 8 }, dispose: () => tf.dispose(params) };
}

/** Pieces of a corpus' test split: 256 characters each, after 64 that are given. */
export function heldOut(name: CorpusName, count = 64): Continuation[] {
  const { test } = loadText(name);
  const step = Math.floor((test.length - 320) / count);
  return Array.from({ length: count }, (_, i) => test.slice(i * step, i * step + 320)).map((piece) => ({
    lead: piece.slice(0, 64),
    text: piece.slice(64),
  }));
}

async function languageModels(report: (line: string) => void): Promise<string[]> {
  const ids = readdirSync(zoo).flatMap((file) => (file.endsWith(".card.json") ? [file.slice(0, -10) as ZooId] : []));
  const open: [string, () => ReturnType<typeof causal> | ReturnType<typeof speaker>][] = ids
    .sort((a, b) => readCard(a).parameters - readCard(b).parameters || (a.endsWith("-5x") ? -1 : 1))
    .map((id) => [id, () => causal(id)]);
  if (existsSync(smollm2)) open.push(["SmolLM2-135M-Instruct, Q4_1", () => speaker()]);
  const lines = [
    "| model | text | nat an id | perplexity | bits a byte | less than the model above |",
    "|---|---|---:|---:|---:|---|",
  ];
  const before = new Map<CorpusName, number[]>();
  for (const [name, load] of open) {
    const opened = await load();
    if (!opened) continue;
    for (const corpus of ["sotu", "moby-dick"] as const) {
      const items = heldOut(corpus);
      const found = logLikelihoods(opened.model, items);
      const nats = -sum(found.map((one) => one.nats)) / sum(found.map(({ tokens }) => tokens));
      const bits = found.map((one, i) => -one.nats / Math.LN2 / items[i].text.length); // the corpora are ASCII
      const last = before.get(corpus);
      const less = last ? spread(pairedBootstrap(last, bits), 3) : "";
      before.set(corpus, bits);
      lines.push(
        `| ${name} | ${corpus} | ${nats.toFixed(3)} | ${perplexity(nats).toFixed(1)} | ${(sum(bits) / bits.length).toFixed(3)} | ${less} |`,
      );
      report(lines.at(-1)!);
    }
    opened.dispose();
  }
  return lines;
}

export type Embed = (texts: string[]) => tf.Tensor2D;

/** Which items of the test a linear head on such features gets right, after training on the others. */
export function probed({ train, test, pairs }: ClassTask, features: Embed): boolean[] {
  const of = (texts: string[]) => {
    if (!pairs) return features(texts);
    // Of two texts: how far apart their features are, and their product.
    return tf.tidy(() => {
      const [u, v] = [0, 1].map((i) => features(texts.map((text) => text.split("\n")[i])));
      return tf.concat([tf.abs(tf.sub(u, v)), tf.mul(u, v)], 1) as tf.Tensor2D;
    });
  };
  return tf.tidy(() => {
    const probe = fitProbe(
      of(train.map(({ text }) => text)),
      train.map(({ label }) => label),
    );
    return classify(probe, of(test.map(({ text }) => text))).map((label, i) => label === test[i].label);
  });
}

/** Which questions are answered by the choice whose features are nearest to those of the prompt. */
export function nearest(task: ChoiceTask, features: Embed): boolean[] {
  return tf.tidy(() =>
    task.test.map(({ prompt, choices, answer }) => {
      const all = features([prompt, ...choices]);
      const near = tf.matMul(tf.slice(all, 1), tf.slice(all, 0, 1), false, true).dataSync();
      return near.indexOf(Math.max(...near)) === answer;
    }),
  );
}

/** What answering always the same gets right: the class that is most frequent in training; of choices the first. */
export function majority(task: ClassTask | ChoiceTask): boolean[] {
  if (!("names" in task)) return task.test.map(({ answer }) => answer === 0);
  const counts = task.names.map((_, label) => task.train.filter((one) => one.label === label).length);
  return task.test.map(({ label }) => label === counts.indexOf(Math.max(...counts)));
}

/** Which items the model gets right by the likelihood of the choices. */
export function byLikelihood(task: ClassTask | ChoiceTask, model: CausalModel): boolean[] {
  if (!("names" in task)) {
    const questions = task.test.map(({ prompt, choices }) => ({ prompt, choices, neutral: task.neutral }));
    return choose(model, questions).map((found, i) => found === task.test[i].answer);
  }
  const { ask, names, neutral } = task;
  const questions = task.test.map(({ text }) => ({ prompt: ask(text), choices: names, neutral }));
  return choose(model, questions).map((found, i) => found === task.test[i].label);
}

/** Bags of words of the task's own training texts; for choices, of the prompts themselves. */
export const counted = (task: ClassTask | ChoiceTask): Embed =>
  bagOfWords(
    "names" in task ? task.train.map(({ text }) => text) : task.test.flatMap((one) => [one.prompt, ...one.choices]),
  );

async function downstream(report: (line: string) => void): Promise<string[]> {
  const tasks = [...(await classTasks()), ...choiceTasks()];
  const embedder = existsSync(minilm) ? loadMiniLM() : undefined;
  const model = existsSync(smollm2) ? await speaker() : undefined;
  const lines = [
    "| task | items | majority | bag of words | MiniLM | SmolLM2 | SmolLM2 - bag of words |",
    "|---|---:|---:|---:|---:|---:|---|",
  ];
  for (const task of tasks) {
    const judge = "names" in task ? (of: Embed) => probed(task, of) : (of: Embed) => nearest(task, of);
    const bag = judge(counted(task));
    const minilm = embedder && judge((texts) => embedder.embed(texts));
    const smol = model && byLikelihood(task, model.model);
    const share = (right?: boolean[]) =>
      right ? `${((100 * right.filter(Boolean).length) / right.length).toFixed(0)} %` : "";
    const gain = smol ? spread(pairedBootstrap(smol.map(Number), bag.map(Number)), 2) : "";
    lines.push(
      `| ${task.name} | ${task.test.length} | ${[majority(task), bag, minilm, smol].map(share).join(" | ")} | ${gain} |`,
    );
    report(lines.at(-1)!);
  }
  model?.dispose();
  tf.dispose(embedder?.params);
  return lines;
}

const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
const spread = ({ mean, low, high }: ReturnType<typeof pairedBootstrap>, digits: number) =>
  `${mean.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;

if (import.meta.main) {
  const readme = join(import.meta.dirname, "../recipes/README.md");
  for (const [mark, make] of Object.entries({ "language-models": languageModels, tasks: downstream })) {
    const lines = await make(console.log);
    const text = readFileSync(readme, "utf8");
    const place = new RegExp(`(<!-- ${mark} -->\n)[\\s\\S]*?(<!-- /${mark} -->)`);
    if (!place.test(text)) throw new Error(`recipes/README.md has no place <!-- ${mark} --> for the table`);
    writeFileSync(
      readme,
      text.replace(place, (_, begin, end) => `${begin}${lines.join("\n")}\n${end}`),
    );
  }
}
