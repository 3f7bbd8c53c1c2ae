// An eager training step of the small GPT beside Python's TensorFlow: blocks of steps in turn.
import { fused, tf, valueAndGrad } from "@whetstone/engine";
import type { Row } from "../run.ts";
import * as gpt from "./gpt.ts";
import { race, startPeer } from "./versus.ts";

export async function* rows(): AsyncGenerator<Row> {
  const cfg = gpt.small;
  const { ids, labels } = gpt.batch(cfg);
  // The peer has a cross-entropy of one op, and one for Adam.
  const parts: gpt.Parts = {
    ...gpt.plain,
    layerNorm: fused.layerNorm,
    crossEntropy: (logits, labels) => tf.mean(fused.softmaxCrossEntropy(logits, labels)),
  };
  const step = (state: gpt.State) => {
    const made = tf.tidy(() => {
      const { value, grads } = valueAndGrad(gpt.loss)(state.params, cfg, ids, labels, parts);
      return { loss: value, state: gpt.adam(state, grads, 1e-3) } as any;
    }) as { loss: tf.Tensor; state: gpt.State };
    tf.dispose(state as any);
    return made;
  };
  const ours = gpt.timed(step, gpt.start(gpt.init(cfg)));
  // It has its own Adam op, and oneDNN as it comes.
  const peer = await startPeer("TensorFlow eager", ["tensorflow-cpu==2.21.0"], "gpt_tensorflow.py", ["eager"]);
  try {
    const work = { items: cfg.batch * cfg.ctx, unit: "tokens", steps: 5, rounds: 9 };
    yield await race("eager-gpt-vs-tf", ours, peer, work);
  } finally {
    await peer.stop();
  }
}
