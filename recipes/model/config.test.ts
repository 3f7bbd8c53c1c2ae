// Runs as it is: node --test config.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import { gptConfig, hfConfig } from "./config.ts";
import { complete, type GPTConfig } from "./gpt.ts";

const models: Record<string, GPTConfig> = {
  gpt2: { layers: 2, dim: 16, heads: 4, ctx: 8, vocab: 11, ffn: 32, eps: 1e-6 },
  llama: { family: "llama", layers: 2, dim: 16, heads: 4, kvHeads: 2, headDim: 8, ffn: 24, ctx: 8, vocab: 11 },
  stretched: {
    ...{ family: "llama", layers: 1, dim: 16, heads: 4, ctx: 8, vocab: 11, tied: true, bias: true, theta: 500 },
    scaling: { type: "llama3", factor: 8, low: 1, high: 4, original: 64 },
  },
};

for (const [name, cfg] of Object.entries(models))
  test(`${name} goes to config.json and back`, () => {
    assert.deepEqual(complete(gptConfig(JSON.parse(JSON.stringify(hfConfig(cfg))))), complete(cfg));
  });

test("reads what transformers writes, and refuses what would be computed otherwise", () => {
  const json = { model_type: "gpt2", n_layer: 12, n_embd: 768, n_head: 12, n_positions: 1024, vocab_size: 50257 };
  assert.deepEqual(gptConfig(json), { layers: 12, dim: 768, heads: 12, ctx: 1024, vocab: 50257 });
  for (const [more, message] of [
    [{ activation_function: "relu" }, /activation_function is "relu"; gpt.ts computes gelu_new/],
    [{ n_layer: 0 }, /n_layer is 0; wanted a whole number/],
    [{ model_type: "mamba" }, /model_type is "mamba"/],
    [{ n_head: 7 }, /768 is not a multiple of heads 7/],
  ] as const)
    assert.throws(() => gptConfig({ ...json, ...more }), message);
  assert.throws(() => hfConfig({ ...models.gpt2, window: 4 }), /a window are not what/);
});
