// SmolLM2-135M reads a prompt of 128 ids, and continues it through its cache: the engine beside PyTorch, with the same float32 weights;
// transformers, onnxruntime and llama.cpp on the 4-bit file are in the note.
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jit, tf } from "@whetstone/engine";
import { generate, type Step } from "../../../recipes/infer/decode.ts";
import { type Cache, emptyCache, step } from "../../../recipes/model/gpt.ts";
import { fromPretrained, type GPT, save } from "../../../recipes/model/index.ts";
import { type Peer, race, startCommand, startPeer } from "../engine/versus.ts";
import { llamaCpp } from "../peers.ts";
import type { Row } from "../run.ts";

const source = join(import.meta.dirname, "../../../data/models/SmolLM2-135M-Instruct");
const [PROMPT, LENGTH] = [128, 32];
const python = [
  "torch==2.13.0",
  "numpy==2.4.6",
  "onnx==1.23.2",
  "onnxruntime==1.32.0",
  "transformers==5.24.0",
  "safetensors==0.8.0",
];
const tasks = {
  prefill: { id: "smollm2-prefill-vs-torch", items: PROMPT, unit: "tokens", steps: 4 },
  decode: { id: "smollm2-decode-vs-torch", items: LENGTH, unit: "tokens", steps: 2 },
} as const;
type Task = keyof typeof tasks;

export async function* rows(): AsyncGenerator<Row> {
  if (!existsSync(source)) throw new Error("data/models has no SmolLM2: npm run setup");
  const model = (await fromPretrained(source)) as GPT;
  const { params, cfg } = model;
  const temporary = mkdtempSync(join(tmpdir(), "smollm2-"));
  try {
    save(temporary, model);
    const drawn = tf.tidy(() => tf.randomUniform([PROMPT], 1000, cfg.vocab, "float32", 3).dataSync());
    const prompt = Array.from(drawn, Math.floor);
    writeFileSync(join(temporary, "batch.json"), JSON.stringify({ prompt, length: LENGTH }));
    const compiled = jit((p: typeof params, ids: tf.Tensor, cache: Cache) => step(p, cfg, ids, cache, { last: true }), {
      donate: [2],
    });
    const next: Step<Cache> = (ids, cache) => compiled(params, ids, cache);
    for (const task of Object.keys(tasks) as Task[]) yield await beside(task, (count) => continued(count), temporary);

    /** Milliseconds after the first id and in all, and the ids. */
    function continued(length: number) {
      const room = PROMPT + LENGTH + 1;
      const cache = emptyCache(cfg, { length: room });
      const ids: number[] = [];
      const begin = performance.now();
      let first = begin;
      for (const id of generate(next, cache, prompt, { length, room, temperature: 0 })) {
        if (!ids.length) first = performance.now();
        ids.push(id);
      }
      const end = performance.now();
      return { ids, prefill: first - begin, decode: end - first };
    }
  } finally {
    rmSync(temporary, { recursive: true });
    tf.dispose(params);
  }
}

type Continued = (length: number) => { ids: number[]; prefill: number; decode: number };

async function beside(task: Task, continued: Continued, folder: string): Promise<Row> {
  // The first id comes from the prompt; LENGTH more are read back in.
  const length = task === "prefill" ? 1 : LENGTH + 1;
  const ours = () => continued(length)[task];
  const { ids } = continued(length);
  const wanted = task === "prefill" ? ids[0] : ids.slice(1).reduce((sum, id, i) => sum + id * (i + 1), 0);
  const { id, ...sizes } = tasks[task];
  const batch = join(folder, "batch.json");
  const inPython = (name: string, way: string) =>
    startPeer(name, python, "../models/llama_peer.py", [way, task, folder, batch, join(folder, "model.onnx")]);
  const rows: Row[] = [];
  const against = async (peer: Peer, exact = true) => {
    try {
      const theirs = await peer.check();
      if (exact && theirs !== wanted) throw new Error(`${id}: ${peer.about} gives ${theirs}, the engine ${wanted}`);
      rows.push(await race(id, ours, peer, sizes));
    } finally {
      await peer.stop();
    }
  };
  await against(await inPython("PyTorch", "torch"));
  await against(await inPython("transformers", "transformers"));
  await against(await inPython("onnxruntime", "onnxruntime"));
  const cpp = llamaCpp("3.22.1");
  const gguf = readdirSync(source).find((name) => name.endsWith(".gguf"))!;
  const args = [join(import.meta.dirname, "llama_cpp.mjs"), task, join(source, gguf), batch];
  await against(await startCommand("llama.cpp Q4_1, node-llama-cpp", process.execPath, args, cpp), false); // computes in 8 bits
  const [torch, ...others] = rows;
  const beside = others.map(({ value, note }) => `over ${value.toFixed(2)}: ${note}`);
  return { ...torch, note: [torch.note, ...beside].join("; ") };
}
