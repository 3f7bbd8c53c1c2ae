// Conversations as texts: a chat model was trained on one way of writing them, and brings it as a Jinja template
// (tokenizer_config.json, chat_template.jinja, or inside of a GGUF file). Another way costs quality without an error, so it
// is the model's own or none. @huggingface/jinja runs it; the variables are those of transformers' apply_chat_template.
//   const model = await fromPretrained(folder);
//   const text = await chat([{ role: "user", content: "Hello!" }], model, { addGenerationPrompt: true });
//   const ids = model.tokenizer.encode(text, { special: false });    // the template has written the special tokens
import { FormatError } from "../core/io.ts";

export interface Message {
  /** system, user, assistant, tool: what the template knows */
  role: string;
  content?: unknown;
  [more: string]: unknown;
}

/** A template, or several by their names: `default`, `tool_use`. */
export type ChatTemplate = string | { name: string; template: string }[];

/** What `fromPretrained` gives has it. */
export interface Speaker {
  meta: { chatTemplate?: ChatTemplate; source?: string };
  tokenizer?: { config: Record<string, any> };
}

export interface ChatOptions {
  /** ends with the head of an answer, for the model to go on */
  addGenerationPrompt?: boolean;
  /** JSON schemas of functions that the model may call */
  tools?: object[];
  documents?: object[];
  /** another template than the model's, or the name of one of several */
  template?: string;
  /** what the template also reads: date_string, enable_thinking, ... */
  [variable: string]: unknown;
}

/** The conversation as the model's template writes it. Throws for a conversation that the template refuses. */
export async function chat(
  messages: Message[],
  { meta, tokenizer }: Speaker,
  { addGenerationPrompt = false, tools, documents, template: chosen, ...variables }: ChatOptions = {},
): Promise<string> {
  const bad = Array.isArray(messages) ? messages.findIndex((one) => typeof one?.role !== "string") : 0;
  if (bad >= 0 || !messages.length)
    throw new Error(
      `chat: message ${Math.max(bad, 0)} is ${JSON.stringify(messages?.[bad])}; wanted { role, content }.`,
    );
  const text = pick(meta, tools ? "tool_use" : "default", chosen);
  const { Template } = await library();
  let template: InstanceType<typeof Template>;
  try {
    template = new Template(text);
  } catch (error) {
    throw new FormatError(`The chat template cannot be read: ${(error as Error).message}`, { cause: error });
  }
  try {
    return template.render({
      ...specialTokens(tokenizer?.config ?? {}),
      ...variables,
      messages,
      tools: tools ?? null,
      documents: documents ?? null,
      add_generation_prompt: addGenerationPrompt,
    });
  } catch (error) {
    throw new Error(`The chat template refuses this conversation: ${(error as Error).message}`, { cause: error });
  }
}

function pick({ chatTemplate: own, source }: Speaker["meta"], wanted: string, chosen?: string): string {
  const several = Array.isArray(own) ? own : [];
  const of = (name: string) => several.find((one) => one.name === name)?.template;
  if (chosen !== undefined) return of(chosen) ?? chosen;
  if (typeof own === "string") return own;
  const found = of(wanted) ?? of("default");
  if (found !== undefined) return found;
  const names = several.map(({ name }) => name).join(", ");
  throw new Error(
    `${source ?? "The model"} has no chat template${names && ` named default, but ${names}`}: it was not trained on ` +
      "conversations. Take its -Instruct or -Chat sibling, or give { template }.",
  );
}

// bos_token, eos_token, ...: texts, or records of one.
function specialTokens(config: Record<string, any>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(config).flatMap(([key, token]) => {
      const content = token?.content ?? token;
      return /^\w+_token$/.test(key) && typeof content === "string" ? [[key, content]] : [];
    }),
  );
}

async function library(): Promise<typeof import("@huggingface/jinja")> {
  try {
    return await import("@huggingface/jinja");
  } catch (error) {
    throw new Error("Chat templates need a package: npm install @huggingface/jinja", { cause: error });
  }
}
