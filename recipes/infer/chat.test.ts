// Runs as it is, with @huggingface/jinja: node --test chat.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import { chat } from "./chat.ts";

const chatTemplate =
  "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}" +
  "{% if add_generation_prompt %}<assistant>{% endif %}{% if tools %}[{{ tools | length }} tools]{% endif %}{{ style }}";
const speaker = { meta: { chatTemplate }, tokenizer: { config: { bos_token: { content: "<s>" }, eos_token: null } } };
const messages = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Hello!" },
];

test("a conversation is written by the model's own template, with its tokens and variables", async () => {
  assert.equal(await chat(messages, speaker), "<s><system>Be brief.</><user>Hello!</>");
  assert.equal(
    await chat(messages.slice(1), speaker, { addGenerationPrompt: true, tools: [{}, {}], style: "!" }),
    "<s><user>Hello!</><assistant>[2 tools]!",
  );
});

test("of several templates the one that fits is taken", async () => {
  const several = [
    { name: "default", template: "plain" },
    { name: "tool_use", template: "tools" },
  ];
  const of = { meta: { chatTemplate: several } };
  assert.deepEqual(
    [
      await chat(messages, of),
      await chat(messages, of, { tools: [{}] }),
      await chat(messages, of, { template: "own" }),
    ],
    ["plain", "tools", "own"],
  );
});

test("says what is wrong: no template, a message without a role, a template that refuses", async () => {
  await assert.rejects(chat(messages, { meta: { source: "x/y" } }), /x\/y has no chat template/);
  await assert.rejects(chat([{ content: "?" } as any], speaker), /message 0 is .*wanted \{ role, content \}/);
  await assert.rejects(chat([], speaker), /message 0/);
  await assert.rejects(chat(messages, speaker, { template: "{% if %}" }), /cannot be read/);
  await assert.rejects(
    chat(messages, speaker, { template: "{{ raise_exception('no') }}" }),
    /refuses this conversation/,
  );
});
