// What transformers need and tfjs has not, or has without a gradient.
import * as tf from "@tensorflow/tfjs-core";

/** Rows of `table` [V, C] for ids [...]: [..., C]. Ids outside 0..V-1 are the caller's error; backends differ on them. */
export function embed(table: tf.Tensor, ids: tf.Tensor): tf.Tensor {
  const [vocab, width] = table.shape;
  const flat = tf.cast(tf.reshape(ids, [-1]), "int32") as tf.Tensor1D;
  const rows = tf.customGrad((table, save) => {
    (save as tf.GradSaveFunc)([flat]); // what the gradient needs and is made here must be saved, or it is freed before
    return {
      value: tf.gather(table as tf.Tensor, flat), // [N, C]
      gradFunc: (dy: tf.Tensor, [ids]: tf.Tensor[]) => scatterRows(dy, ids as tf.Tensor1D, vocab),
    };
  })(table);
  return tf.reshape(rows, [...ids.shape, width]);
}

// Some backends (tfjs' own WASM) lack the kernel that adds rows up; a product with one-hot rows does the same.
function scatterRows(rows: tf.Tensor, ids: tf.Tensor1D, vocab: number): tf.Tensor {
  if (tf.getKernel("UnsortedSegmentSum", tf.getBackend())) return tf.unsortedSegmentSum(rows, ids, vocab);
  return tf.matMul(oneHot(ids, vocab), rows, true);
}

// The dtype that oneHot takes is not asked for: tfjs' WASM kernel writes integers into whatever it is.
const oneHot = (ids: tf.Tensor, vocab: number) => tf.cast(tf.oneHot(ids, vocab), "float32");

/**
 * -log softmax(logits)[id] at each position. logits [..., V], ids [...]; the result has the shape of ids.
 * The gradient is written out (softmax minus one-hot), and the largest logit is subtracted first: 1e4 does not overflow.
 */
export function crossEntropyEach(logits: tf.Tensor, ids: tf.Tensor): tf.Tensor {
  const vocab = logits.shape.at(-1)!;
  if (String(logits.shape.slice(0, -1)) !== String(ids.shape)) {
    throw new Error(`crossEntropy: logits are [${logits.shape}], ids [${ids.shape}]; wanted logits [...ids, V].`);
  }
  const labels = tf.cast(tf.reshape(ids, [-1]), "int32") as tf.Tensor1D;
  const each = tf.customGrad((x, save) => {
    const shifted = tf.sub(x as tf.Tensor, tf.max(x as tf.Tensor, -1, true));
    const logProbs = tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), -1, true))); // [N, V]
    (save as tf.GradSaveFunc)([logProbs, labels]);
    return {
      value: tf.neg(tf.sum(tf.mul(logProbs, oneHot(labels, vocab)), -1)),
      gradFunc: (dy: tf.Tensor, [logProbs, ids]: tf.Tensor[]) =>
        tf.mul(tf.sub(tf.exp(logProbs), oneHot(ids, vocab)), tf.expandDims(dy, -1)),
    };
  })(tf.reshape(logits, [-1, vocab]));
  return tf.reshape(each, ids.shape);
}

/** Mean cross-entropy in nat, over the positions where `mask` (same shape as ids, 0 or 1) is not 0; all without a mask. */
export function crossEntropy(logits: tf.Tensor, ids: tf.Tensor, mask?: tf.Tensor): tf.Scalar {
  const each = crossEntropyEach(logits, ids);
  if (!mask) return tf.mean(each);
  if (String(mask.shape) !== String(ids.shape)) {
    throw new Error(`crossEntropy: the mask is [${mask.shape}], ids are [${ids.shape}]; wanted the same shape.`);
  }
  const weights = tf.cast(mask, "float32");
  // A mask of zeros gives a loss of 0, not 0 / 0.
  return tf.div(tf.sum(tf.mul(each, weights)), tf.maximum(tf.sum(weights), 1));
}

/** x / rms(x) * gain over the last axis (Zhang and Sennrich 2019). x [..., C], gain [C]. */
export function rmsNorm(x: tf.Tensor, gain: tf.Tensor, eps = 1e-5): tf.Tensor {
  return tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), eps))), gain);
}

/** (x - mean) / deviation * gain + bias over the last axis (Ba 2016). x [..., C], gain and bias [C]. */
export function layerNorm(x: tf.Tensor, gain: tf.Tensor, bias: tf.Tensor, eps = 1e-5): tf.Tensor {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true);
  return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, eps))), gain), bias);
}

/** GELU by tanh, as in GPT-2: x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))). At most 5e-4 from the exact one. */
export function gelu(x: tf.Tensor): tf.Tensor {
  const cube = tf.mul(tf.mul(x, x), x);
  const inner = tf.mul(tf.add(x, tf.mul(cube, 0.044715)), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
}

/** The exact GELU, as in BERT: x/2 (1 + erf(x/√2)). */
export function geluErf(x: tf.Tensor): tf.Tensor {
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
}

/** Rounds to the nearest integer (ties to even); the gradient passes as if it had not (straight-through, Bengio 2013). */
export function roundSTE(x: tf.Tensor): tf.Tensor {
  return tf.customGrad((x) => ({ value: tf.round(x as tf.Tensor), gradFunc: (dy: tf.Tensor) => dy }))(x);
}
