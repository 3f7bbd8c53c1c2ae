// Training an LSTM along a text of 128 tokens by `scan`, beside torch.nn.LSTM.
import { jit, tf, valueAndGrad } from "@whetstone/engine";
import type { Row } from "../run.ts";
import { adam, type State, start, timed } from "./gpt.ts";
import * as lstm from "./lstm.ts";
import { race, startPeer } from "./versus.ts";

export async function* rows(): AsyncGenerator<Row> {
  const cfg = lstm.config;
  const draw = (shape: number[], seed: number) =>
    tf.cast(tf.randomUniform(shape, 0, cfg.vocab, "float32", seed), "int32");
  const ids = draw([cfg.ctx, cfg.batch], 1);
  const labels = draw([cfg.ctx * cfg.batch], 2);
  const step = jit(
    (state: State, ids: tf.Tensor, labels: tf.Tensor) => {
      const { value, grads } = valueAndGrad(lstm.loss)(state.params, cfg, ids, labels);
      return { loss: value, state: adam(state, grads, 1e-3) };
    },
    { donate: [0] },
  );
  const ours = timed((state) => step(state, ids, labels), start(lstm.init(cfg)));
  const peer = await startPeer("torch.nn.LSTM of PyTorch", ["torch==2.13.0", "numpy==2.4.6"], "lstm_torch.py");
  try {
    yield await race("lstm-vs-torch", ours, peer, { items: cfg.batch * cfg.ctx, unit: "tokens" });
  } finally {
    await peer.stop();
  }
}
