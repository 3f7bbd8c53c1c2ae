// Runs the models on the WASM backend and prints what came out, for wasm.test.ts.

import { join } from "node:path";
import { tf, useDevice } from "@whetstone/engine";
import { valueAndGrads } from "../../recipes/core/grad.ts";
import { load } from "../../recipes/core/io.ts";
import type { Params } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import { beam, generate } from "../../recipes/infer/decode.ts";
import { online, windowed } from "../../recipes/model/attention.ts";
import { gptConfig } from "../../recipes/model/config.ts";
import * as gpt from "../../recipes/model/gpt.ts";
import * as rnn from "../../recipes/model/rnn.ts";
import * as t5 from "../../recipes/model/seq2seq.ts";

await useDevice("wasm");
const under = (p: Params, at: string): Params =>
  Object.fromEntries(Object.entries(p).flatMap(([n, t]) => (n.startsWith(at) ? [[n.slice(at.length), t]] : [])));
const off = (a: tf.Tensor, b: tf.Tensor) =>
  tf.max(tf.abs(tf.sub(a, b))).dataSync()[0] / Math.max(1, tf.max(tf.abs(b)).dataSync()[0]);
const open = (name: string) => load(join(import.meta.dirname, `../fixtures/${name}.safetensors`));
const f = open("llama");
const { params, cfg } = gpt.fromHF(
  under(f.params, "grouped.start."),
  gptConfig(JSON.parse(f.metadata.configs).grouped),
);
const { ids, logits, greedy } = under(f.params, "grouped.");
const next = (ids: tf.Tensor, c: gpt.Cache) => gpt.step(params, cfg, ids, c, { last: true });
const start = Array.from(greedy.dataSync());
const out: Record<string, any> = { backend: tf.getBackend(), off: {} };
out.off.llama = off(gpt.forward(params, cfg, ids), logits);
out.off.online = off(gpt.forward(params, cfg, ids, { attention: online(4) }), logits);
out.off.windowed = off(gpt.forward(params, cfg, ids, { attention: windowed(64) }), logits);
out.greedy = [...generate(next, gpt.emptyCache(cfg), start.slice(0, 4), { length: 40, room: 64, temperature: 0 })];
out.wanted = start.slice(4);
out.beam = beam(next, gpt.emptyCache(cfg), start.slice(0, 4), { length: 4, room: 64, width: 1 }).ids;
const loss = (p: Params) => tf.mean(gpt.forward(p, cfg, ids));
out.grads = Object.values(valueAndGrads(loss)(params).grads).map((g) => tf.max(tf.abs(g)).dataSync()[0]);
const small = { layers: 1, dim: 8, heads: 2, ctx: 9, vocab: 11 };
const p = gpt.initGPT(small, rng(1));
const text = tf.tensor2d([[1, 2, 3, 4]], undefined, "int32");
const pieces = gpt.step(
  p,
  small,
  tf.slice(text, [0, 2], [1, 2]),
  gpt.step(p, small, tf.slice(text, [0, 0], [1, 2]), gpt.emptyCache(small)).cache,
);
out.off.cache = off(pieces.logits, tf.slice(gpt.forward(p, small, text), [0, 2, 0], [1, 2, -1]));
const T = open("t5");
const c5 = t5.t5Config(JSON.parse(T.metadata.configs)["v1.1"]);
const x = under(T.params, "v1.1.");
out.off.t5 = off(
  t5.forward(t5.fromHF(under(T.params, "v1.1.start."), c5), c5, x.source, x.target, { mask: x.mask }),
  x.logits,
);
const R = open("rnn").params;
for (const kind of ["lstm", "gru"] as const)
  out.off[kind] = off(
    rnn.recur(
      rnn.fromTorch(under(R, `${kind}.start.`)),
      { kind, layers: 2, dim: 12, hidden: 20, vocab: 1 },
      R[`${kind}.x`],
    ).out,
    R[`${kind}.y`],
  );
console.log(JSON.stringify(out));
