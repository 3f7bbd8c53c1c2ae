// An answer as it is written: whatever shows it takes the text so far, how many ids it has and how many come in a second, and
// stops by not asking on. Between two ids the event loop turns, so that a page is drawn and a stop button is heard.
//   for await (const { text, perSecond } of reply(inPieces(step), cacheOf, model, messages)) show(text, perSecond);
// Speed counts from the first id on: reading the prompt is not in it.
import * as tf from "@tensorflow/tfjs-core";
import { rng } from "../core/rng.ts";
import { chat, type Message, type Speaker } from "./chat.ts";
import { type Choice, generate, pieces, type Step } from "./decode.ts";

/** What has been written up to now. */
export interface Written {
  text: string;
  /** what came new to the text; nothing while letters are not whole or a stop text may be beginning */
  piece: string;
  tokens: number;
  /** ids a second since the first; 0 as long as there is one only */
  perSecond: number;
}

/** The texts of a stream of ids as they grow; see `pieces` for whole letters and `stop`. */
export async function* stream(
  ids: Iterable<number>,
  decode: (ids: number[]) => string,
  options: { stop?: string[] } = {},
): AsyncGenerator<Written, void> {
  let [text, tokens, began, last] = ["", 0, 0, 0];
  function* counted() {
    for (const id of ids) {
      last = performance.now();
      if (!tokens++) began = last;
      yield id;
    }
  }
  for (const piece of pieces(counted(), decode, options)) {
    text += piece;
    yield { text, piece, tokens, perSecond: tokens > 1 ? (1e3 * (tokens - 1)) / (last - began) : 0 };
    await tf.nextFrame();
  }
}

export interface ReplyOptions extends Choice {
  /** ids at most */
  length?: number;
  /** where the temperature is not 0 */
  seed?: number;
}

/**
 * A chat model's answer to the conversation, as it is written. `step` and `cacheOf(room)` are the model's own:
 * `step` of model/gpt.ts, jitted, and `(length) => emptyCache(cfg, { length })`. The room is a multiple of 256, so that a
 * jitted step stays the same for conversations that grow.
 */
export async function* reply<C>(
  step: Step<C>,
  cacheOf: (room: number) => C,
  model: Speaker & { tokenizer?: Tokenizer; meta: { eos: number[] } },
  messages: Message[],
  { length = 200, seed = 0, ...choice }: ReplyOptions = {},
): AsyncGenerator<Written, void> {
  const { tokenizer, meta } = model;
  if (!tokenizer)
    throw new Error(`reply: ${meta.source ?? "the model"} has no tokenizer; it cannot read a conversation.`);
  const prompt = tokenizer.encode(await chat(messages, model, { addGenerationPrompt: true }), { special: false });
  const room = Math.ceil((prompt.length + length) / 256) * 256;
  const ids = generate(step, cacheOf(room), prompt, { length, room, stop: meta.eos, rng: rng(seed), ...choice });
  yield* stream(ids, (ids) => tokenizer.decode(ids));
}

interface Tokenizer {
  config: Record<string, any>;
  encode(text: string, options: { special: boolean }): ArrayLike<number>;
  decode(ids: number[]): string;
}

/**
 * A step that reads a prompt `size` ids at a time, and what is left one by one: a jitted step then has two programs, not one
 * for every length of a prompt.
 */
export function inPieces<C>(step: Step<C>, size = 32): Step<C> {
  return (ids, cache) => {
    const [B, T] = ids.shape;
    let done: ReturnType<Step<C>> | undefined;
    for (let at = 0; at < T; ) {
      const length = T - at >= size ? size : 1;
      const next = step(tf.slice(ids, [0, at], [B, length]), done ? done.cache : cache);
      if (done) tf.dispose([done.logits, done.cache as tf.TensorContainer]);
      done = next;
      at += length;
    }
    return done!;
  };
}
