// npm run zoo -- [ids] [--check | --sweep]: trains the models of data/zoo again; each run goes on where it was cut off.
//
// The -5x models are runs of their own, with the seed and the batches of the long run but a schedule that ends at 5 tokens
// per parameter: a checkpoint out of the middle of the long run would be at a high step size, and no fair comparison.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { jit, tf, valueAndGrad } from "@whetstone/engine";
import { batches } from "../recipes/core/data.ts";
import { bitsPerByte, lmLoss } from "../recipes/core/eval.ts";
import { fromSafetensors, load, save, toSafetensors, writeAtomic } from "../recipes/core/io.ts";
import { crossEntropy } from "../recipes/core/ops.ts";
import type { Params } from "../recipes/core/params.ts";
import { rng } from "../recipes/core/rng.ts";
import { bpe, chars, type Tokenizer } from "../recipes/core/tokenizer.ts";
import { clipByGlobalNorm, train } from "../recipes/core/train.ts";
import { countParams, forward, fromHF, type GPTConfig, initGPT, toHF } from "../recipes/model/gpt.ts";
import { type AdamWState, adamw } from "../recipes/train/optim.ts";
import { warmupCosine } from "../recipes/train/schedules.ts";
import { type Corpus, licence, loadText } from "./corpus.ts";
import { type Card, folder, loadTokenizer, loadZoo, readCard, type ZooId } from "./load-zoo.ts";
import splits from "./splits.json" with { type: "json" };

/** How a model of the zoo is made. */
export interface Recipe {
  cfg: GPTConfig;
  /** file in data/zoo */
  tokenizer: "tokenizer-chars.json" | "tokenizer-bpe512.json";
  tokensPerParameter: number;
  /** sequences in a batch */
  batch: number;
  /** highest step size */
  lr: number;
  seed: number;
}

const nano: Recipe = {
  cfg: { layers: 2, dim: 64, heads: 4, ctx: 64, vocab: 96 },
  tokenizer: "tokenizer-chars.json",
  tokensPerParameter: 20,
  batch: 32,
  lr: 4e-3,
  seed: 1,
};
const micro: Recipe = {
  cfg: { layers: 4, dim: 128, heads: 4, ctx: 128, vocab: 512 },
  tokenizer: "tokenizer-bpe512.json",
  tokensPerParameter: 20,
  batch: 16,
  lr: 2e-3,
  seed: 1,
};

export const zoo: Record<ZooId, Recipe> = {
  "nano-5x": { ...nano, tokensPerParameter: 5 },
  nano,
  "micro-5x": { ...micro, tokensPerParameter: 5 },
  micro,
};

const SEQUENCES = 256; // of the validation split, for the loss on the card
const MINUTES = 2; // between two checkpoints

