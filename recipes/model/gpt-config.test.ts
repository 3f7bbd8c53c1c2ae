// Runs as it is, with @tensorflow/tfjs-core: node --test gpt-config.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import { complete, countParams, flops, paramBytes, shapes } from "./gpt-config.ts";

const gpt2 = { layers: 12, dim: 768, heads: 12, ctx: 1024, vocab: 50257 };

test("counts the parameters of GPT-2, and the bytes and products that follow from them", () => {
  assert.equal(countParams(gpt2), 124_439_808);
  assert.equal(paramBytes(gpt2, 16), 2 * 124_439_808);
  const matrices = 12 * 12 * 768 ** 2 + 50257 * 768;
  assert.equal(flops(gpt2, { length: 8 }), 2 * 8 * matrices + 4 * 12 * 8 ** 2 * 768);
});

test("a Llama has its own names and fewer heads for keys; numbers that do not fit are named", () => {
  const llama = { ...gpt2, family: "llama", kvHeads: 4, ffn: 2048 } as const;
  assert.deepEqual(shapes(llama)["model.layers.3.self_attn.k_proj.weight"], [256, 768]);
  assert.equal(complete(llama).mlp, "swiglu");
  assert.throws(() => complete({ ...gpt2, dim: 770 }), /dim 770 is not a multiple of heads 12/);
  assert.throws(() => complete({ ...gpt2, kvHeads: 5 }), /heads 12 is not a multiple of kvHeads 5/);
});
