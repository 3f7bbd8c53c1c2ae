// What a causal language model thinks of a text: log p(text | what stands before), a sum over its ids. Two uses:
//   bits per byte   -Σ log2 p(text | lead) / bytes of the text: of the same bytes, so models of different tokenizers compare
//   choices         the answer is the choice of the largest log p(choice | prompt) - log p(choice | neutral prompt): without the
//                   second part the commoner words win whatever is asked (Zhao 2021)
// Texts longer than the model's context are read in windows that overlap by half. Cost: a forward pass over each text.
import * as tf from "@tensorflow/tfjs-core";
import { crossEntropyEach } from "../core/ops.ts";

export interface CausalModel {
  /** logits [B, T, V] of ids [B, T]; compile it: `jit`. B is `batch`, T a multiple of 32 or `ctx` */
  logits: (ids: tf.Tensor2D) => tf.Tensor;
  encode: (text: string) => ArrayLike<number>;
  /** ids that it reads at once */
  ctx: number;
  /** rows of a batch; 16 if not given */
  batch?: number;
}

/** Text to judge, and what stands before it; `lead` must not be empty, as the first id of all is not judged. */
export interface Continuation {
  lead: string;
  text: string;
}

const WIDTHS = 32; // of batches, in steps, so that a jitted model has few programs

interface Row {
  item: number;
  ids: number[];
  /** places of the ids that count in this window */
  from: number;
  to: number;
}

/** log p in nat of each text after its lead, and the ids that it has. */
export function logLikelihoods(
  { logits, encode, ctx, batch = 16 }: CausalModel,
  items: readonly Continuation[],
): { nats: number; tokens: number }[] {
  const out = items.map(() => ({ nats: 0, tokens: 0 }));
  const rows = items.flatMap(({ lead, text }, item) => {
    const [before, after] = [Array.from(encode(lead)), Array.from(encode(text))];
    if (!before.length || !after.length)
      throw new Error(
        `logLikelihoods: item ${item} has ${before.length} ids before ${after.length}; wanted some of both.`,
      );
    out[item].tokens = after.length;
    return windows([...before, ...after], before.length, ctx).map((row) => ({ ...row, item }));
  });
  rows.sort((a, b) => a.ids.length - b.ids.length); // what is alike in length is read together
  for (let i = 0; i < rows.length; i += batch) {
    const some = rows.slice(i, i + batch);
    const width = Math.min(ctx, Math.ceil((some.at(-1)!.ids.length - 1) / WIDTHS) * WIDTHS);
    const found = tf.tidy(() => {
      // Rows that are not full are filled up behind, where nothing before sees it.
      const fill = (shift: number) => {
        const all = new Int32Array(batch * width);
        some.forEach(({ ids }, row) => {
          all.set(ids.slice(shift, shift + width), row * width);
        });
        return tf.tensor2d(all, [batch, width], "int32");
      };
      return crossEntropyEach(logits(fill(0)), fill(1)).dataSync(); // [batch, width]: place t judges id t + 1
    });
    some.forEach(({ item, from, to }, row) => {
      for (let at = from; at < to; at++) out[item].nats -= found[row * width + at - 1];
    });
  }
  return out;
}

// Windows of ctx + 1 ids, of which each id from `first` on is judged in one, with half a window before it where there is so much.
function windows(ids: number[], first: number, ctx: number): Omit<Row, "item">[] {
  const rows: Omit<Row, "item">[] = [];
  let done = first;
  while (done < ids.length) {
    const end = Math.min(ids.length, Math.max(done + (ctx >> 1), ctx) + 1);
    const start = Math.max(0, end - ctx - 1);
    rows.push({ ids: ids.slice(start, end), from: done - start, to: end - start });
    done = end;
  }
  return rows;
}

/** Bits per byte of each text (UTF-8) after its lead: lower is better, and comparable between tokenizers. */
export function bitsPerByteEach(model: CausalModel, items: readonly Continuation[]): number[] {
  return logLikelihoods(model, items).map(
    ({ nats }, i) => -nats / Math.LN2 / new TextEncoder().encode(items[i].text).length,
  );
}

export interface Question {
  prompt: string;
  /** as they go on from the prompt, with the blank before */
  choices: string[];
  /** what stands in place of the prompt to measure how common a choice is in itself; without it, log p alone decides */
  neutral?: string;
}

/** The number of the choice that the model holds the likeliest, for each question. */
export function choose(model: CausalModel, questions: readonly Question[]): number[] {
  const lists = questions.map(({ prompt, choices }) => choices.map((text) => ({ lead: prompt, text })));
  const nats = logLikelihoods(model, lists.flat()).map((one) => one.nats);
  // The same choice after the same neutral prompt is asked for once.
  const common = new Map<string, Continuation>();
  const key = (lead: string, text: string) => JSON.stringify([lead, text]);
  for (const { neutral: lead, choices } of questions)
    if (lead !== undefined) for (const text of choices) common.set(key(lead, text), { lead, text });
  const usual = logLikelihoods(model, [...common.values()]);
  const usualOf = new Map([...common.keys()].map((name, i) => [name, usual[i].nats]));
  let at = 0;
  return questions.map(({ choices, neutral }) => {
    const scores = choices.map((text) => nats[at++] - (neutral === undefined ? 0 : usualOf.get(key(neutral, text))!));
    return scores.indexOf(Math.max(...scores));
  });
}
