// Packed documents: the loss and the gradients are those of each document alone, for every kind of model and attention.
import assert from "node:assert/strict";
import { jit, tf, valueAndGrad } from "@whetstone/engine";
import fc from "fast-check";
import { crossEntropy, crossEntropyEach } from "../../recipes/core/ops.ts";
import { dispose, type Params } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import { train } from "../../recipes/core/train.ts";
import { type Packed, pack } from "../../recipes/data/pack.ts";
import type { Item } from "../../recipes/data/read.ts";
import { online, windowed } from "../../recipes/model/attention.ts";
import { type ForwardOptions, forward, type GPTConfig, initGPT } from "../../recipes/model/gpt.ts";
import { adamw } from "../../recipes/train/optim.ts";

const VOCAB = 23;
/** Documents of these lengths as a stream; its places are numbers. */
const stream = (lengths: number[], start = 0): Item<Int32Array>[] =>
  lengths
    .map((length, i) => ({
      value: Int32Array.from({ length }, (_, j) => 1 + ((i * 7 + j * 3) % (VOCAB - 1))),
      place: { at: i } as Item<Int32Array>["place"],
      next: i + 1 < lengths.length ? { at: i + 1 } : null,
    }))
    .slice(start);
const encode = (ids: Int32Array) => ids;
const packed = (lengths: number[], options: { batch: number; ctx: number }) =>
  Array.fromAsync(pack(stream(lengths), { ...options, encode }));
const rows = (x: tf.Tensor) => x.arraySync() as number[][];

