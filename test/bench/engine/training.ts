// Training the GPT: the engine beside PyTorch, torch.compile and Python's TensorFlow on the same model.
import { fused, jit, tf, valueAndGrad } from "@whetstone/engine";
import type { Row } from "../run.ts";
import * as gpt from "./gpt.ts";
import { type Peer, race, startPeer } from "./versus.ts";

const torch = (size: "small" | "medium", way: "eager" | "compile") =>
  startPeer(way === "compile" ? "torch.compile" : "PyTorch", ["torch==2.13.0", "numpy==2.4.6"], "gpt_torch.py", [
    size,
    way,
  ]);

export async function* rows(): AsyncGenerator<Row> {
  const small = trainer(gpt.small);
  yield await beside("gpt-small-vs-torch", small, gpt.small, await torch("small", "eager"));
  yield await beside("gpt-small-vs-compile", small, gpt.small, await torch("small", "compile"));
  const xla = await startPeer("TensorFlow with XLA", ["tensorflow-cpu==2.21.0"], "gpt_tensorflow.py", ["xla"]);
  yield await beside("gpt-small-vs-tf-xla", small, gpt.small, xla);
  const medium = trainer(gpt.medium);
  yield await beside("gpt-medium-vs-torch", medium, gpt.medium, await torch("medium", "eager"), 2);
}

async function beside(id: string, ours: () => number, cfg: gpt.GptConfig, peer: Peer, steps?: number): Promise<Row> {
  try {
    return await race(id, ours, peer, { items: cfg.batch * cfg.ctx, unit: "tokens", steps });
  } finally {
    await peer.stop();
  }
}

/** A jitted training step; each call gives its milliseconds. */
function trainer(cfg: gpt.GptConfig): () => number {
  const parts: gpt.Parts = {
    layerNorm: fused.layerNorm,
    attention: (q, k, v) => fused.attention(q, k, v, { causal: true }),
    crossEntropy: (logits, labels) => tf.mean(fused.softmaxCrossEntropy(logits, labels)),
  };
  const { ids, labels } = gpt.batch(cfg);
  const step = jit(
    (state: gpt.State, ids: tf.Tensor, labels: tf.Tensor) => {
      const { value, grads } = valueAndGrad(gpt.loss)(state.params, cfg, ids, labels, parts);
      return { loss: value, state: gpt.adam(state, grads, 1e-3) };
    },
    { donate: [0] },
  );
  return gpt.timed((state) => step(state, ids, labels), gpt.start(gpt.init(cfg)));
}
