// A language model of LSTM layers (Hochreiter 1997) as pure functions of tensors, along the text by `fused.lstm`, whose loops
// are `scan`; lstm_torch.py is the same model in PyTorch. Gates stand in PyTorch's order: input, forget, cell, output.
import { fused, tf } from "@whetstone/engine";

export interface LstmConfig {
  layers: number;
  width: number;
  ctx: number;
  vocab: number;
  batch: number;
}

export const config: LstmConfig = { layers: 2, width: 128, ctx: 128, vocab: 256, batch: 32 };

/** Weights uniform within 1/sqrt(width), biases 0. */
export function init({ layers, width: d, vocab }: LstmConfig, seed = 1): Record<string, tf.Tensor> {
  const bound = 1 / Math.sqrt(d);
  const draw = (...shape: number[]) => tf.randomUniform(shape, -bound, bound, "float32", seed++);
  const params: Record<string, tf.Tensor> = { embed: draw(vocab, d), head: draw(d, vocab) };
  for (let l = 0; l < layers; l++)
    Object.assign(params, { [`${l}.ih`]: draw(d, 4 * d), [`${l}.hh`]: draw(d, 4 * d), [`${l}.b`]: tf.zeros([4 * d]) });
  return params;
}

/** Mean loss of labels [T * B] for ids [T, B]: time comes first. */
export function loss(p: Record<string, tf.Tensor>, cfg: LstmConfig, ids: tf.Tensor, labels: tf.Tensor): tf.Tensor {
  const { layers, width: d, ctx: T, batch: B } = cfg;
  let x: tf.Tensor = tf.gather(p.embed, tf.reshape(ids, [-1])); // [T B, d]
  for (let l = 0; l < layers; l++) {
    const inputs = tf.reshape(tf.add(tf.matMul(x, p[`${l}.ih`]), p[`${l}.b`]), [T, B, 4 * d]);
    x = tf.reshape(fused.lstm(inputs, p[`${l}.hh`]).out, [T * B, d]);
  }
  return tf.mean(fused.softmaxCrossEntropy(tf.matMul(x, p.head), labels));
}
