// Decoding against transformers (test/fixtures/decode.py), and against what it says of itself.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { tf } from "@whetstone/engine";
import { load } from "../../recipes/core/io.ts";
import type { Params } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import { beam, distribution, generate, pieces, type Step } from "../../recipes/infer/decode.ts";
import { gptConfig } from "../../recipes/model/config.ts";
import { type Cache, emptyCache, fromHF, sample, step } from "../../recipes/model/gpt.ts";

const reference = JSON.parse(readFileSync(join(import.meta.dirname, "../fixtures/decode.json"), "utf8"));
const { params: fixture, metadata } = load(join(import.meta.dirname, "../fixtures/llama.safetensors"));
const start = "grouped.start.";
const tensors: Params = Object.fromEntries(
  Object.entries(fixture).flatMap(([name, t]) => (name.startsWith(start) ? [[name.slice(start.length), t]] : [])),
);
const { params, cfg } = fromHF(tensors, gptConfig(JSON.parse(metadata.configs).grouped));
const next: Step<Cache> = (ids, cache) => step(params, cfg, ids, cache, { last: true });
const room = 48;
const empty = (batch = 1) => emptyCache(cfg, { batch, length: room });

// A model of four ids whose next id depends on the last one only; the cache counts its steps.
const table = [
  [0.1, 0.5, 0.2, 0.2],
  [0.4, 0.05, 0.5, 0.05],
  [0.05, 0.6, 0.05, 0.3],
  [0.25, 0.25, 0.25, 0.25],
];
const markov: Step<{ steps: tf.Tensor; last: tf.Tensor[] }> = (ids, { steps, last }) => {
  const [B, T] = ids.shape;
  const of = tf.reshape(tf.slice(ids, [0, T - 1], [B, 1]), [B]) as tf.Tensor1D;
  const logits = tf.expandDims(tf.log(tf.gather(tf.tensor2d(table), of)), 1);
  return { logits, cache: { steps: tf.add(steps, 1), last: [tf.cast(of, "float32"), tf.zerosLike(last[1])] } };
};
const fresh = () => ({ steps: tf.scalar(0), last: [tf.zeros([1]), tf.zeros([1, 2])] });

