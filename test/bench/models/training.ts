// The zoo's micro trained on by the recipes and by PyTorch, from the same weights on the same batches of speeches: 50 steps of AdamW.
// The value is how far the last loss is from PyTorch's, as a share of it; the note has the largest difference of all steps.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jit, tf } from "@whetstone/engine";
import { loadText } from "../../../data/corpus.ts";
import { loadZoo } from "../../../data/load-zoo.ts";
import { type Batch, batches } from "../../../recipes/core/data.ts";
import { valueAndGrads } from "../../../recipes/core/grad.ts";
import * as io from "../../../recipes/core/io.ts";
import { crossEntropy } from "../../../recipes/core/ops.ts";
import { rng } from "../../../recipes/core/rng.ts";
import { train } from "../../../recipes/core/train.ts";
import { forward, type GPTConfig } from "../../../recipes/model/gpt.ts";
import { save } from "../../../recipes/model/index.ts";
import { type AdamWState, adamw } from "../../../recipes/train/optim.ts";
import { startPeer } from "../engine/versus.ts";
import type { Row } from "../run.ts";

const [STEPS, BATCH, LR] = [50, 16, 1e-3];
/** The bars of the issue: the share of the last loss, and nat at each step. */
const bars = { last: 5e-3, each: 1e-3 };

export async function* rows(): AsyncGenerator<Row> {
  const { params, cfg, tokenizer } = loadZoo("micro");
  const ids = Int32Array.from(tokenizer.encode(loadText("sotu").train.slice(0, 400_000)));
  const some = batches(ids, { batch: BATCH, ctx: cfg.ctx, rng: rng(50) });
  const data = Array.from({ length: STEPS }, () => some.next().value);
  const temporary = mkdtempSync(join(tmpdir(), "micro-"));
  try {
    save(temporary, { family: "gpt2", cfg, params });
    const file = join(temporary, "batches.safetensors");
    const all = { ids: tf.stack(data.map(({ ids }) => ids)), targets: tf.stack(data.map(({ targets }) => targets)) };
    io.save(file, all);
    tf.dispose(all);
    const python = ["torch==2.13.0", "numpy==2.4.6", "transformers==5.24.0", "safetensors==0.8.0"];
    const peer = await startPeer("PyTorch", python, "../models/micro_torch.py", [temporary, file, String(LR)]);
    const theirs: number[] = [];
    for (let i = 0; i < STEPS; i++) theirs.push(await peer.check());
    await peer.stop();
    const ours = await losses(params, cfg, data);
    const each = Math.max(...ours.map((loss, i) => Math.abs(loss - theirs[i])));
    const last = Math.abs(ours.at(-1)! / theirs.at(-1)! - 1);
    if (!(each <= bars.each && last <= bars.last))
      throw new Error(
        `micro: losses are ${each} apart and the last ones ${last} of it; wanted ${JSON.stringify(bars)}`,
      );
    const told = `${ours[0].toFixed(4)} to ${ours.at(-1)!.toFixed(4)}, ${peer.about} to ${theirs.at(-1)!.toFixed(4)}`;
    const note = `${STEPS} steps of ${BATCH} x ${cfg.ctx} tokens: ${told}; at most ${each.toExponential(1)} nat apart at a step`;
    yield { id: "micro-vs-torch-training", value: last, unit: "of loss", note };
  } finally {
    rmSync(temporary, { recursive: true });
    tf.dispose(params);
  }
}

async function losses(params: Record<string, tf.Tensor>, cfg: GPTConfig, data: Batch[]): Promise<number[]> {
  const optimizer = adamw({ lr: LR });
  const loss = valueAndGrads((p, ids: tf.Tensor, targets: tf.Tensor) => crossEntropy(forward(p, cfg, ids), targets));
  const step = jit(
    (p: typeof params, state: AdamWState, ids: tf.Tensor, targets: tf.Tensor) => {
      const { value, grads } = loss(p, ids, targets);
      return { value, ...optimizer.update(grads, state, p) };
    },
    { donate: [0, 1] },
  );
  const done = await train({ params, state: optimizer.init(params), step, data, steps: STEPS });
  tf.dispose([done.params, done.state]);
  return done.history.map((one) => one.loss);
}
