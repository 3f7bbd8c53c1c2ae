// GPT and LSTM: language models that read the speeches from left to right.
import { fused, jit, tf } from "@whetstone/engine";
import { batches } from "../../recipes/core/data.ts";
import { bitsPerByte, lmLoss } from "../../recipes/core/eval.ts";
import { crossEntropy, embed } from "../../recipes/core/ops.ts";
import { get, type Params } from "../../recipes/core/params.ts";
import * as gpt from "../../recipes/model/gpt.ts";
import * as rnn from "../../recipes/model/rnn.ts";
import { licence, loadText } from "../corpus.ts";
import { loadZoo } from "../load-zoo.ts";
import splits from "../splits.json" with { type: "json" };
import type { Family } from "./family.ts";
import type { Recipe } from "./recipes.ts";
import { tokenizerOf } from "./tokenizer.ts";

const KL = 0.9; // of the loss of a model with a teacher; the rest is the text itself

type Forward = (params: Params, ids: tf.Tensor) => tf.Tensor;

export function languageModel(recipe: Recipe<"gpt2" | "lstm">): Family {
  const { batch, ctx, teacher } = recipe;
  const text = loadText("sotu");
  const tokens = tokenizerOf(recipe, text);
  const ids = { train: tokens.encode(text.train), validation: tokens.encode(text.validation) };
  const characters = text.validation.length / ids.validation.length; // a token; ASCII: a character is a byte
  const forward: Forward =
    recipe.architecture === "gpt2"
      ? (params, ids) => gpt.forward(params, recipe.cfg, ids)
      : (params, ids) => lstmForward(params, recipe.cfg, ids);
  const logits = jit(forward);
  return {
    init: (rng) => (recipe.architecture === "gpt2" ? gpt.initGPT(recipe.cfg, rng) : rnn.initRNN(recipe.cfg, rng)),
    batches: (rng, start) => batches(ids.train, { batch, ctx, rng, start }),
    tokensPerStep: batch * ctx,
    loss: teacher ? distilled(forward, teacher) : (params, ids, targets) => crossEntropy(forward(params, ids), targets),
    objective: teacher
      ? `${KL} KL divergence from ${teacher} + ${(1 - KL).toFixed(1)} cross-entropy of the next token`
      : "cross-entropy of the next token",
    measure(params, { sequences }) {
      const found = lmLoss((x) => logits(params, x), ids.validation, { ctx, sequences });
      return { ...found, bitsPerByte: bitsPerByte(found.mean, found.tokens, found.tokens * characters) };
    },
    toFile: recipe.architecture === "gpt2" ? gpt.toHF : rnn.toTorch,
    data: [{ corpus: "sotu", trainSha256: splits.sotu.train.sha256, licence }],
  };
}

// Knowledge distillation (Hinton 2015) at temperature 1: what counts for a draft is that it says what the teacher would.
function distilled(forward: Forward, id: NonNullable<Recipe["teacher"]>): Family["loss"] {
  const teacher = loadZoo(id as "mini");
  return (params, ids, targets) => {
    const own = forward(params, ids); // [B, T, V]
    const said = tf.softmax(gpt.forward(teacher.params, teacher.cfg, ids), -1);
    const gap = tf.sum(tf.mul(said, tf.sub(tf.log(tf.maximum(said, 1e-9)), tf.logSoftmax(own, -1))), -1); // [B, T]
    return tf.add(tf.mul(tf.mean(gap), KL), tf.mul(crossEntropy(own, targets), 1 - KL)) as tf.Scalar;
  };
}

/** The same as rnn.forward, which a compiled step unrolls: 128 positions, two layers and their gradients are a loop here. */
export function lstmForward(params: Params, { layers }: rnn.RNNConfig, ids: tf.Tensor): tf.Tensor {
  const p = (name: string) => get(params, name);
  let x = tf.transpose(embed(p("embed.weight"), ids), [1, 0, 2]); // [T, B, C]
  for (let l = 0; l < layers; l++) {
    const [T, B, C] = x.shape;
    const rows = tf.matMul(tf.reshape(x, [T * B!, C!]), p(`rnn.${l}.ih.weight`), false, true);
    const inputs = tf.add(rows, tf.add(p(`rnn.${l}.ih.bias`), p(`rnn.${l}.hh.bias`)));
    x = fused.lstm(tf.reshape(inputs, [T, B!, -1]), tf.transpose(p(`rnn.${l}.hh.weight`))).out;
  }
  const [T, B, C] = x.shape;
  const states = tf.reshape(tf.transpose(x, [1, 0, 2]), [B! * T, C!]);
  return tf.reshape(tf.matMul(states, p("embed.weight"), false, true), [B!, T, -1]);
}
