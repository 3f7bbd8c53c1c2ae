// A forward pass of a real model: MiniLM embeds 32 texts of 128 tokens, beside PyTorch; onnxruntime's speed is in the note.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jit, tf } from "@whetstone/engine";
import { folder, loadMiniLM } from "../../../data/load-minilm.ts";
import { type BertConfig, embed } from "../../../recipes/model/bert.ts";
import type { Row } from "../run.ts";
import { race, startPeer } from "./versus.ts";

type Model = { params: Record<string, tf.Tensor>; cfg: BertConfig };

const [BATCH, LENGTH] = [32, 128];

export async function* rows(): AsyncGenerator<Row> {
  yield await besidePeers("minilm-forward-vs-torch", loadMiniLM);
}

/** The row of that id, for a MiniLM that was loaded in whatever way; its parameters are freed. */
export async function besidePeers(id: string, open: () => Model | Promise<Model>): Promise<Row> {
  if (!existsSync(join(folder, "model.safetensors"))) throw new Error("data/models has no MiniLM: npm run setup");
  const { params, cfg } = await open();
  const ids = tf.cast(tf.randomUniform([BATCH, LENGTH], 1000, cfg.vocab, "float32", 3), "int32");
  const mask = tf.onesLike(ids);
  const run = jit((p: typeof params, ids: tf.Tensor, mask: tf.Tensor) => embed(p, cfg, ids, mask));
  const ours = () => {
    const begin = performance.now();
    const made = run(params, ids, mask);
    made.dataSync();
    const took = performance.now() - begin;
    made.dispose();
    return took;
  };
  const first = run(params, ids, mask);
  const size = tf.sum(tf.abs(tf.slice(first, 0, 1))).dataSync()[0];
  const temporary = mkdtempSync(join(tmpdir(), "minilm-"));
  const batch = join(temporary, "ids.json");
  writeFileSync(batch, JSON.stringify(ids.arraySync()));
  const pinned = ["torch==2.13.0", "numpy==2.4.6", "onnx==1.23.2", "onnxruntime==1.32.0"];
  const args = (way: string) => [way, batch, folder, join(temporary, "minilm.onnx")];
  try {
    const found: Row[] = [];
    for (const [way, name] of [
      ["torch", "PyTorch"],
      ["onnxruntime", "onnxruntime"],
    ]) {
      const peer = await startPeer(name, pinned, "minilm_peer.py", args(way));
      try {
        const theirs = await peer.check();
        if (Math.abs(theirs - size) > 1e-3 * size)
          throw new Error(`${name} embeds to ${theirs}, the engine to ${size}`);
        found.push(await race(id, ours, peer, { items: BATCH, unit: "texts", steps: 4 }));
      } finally {
        await peer.stop();
      }
    }
    const [torch, onnx] = found;
    return { ...torch, note: `${torch.note}; over onnxruntime ${onnx.value.toFixed(2)}: ${onnx.note}` };
  } finally {
    rmSync(temporary, { recursive: true });
    tf.dispose([ids, mask, first, params]);
  }
}