/** Makes a model. `report` gets a line of progress now and then. */
async function make(id: ZooId, report: (line: string) => void): Promise<void> {
  const recipe = zoo[id];
  const { cfg, batch, seed } = recipe;
  const text = loadText("sotu");
  const tokens = tokenizerOf(recipe, text);
  const run = training(recipe);
  const resume = checkpoint(id, recipe);
  const { params, state, start, before, log } = resume.read() ?? fresh(recipe);
  if (start) report(`goes on at step ${start}`);

  const began = performance.now();
  const seconds = () => before + (performance.now() - began) / 1000;
  let saved = performance.now();
  let recent: number[] = [];
  const last: number[] = [];
  const validation = tokens.encode(text.validation);
  const done = await train({
    params,
    state,
    step: run.step,
    data: batches(tokens.encode(text.train), { batch, ctx: cfg.ctx, rng: rng(seed).fork("batches"), start }),
    start,
    steps: run.steps,
    async onStep({ step, loss, params, state }) {
      recent.push(loss);
      last.push(loss);
      if (last.length > 100) last.shift();
      if (step % 50 && step < run.steps) return;
      const entry: LogEntry = {
        step,
        tokens: step * batch * cfg.ctx,
        loss: round(recent.reduce((a, b) => a + b) / recent.length),
        seconds: Math.round(seconds()),
      };
      if (step % 500 === 0 || step === run.steps) {
        entry.validation = round(
          lmLoss((ids) => run.logits(params, ids), validation, { ctx: cfg.ctx, sequences: 64 }).mean,
        );
      }
      log.push(entry);
      recent = [];
      const left = ((run.steps - step) * (performance.now() - began)) / 1000 / (step - start);
      report(
        `step ${step} of ${run.steps}, loss ${entry.loss.toFixed(3)}, ` +
          `${Math.round(((step - start) * batch * cfg.ctx) / (seconds() - before))} tokens/s, ${Math.round(left)} s left`,
      );
      if (performance.now() - saved > MINUTES * 60_000 && step < run.steps) {
        resume.write({ params, state, start: step, before: seconds(), log });
        saved = performance.now();
      }
    },
  });

  const file = toSafetensors(toHF(done.params), { dtype: "F16", metadata: { format: "pt", whetstone: id } });
  const stored = fromHF(fromSafetensors(file).params, cfg.heads).params; // the card tells of what the file holds
  const { mean, tokens: measured } = evaluate(recipe, stored, validation);
  const characters = text.validation.length / validation.length; // a token; ASCII: a character is a byte
  const card: Card = {
    id,
    architecture: "gpt2",
    cfg,
    parameters: countParams(cfg),
    tokenizer: recipe.tokenizer,
    sha256: createHash("sha256").update(file).digest("hex"),
    dtype: "F16",
    training: {
      seed,
      steps: run.steps,
      tokens: run.steps * batch * cfg.ctx,
      tokensPerParameter: recipe.tokensPerParameter,
      batch,
      optimizer: run.description,
      seconds: Math.round(seconds()),
    },
    loss: { train: round(last.reduce((a, b) => a + b) / last.length), validation: round(mean), sequences: SEQUENCES },
    bitsPerByte: round(bitsPerByte(mean, measured, measured * characters)),
    data: { corpus: "sotu", trainSha256: splits.sotu.train.sha256, licence },
    licence: "Apache-2.0",
  };
  writeAtomic(join(folder, `${id}.log`), log.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  writeAtomic(join(folder, `${id}.safetensors`), file);
  writeAtomic(join(folder, `${id}.card.json`), `${JSON.stringify(card, null, 2)}\n`); // last: it vouches for the others
  resume.remove();
  report(
    `done in ${card.training.seconds} s: validation loss ${card.loss.validation}, ${card.bitsPerByte} bits per byte`,
  );
  tf.dispose([params, state as any, done.params, done.state as any, stored]);
}

interface LogEntry {
  step: number;
  tokens: number;
  /** mean over the batches since the last line */
  loss: number;
  seconds: number;
  validation?: number;
}

/** The compiled step of a recipe, and how long it goes. */
function training({ cfg, batch, lr, tokensPerParameter }: Recipe) {
  const steps = Math.ceil((tokensPerParameter * countParams(cfg)) / (batch * cfg.ctx));
  const rate = warmupCosine({ peak: lr, warmup: Math.round(steps / 50), steps, end: lr / 20 });
  const optim = adamw({ b2: 0.99, decay: 0.1 });
  const loss = (params: Params, ids: tf.Tensor, targets: tf.Tensor) => crossEntropy(forward(params, cfg, ids), targets);
  const step = (params: Params, state: AdamWState, ids: tf.Tensor, targets: tf.Tensor) => {
    const { value, grads } = valueAndGrad(loss)(params, ids, targets);
    return { value, ...optim.update(clipByGlobalNorm(grads, 1).grads, state, params, rate(state.t)) };
  };
  return {
    steps,
    optim,
    step: jit(step, { donate: [0, 1] }),
    logits: jit((params: Params, ids: tf.Tensor) => forward(params, cfg, ids)),
    description: `AdamW, lr ${lr} with ${Math.round(steps / 50)} steps of warm-up and cosine to 1/20, b2 0.99, decay 0.1, clip 1`,
  };
}

function evaluate({ cfg }: Recipe, params: Params, validation: Int32Array) {
  const logits = jit((params: Params, ids: tf.Tensor) => forward(params, cfg, ids));
  return lmLoss((ids) => logits(params, ids), validation, { ctx: cfg.ctx, sequences: SEQUENCES });
}

interface Progress {
  params: Params;
  state: AdamWState;
  /** steps done */
  start: number;
  /** seconds that they took */
  before: number;
  log: LogEntry[];
}

function fresh(recipe: Recipe): Progress {
  const params = initGPT(recipe.cfg, rng(recipe.seed).fork("init"));
  return { params, state: training(recipe).optim.init(params), start: 0, before: 0, log: [] };
}

/** The state of a run that is not done: weights, optimizer, step, log, in one file that is replaced whole. */
function checkpoint(id: ZooId, recipe: Recipe) {
  const path = join(import.meta.dirname, "models", "resume", `${id}.safetensors`);
  const made = JSON.stringify(recipe);
  const under = (prefix: string, params: Params) =>
    Object.fromEntries(Object.entries(params).map(([name, tensor]) => [`${prefix}/${name}`, tensor]));
  const from = (prefix: string, all: Params) =>
    Object.fromEntries(
      Object.entries(all).flatMap(([name, t]) =>
        name.startsWith(`${prefix}/`) ? [[name.slice(prefix.length + 1), t]] : [],
      ),
    ) as Params;
  return {
    read(): Progress | undefined {
      if (!existsSync(path)) return undefined;
      const { params: all, metadata } = load(path);
      if (metadata.recipe !== made) return undefined; // the recipe has changed: from the beginning
      const state: AdamWState = { t: all.t, m: from("m", all), v: from("v", all) };
      const log = JSON.parse(metadata.log);
      return { params: from("params", all), state, start: +metadata.step, before: +metadata.seconds, log };
    },
    write({ params, state, start, before, log }: Progress) {
      mkdirSync(dirname(path), { recursive: true });
      const all = { ...under("params", params), ...under("m", state.m), ...under("v", state.v), t: state.t };
      const metadata = { recipe: made, step: String(start), seconds: String(before), log: JSON.stringify(log) };
      save(path, all, { metadata });
    },
    remove: () => rmSync(path, { force: true }),
  };
}

/** The tokenizer's file, which is made when it is not there. */
function tokenizerOf({ tokenizer: file, cfg }: Recipe, text: Corpus): Tokenizer {
  const path = join(folder, file);
  if (!existsSync(path)) {
    const made = file === "tokenizer-chars.json" ? chars : bpe(text.train, cfg.vocab);
    writeAtomic(path, `${JSON.stringify(made.spec)}\n`);
  }
  const tokenizer = loadTokenizer(file);
  if (tokenizer.size !== cfg.vocab) throw new Error(`${file} has ${tokenizer.size} ids, the model ${cfg.vocab}.`);
  return tokenizer;
}

/** Throws unless the weights are those of the card, have its parameters, and reach its loss. */
export function check(id: ZooId): { validation: number } {
  const { cfg, params, tokenizer, card } = loadZoo(id);
  const recipe = zoo[id];
  if (JSON.stringify(card.cfg) !== JSON.stringify(recipe.cfg) || card.parameters !== countParams(cfg)) {
    throw new Error(`${id}: the card is of another model: npm run zoo -- ${id} makes it again.`);
  }
  const { mean } = evaluate(recipe, params, tokenizer.encode(loadText("sotu").validation));
  tf.dispose(params);
  if (!(Math.abs(mean - card.loss.validation) < 1e-2)) {
    throw new Error(`${id}: the validation loss is ${mean}, the card says ${card.loss.validation}.`);
  }
  return { validation: mean };
}

/** Step sizes for nano-5x side by side: how `lr` above was chosen. */
async function sweep(rates: number[]): Promise<void> {
  const text = loadText("sotu");
  for (const lr of rates) {
    const recipe = { ...zoo["nano-5x"], lr };
    const { batch, cfg, seed } = recipe;
    const run = training(recipe);
    const { params, state } = fresh(recipe);
    const data = batches(chars.encode(text.train), { batch, ctx: cfg.ctx, rng: rng(seed).fork("batches") });
    const done = await train({ params, state, step: run.step, data, steps: run.steps });
    console.log(
      `lr ${lr}: validation loss ${evaluate(recipe, done.params, chars.encode(text.validation)).mean.toFixed(4)}`,
    );
    tf.dispose([params, state as any, done.params, done.state as any]);
  }
}

const round = (x: number) => Math.round(x * 1e4) / 1e4;

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { check: { type: "boolean" }, sweep: { type: "boolean" } },
  });
  const unknown = positionals.find((id) => !Object.hasOwn(zoo, id));
  if (unknown) {
    console.error(`There is no model "${unknown}" in the zoo; there are ${Object.keys(zoo).join(", ")}.`);
    process.exit(2);
  }
  const ids = (positionals.length ? positionals : Object.keys(zoo)) as ZooId[];
  if (values.sweep) await sweep([1e-3, 2e-3, 4e-3, 8e-3, 16e-3]);
  else
    for (const id of ids) {
      const line = (text: string) => console.log(`${id}: ${text}`);
      if (values.check) line(`as its card says, validation loss ${check(id).validation.toFixed(4)}`);
      else if (upToDate(id)) line("is there already; delete its card to make it again");
      else await make(id, line);
    }
}

/** Whether the files are there and of this recipe. */
function upToDate(id: ZooId): boolean {
  if (!existsSync(join(folder, `${id}.card.json`))) return false;
  const { cfg, training, sha256 } = readCard(id);
  const recipe = zoo[id];
  const same = JSON.stringify([cfg, training.seed, training.batch, training.tokensPerParameter]);
  if (same !== JSON.stringify([recipe.cfg, recipe.seed, recipe.batch, recipe.tokensPerParameter])) return false;
  return (
    createHash("sha256")
      .update(readFileSync(join(folder, `${id}.safetensors`)))
      .digest("hex") === sha256
  );
}