describe("packed documents", () => {
  it("stand where the least room is left; the rest of a row is filled up and does not count", async () => {
    const all = await packed([4, 6, 3, 3, 9], { batch: 2, ctx: 6 });
    assert.equal(all.length, 2);
    const [{ ids, targets, positions, mask, next }, last] = all;
    // 3 and 2 targets of the first and third document; 5 of the second, where the fourth (2) does not fit, nor beside.
    assert.deepEqual(rows(positions), [
      [0, 1, 2, 0, 1, 0],
      [0, 1, 2, 3, 4, 0],
    ]);
    assert.deepEqual(rows(mask), [
      [1, 1, 1, 1, 1, 0],
      [1, 1, 1, 1, 1, 0],
    ]);
    const [a, b, c] = stream([4, 6, 3]).map(({ value }) => [...value]);
    assert.deepEqual(rows(ids), [
      [...a.slice(0, 3), ...c.slice(0, 2), 0],
      [...b.slice(0, 5), 0],
    ]);
    assert.deepEqual(rows(targets)[0], [...a.slice(1), ...c.slice(1), 0]);
    assert.deepEqual([next, last.next, ids.dtype, targets.dtype], [{ at: 3 }, null, "int32", "int32"]);
  });

  it("each id but a document's first is a target once, with what stood before it", async () => {
    const lists = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 25 });
    await fc.assert(
      fc.asyncProperty(
        lists,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 16 }),
        async (lengths, batch, ctx) => {
          const seen: string[] = [];
          for (const { ids, targets, mask, positions } of await packed(lengths, { batch, ctx })) {
            assert.deepEqual(ids.shape, [batch, ctx]);
            const [x, y, m, p] = [ids, targets, mask, positions].map(rows);
            m.forEach((row, r) => {
              row.forEach((counts, i) => {
                if (counts) seen.push(`${x[r][i]} ${y[r][i]}`);
                if (p[r][i]) assert.ok(p[r][i] === p[r][i - 1] + 1 && y[r][i - 1] === x[r][i]);
              });
            });
          }
          const wanted = stream(lengths).flatMap(({ value }) =>
            [...value].slice(1).map((id, i) => `${value[i]} ${id}`),
          );
          assert.deepEqual(seen.sort(), wanted.sort());
        },
      ),
      { numRuns: 60 },
    );
  });

  it("go on at the batch where a run stopped, also within a document", async () => {
    const lengths = [5, 40, 3, 9, 2, 33, 8, 8, 1, 0, 21];
    const options = { batch: 2, ctx: 8, encode };
    const all = await packed(lengths, options);
    const content = ({ ids, targets, positions, mask, next }: Packed) => [
      ...[ids, targets, positions, mask].map(rows),
      next,
    ];
    assert.ok(all.some(({ next }) => next?.piece));
    for (const [i, { next }] of all.entries()) {
      if (!next) continue;
      const documents = stream(lengths, Number(next.at));
      documents[0].place = JSON.parse(JSON.stringify(next));
      const rest = await Array.fromAsync(pack(documents, options));
      assert.deepEqual(rest.map(content), all.slice(i + 1).map(content));
    }
  });

  const sizes = { layers: 1, dim: 16, heads: 4, ctx: 16, vocab: VOCAB };
  const llama: GPTConfig = { ...sizes, family: "llama", kvHeads: 2, ffn: 32 };
  const models: [string, GPTConfig, ForwardOptions?][] = [
    ["GPT-2", sizes],
    ["Llama", llama],
    ["Llama, positions stretched", { ...llama, scaling: { type: "linear", factor: 4 } }],
    ["a window", { ...sizes, window: 3 }],
    ["a window, block by block", { ...llama, window: 3 }, { attention: windowed(3) }],
    ["softmax online", llama, { attention: online(5) }],
  ];
  for (const [name, cfg, options] of models)
    it(`${name}: the loss is that of the documents one by one, to 1e-5, the gradients to 1e-4`, async () => {
      const params = initGPT(cfg, rng(3));
      for (const key of Object.keys(params)) params[key] = tf.mul(params[key], 5); // attention that looks somewhere
      const lengths = [5, 17, 3, 9, 4];
      const [batch, ...more] = await packed(lengths, { batch: 3, ctx: 16 });
      assert.equal(more.length, 0);
      const alone = (p: Params) =>
        tf.div(
          tf.addN(
            stream(lengths).map(({ value }) => {
              const [ids, targets] = [value.subarray(0, -1), value.subarray(1)].map((part) =>
                tf.tensor2d(part, [1, part.length], "int32"),
              );
              return tf.sum(crossEntropyEach(forward(p, cfg, ids, options), targets));
            }),
          ),
          lengths.reduce((sum, n) => sum + n - 1, 0),
        );
      const together = (p: Params, { ids, targets, positions, mask }: Omit<Packed, "next">) =>
        crossEntropy(forward(p, cfg, ids, { ...options, positions }), targets, mask);
      const { next: _, ...tensors } = batch;
      const wanted = valueAndGrad(alone)(params);
      const off = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0];
      for (const run of [valueAndGrad(together), ...(cfg === llama && !options ? [jit(valueAndGrad(together))] : [])]) {
        const { value, grads } = run(params, tensors);
        assert.ok(off(value, wanted.value) < 1e-5, `${value.dataSync()[0]} ${wanted.value.dataSync()[0]}`);
        for (const [key, grad] of Object.entries(grads)) {
          const size = tf.max(tf.abs(wanted.grads[key])).dataSync()[0];
          assert.ok(off(grad, wanted.grads[key]) < 1e-4 * Math.max(1, size), key);
        }
      }
      // Without the positions it is another one: the documents do see each other.
      const mixed = crossEntropy(forward(params, cfg, batch.ids, options), batch.targets, batch.mask);
      assert.ok(off(mixed, wanted.value) > 1e-2, `${mixed.dataSync()[0]}`);
      dispose(params);
    });

  it("are trained on as they come, and nothing of them is left", async () => {
    const params = initGPT(sizes, rng(4));
    const optim = adamw({ lr: 1e-2 });
    const loss = (p: Params, ids: tf.Tensor, targets: tf.Tensor, { positions, mask }: Record<string, tf.Tensor>) =>
      crossEntropy(forward(p, sizes, ids, { positions }), targets, mask);
    const lengths = Array.from({ length: 200 }, (_, i) => 3 + ((i * i) % 13));
    const state = optim.init(params);
    const before = tf.memory().numTensors;
    const { history, ...last } = await train({
      params,
      state,
      step: (p, state, ids, targets, more) => {
        const { value, grads } = valueAndGrad(loss)(p, ids, targets, more);
        return { value, ...optim.update(grads, state, p) };
      },
      data: pack(stream(lengths), { batch: 4, ctx: 16, encode }),
      steps: 20,
    });
    assert.ok(history[19].loss < 0.8 * history[0].loss, `${history[0].loss} ${history[19].loss}`);
    tf.dispose(last as any);
    assert.equal(tf.memory().numTensors, before);
  });

  it("positions of another shape are refused", () => {
    const params = initGPT(sizes, rng(4));
    const ids = tf.zeros([1, 4], "int32");
    assert.throws(
      () => forward(params, sizes, ids, { positions: tf.zeros([1, 5], "int32") }),
      /positions are \[1,5\], ids \[1,4\]/,
    );
  });
});