describe("decode", function () {
  this.timeout(60_000);

  it("temperature, top-k and top-p leave what transformers leaves, with its probabilities", () => {
    for (const { temperature, topK, topP, probabilities: wanted } of reference.cases) {
      const choice = { temperature, ...(topK && { topK }), ...(topP && { topP }) };
      const { ids, probabilities } = distribution(reference.logits, choice);
      const found = Array(reference.logits.length).fill(0);
      ids.forEach((id, i) => {
        found[id] = probabilities[i];
      });
      found.forEach((p, id) => {
        assert.ok(Math.abs(p - wanted[id]) < 1e-12, `${JSON.stringify(choice)} ${id}: ${p}, ${wanted[id]}`);
      });
    }
    assert.throws(() => distribution([1, 2], { topP: 0 }), /topP 0; wanted above 0/);
  });

  it("greedy is the greedy of transformers; the cache changes nothing; no tensor is left", () => {
    const wanted = Array.from(fixture["grouped.greedy"].dataSync());
    const before = tf.memory().numTensors;
    const found = [...generate(next, empty(), wanted.slice(0, 4), { length: 40, room, temperature: 0 })];
    assert.deepEqual(found, wanted.slice(4));
    assert.equal(tf.memory().numTensors, before);
    const stopped = [
      ...generate(next, empty(), wanted.slice(0, 4), { length: 40, room, temperature: 0, stop: [wanted[9]] }),
    ];
    assert.deepEqual(stopped, wanted.slice(4, wanted.indexOf(wanted[9], 4)));
    for (const id of generate(next, empty(), wanted.slice(0, 4), { length: 40, room, temperature: 0 })) {
      assert.equal(id, wanted[4]);
      break; // one is enough
    }
    assert.equal(tf.memory().numTensors, before);
  });

  it("draws by the distribution, and the same again from the same seed", () => {
    const counts = [0, 0, 0, 0];
    const n = 4000;
    const drawn = [...generate(markov, fresh(), [0], { length: n, room: n + 1, rng: rng(1) })];
    let last = 0;
    let of0 = 0;
    for (const id of drawn) {
      if (last === 0) counts[id]++;
      if (last === 0) of0++;
      last = id;
    }
    const chi2 = counts.reduce((sum, c, i) => sum + (c - table[0][i] * of0) ** 2 / (table[0][i] * of0), 0);
    assert.ok(chi2 < 11.3, `${chi2}`); // p > 0.01 with 3 degrees of freedom
    const draw = (seed: number) => [
      ...generate(markov, fresh(), [0], { length: 50, room: 60, rng: rng(seed), topK: 3 }),
    ];
    assert.deepEqual(draw(1), draw(1));
    assert.notDeepEqual(draw(1), draw(2));
    const all = tf.tensor2d([1, 2, 3], [1, 3], "int32");
    assert.equal(
      sample((ids) => markov(ids, fresh()).logits.tile([1, 3, 1]), { ...cfg, ctx: 3, vocab: 4 }, [0], {
        length: 1,
        temperature: 0,
        rng: rng(1),
      })[1],
      1,
    );
    all.dispose();
  });

  it("beam search finds the beams of transformers, and with one beam the greedy text", () => {
    const before = tf.memory().numTensors;
    for (const { prompt, width, ids } of reference.beams)
      assert.deepEqual(beam(next, empty(), prompt, { width, length: ids.length, room }).ids, ids);
    const [{ prompt }] = reference.beams;
    const greedy = [...generate(next, empty(), prompt, { length: 10, room, temperature: 0 })];
    assert.deepEqual(beam(next, empty(), prompt, { width: 1, length: 10, room }).ids, greedy);
    assert.equal(tf.memory().numTensors, before);
  });

  it("beam search that is wide enough finds the best of all texts, ended ones too", () => {
    const stop = 3;
    for (const penalty of [0, 0.7, 1])
      for (const length of [1, 3, 5]) {
        let best = { ids: [] as number[], score: -Infinity };
        const walk = (ids: number[], last: number, logProb: number) => {
          const score = logProb / Math.max(1, ids.length) ** penalty;
          const ended = ids.at(-1) === stop;
          if (ended || ids.length === length) {
            if (score > best.score) best = { ids: ended ? ids.slice(0, -1) : ids, score };
            return;
          }
          table[last].forEach((p, id) => {
            walk([...ids, id], id, logProb + Math.log(p));
          });
        };
        walk([], 2, 0);
        const found = beam(markov, fresh(), [2], { width: 4 ** 4, length, room: 9, stop: [stop], penalty });
        assert.ok(Math.abs(found.score - best.score) < 1e-5, `${penalty} ${length}: ${found.score}, ${best.score}`);
        assert.deepEqual(found.ids, best.ids);
      }
  });

  it("gives texts piece by piece: whole letters, and nothing from a stop text on", () => {
    const bytes = new TextEncoder().encode("Größe 数! STOP and more");
    const decode = (ids: number[]) => new TextDecoder().decode(Uint8Array.from(ids));
    const got = [...pieces(bytes, decode)];
    assert.equal(got.join(""), "Größe 数! STOP and more");
    assert.ok(got.every((piece) => !piece.includes("\ufffd")) && got.length > 15);
    assert.equal([...pieces(bytes, decode, { stop: ["STOP", "never"] })].join(""), "Größe 数! ");
    assert.equal([...pieces(new TextEncoder().encode("a STO"), decode, { stop: ["STOP"] })].join(""), "a STO");
    let ended = false;
    function* endless() {
      try {
        for (;;) yield 65;
      } finally {
        ended = true;
      }
    }
    assert.equal([...pieces(endless(), decode, { stop: ["AAA"] })].join(""), "");
    assert.ok(ended, "the generator of ids is told that nobody listens");
  });

  it("says what does not fit", () => {
    assert.throws(() => generate(next, empty(), [], { length: 1, room, temperature: 0 }).next(), /the prompt is empty/);
    assert.throws(
      () => generate(next, empty(), [1], { length: 48, room, temperature: 0 }).next(),
      /1 ids and 48 more do not fit into 48/,
    );
    assert.throws(() => generate(next, empty(), [1], { length: 2, room }).next(), /give it an rng/);
  });
});
