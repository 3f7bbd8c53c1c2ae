// T5: four tasks by rules, told apart by the first word of the source, as in T5 itself; letters are the ids.
//   reverse: ealpk -> kplae      cipher: the old farmer sees the ship -> gesnis umf en tjoq tiit (english: the other way)
//   summarize: three sentences -> what the one who does most does
import { jit, tf } from "@whetstone/engine";
import { exactMatch } from "../../recipes/core/eval.ts";
import type { Params } from "../../recipes/core/params.ts";
import { type Rng, rng } from "../../recipes/core/rng.ts";
import { chars } from "../../recipes/core/tokenizer.ts";
import * as t5 from "../../recipes/model/seq2seq.ts";
import { askedLoss } from "../../recipes/train/objectives.ts";
import { seq2seqIds } from "../load-zoo.ts";
import { summary, translation } from "../tasks.ts";
import type { Family } from "./family.ts";
import type { Recipe } from "./recipes.ts";
import { tokenizerOf } from "./tokenizer.ts";

export interface Example {
  source: string;
  target: string;
}

/** Each task with the lengths of its batches, [source, target] in ids with the end. */
export const tasks: Record<string, { make: (rng: Rng) => Example; lengths: [source: number, target: number] }> = {
  reverse: {
    make(rng) {
      const word = Array.from({ length: 4 + rng.int(13) }, () => "abcdefghijklmnopqrstuvwxyz"[rng.int(26)]).join("");
      return { source: word, target: [...word].reverse().join("") };
    },
    lengths: [28, 20],
  },
  cipher: { make: (rng) => both({ ...translation(rng) }, "english", "cipher"), lengths: [56, 44] },
  english: { make: (rng) => both({ ...translation(rng) }, "cipher", "english"), lengths: [52, 48] },
  summarize: { make: (rng) => both({ ...summary(rng) }, "text", "summary"), lengths: [132, 48] },
};

const both = <K extends string>(of: Record<K, string>, from: K, to: K): Example => ({
  source: of[from],
  target: of[to],
});

/** Source and target as ids [B, S] and [B, T]: characters, the end, then padding. */
export function encode(task: string, examples: Example[]): { ids: tf.Tensor2D; targets: tf.Tensor2D } {
  const [S, T] = tasks[task].lengths;
  const rows = (texts: string[], length: number) => {
    const all = new Int32Array(texts.length * length).fill(seq2seqIds.pad);
    texts.forEach((text, i) => {
      if (text.length >= length)
        throw new Error(`${task}: "${text}" has ${text.length} letters; there is room for ${length - 1}.`);
      all.set([...chars.encode(text), seq2seqIds.end], i * length);
    });
    return tf.tensor2d(all, [texts.length, length], "int32");
  };
  const sources = examples.map(({ source }) => `${task}: ${source}`);
  return {
    ids: rows(sources, S),
    targets: rows(
      examples.map(({ target }) => target),
      T,
    ),
  };
}

const { pad, end } = seq2seqIds;
const written = (ids: tf.Tensor) => tf.cast(tf.notEqual(ids, tf.scalar(pad, "int32")), "float32");

/** Logits [B, T, V] of targets [B, T] as `encode` makes them: the decoder reads them one place later. */
export function logitsOf(params: Params, cfg: t5.T5Config, ids: tf.Tensor, targets: tf.Tensor): tf.Tensor {
  const [B, T] = targets.shape;
  const before = tf.concat([tf.fill([B, 1], cfg.start, "int32"), tf.slice(targets, [0, 0], [B, T! - 1])], 1);
  return t5.forward(params, cfg, ids, before, { mask: written(ids) });
}

/** What the model writes for each source, the likeliest letter each time; all at once, without a cache. */
export function answers(params: Params, cfg: t5.T5Config, task: string, sources: string[]): string[] {
  const T = tasks[task].lengths[1];
  const { ids, targets } = encode(
    task,
    sources.map((source) => ({ source, target: "" })),
  );
  const next = jit((params: Params, ids: tf.Tensor, so: tf.Tensor) =>
    tf.cast(tf.argMax(logitsOf(params, cfg, ids, so), -1), "int32"),
  );
  // A place is right once all before it are: T passes write T letters, and an end that stays ends it sooner.
  let so: tf.Tensor = targets;
  for (let at = 0; at < T; at++) {
    const now = next(params, ids, so);
    const same = tf.tidy(() => tf.all(tf.equal(now, so)).dataSync()[0]);
    tf.dispose(so);
    so = now;
    if (same) break;
  }
  const rows = (so as tf.Tensor2D).arraySync();
  tf.dispose([ids, so]);
  return rows.map((row) => chars.decode(row.slice(0, [...row, end].indexOf(end)).filter((id) => id < pad)));
}

export function textToText(recipe: Recipe<"t5">): Family {
  const { cfg, batch } = recipe;
  tokenizerOf(recipe, undefined, seq2seqIds); // checks the vocabulary
  const names = Object.keys(tasks);
  const loss: Family["loss"] = (params, ids, targets) => {
    const asked = tf.where(tf.cast(written(targets), "bool"), targets, tf.fill(targets.shape, -1, "int32"));
    return askedLoss(logitsOf(params, cfg, ids, targets), asked);
  };
  const measureLoss = jit(loss);
  const draw = (rng: Rng, i: number, count: number) => {
    const task = names[i % names.length];
    const examples = Array.from({ length: count }, (_, j) => tasks[task].make(rng.fork(i).fork(j)));
    return { task, examples, ...encode(task, examples) };
  };
  const batches: Family["batches"] = function* (rng, start) {
    for (let i = start; ; i++) {
      const { ids, targets } = draw(rng, i, batch);
      yield { ids, targets };
    }
  };
  return {
    init: (rng) => t5.initT5(cfg, rng),
    batches,
    tokensPerStep: meanTokens(batches(rng(recipe.seed).fork("batches"), 0)),
    loss,
    objective: `cross-entropy of the target's letters; ${names.join(", ")} in turn`,
    measure(params, { sequences, scores }) {
      const each: number[] = [];
      const exact: [string, number][] = [];
      for (const [i, name] of names.entries()) {
        const { examples, ids, targets } = draw(rng(recipe.seed).fork("validation"), i, sequences / names.length);
        each.push(measureLoss(params, ids, targets).dataSync()[0]);
        tf.dispose([ids, targets]);
        if (!scores) continue;
        const said = answers(
          params,
          cfg,
          name,
          examples.map(({ source }) => source),
        );
        exact.push([
          `${name}, exact`,
          exactMatch(
            said,
            examples.map(({ target }) => target),
          ),
        ]);
      }
      const mean = each.reduce((a, b) => a + b) / each.length;
      return { mean, each, ...(scores && { scores: Object.fromEntries(exact) }) };
    },
    toFile: (params) => params,
    special: seq2seqIds,
    data: [{ corpus: "tasks", licence: "made by a rule: data/cards/tasks.md" }],
  };
}

// Of 64 batches, 16 of each task.
function meanTokens(batches: Iterable<{ ids: tf.Tensor; targets: tf.Tensor }>): number {
  let [sum, n] = [0, 0];
  for (const { ids, targets } of batches) {
    sum += tf.tidy(() => tf.add(tf.sum(written(ids)), tf.sum(written(targets))).dataSync()[0]);
    tf.dispose([ids, targets]);
    if (++n === 64) break;
  }
  return Math.round(sum / n);
}
