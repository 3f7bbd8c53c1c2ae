// One run of training, from its recipe or its checkpoint to weights, card and loss curve.
//
// The -5x models are runs of their own, with the seed and the batches of the long run but a schedule that ends at 5 tokens
// per parameter: a checkpoint out of the middle of the long run would be at a high step size, and no fair comparison.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { jit, tf, valueAndGrad } from "@whetstone/engine";
import { fromSafetensors, toSafetensors, writeAtomic } from "../../recipes/core/io.ts";
import { count, type Params } from "../../recipes/core/params.ts";
import { rng } from "../../recipes/core/rng.ts";
import { clipByGlobalNorm, train } from "../../recipes/core/train.ts";
import { type AdamWState, adamw } from "../../recipes/train/optim.ts";
import { warmupCosine } from "../../recipes/train/schedules.ts";
import { type Card, folder, fromFile } from "../load-zoo.ts";
import { maskedModel } from "./bert.ts";
import type { Family } from "./family.ts";
import { languageModel } from "./lm.ts";
import type { Recipe } from "./recipes.ts";
import { checkpoint, type LogEntry, type Progress } from "./resume.ts";
import { textToText } from "./seq2seq.ts";

export const SEQUENCES = 256; // of the validation split, for the loss on the card
const MINUTES = 2; // between two checkpoints
const WATTS = 10;
const ENERGY = `processor time x ${WATTS} W, an assumed share of a busy core in a server with its memory; nothing was metered`;

/** A run was asked to stop and has written its checkpoint. */
export class Stopped extends Error {
  override name = "Stopped";
}

/** Aborted by SIGTERM, or Ctrl-C. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => stop.abort());
  return stop.signal;
}

const families = new Map<string, Promise<Family>>();

/** A recipe with its text, which takes seconds to read: once for each recipe. */
export function familyOf(recipe: Recipe): Promise<Family> {
  const key = JSON.stringify(recipe);
  const family = families.get(key) ?? read(recipe);
  families.set(key, family);
  return family;
}

async function read(recipe: Recipe): Promise<Family> {
  if (recipe.architecture === "bert") return maskedModel(recipe);
  if (recipe.architecture === "t5") return textToText(recipe);
  return languageModel(recipe);
}

export interface Options {
  /** gets a line of progress now and then */
  report: (line: string) => void;
  /** where weights, card and curve go */
  to?: string;
  /** where the checkpoint is until they are there */
  resume?: string;
  /** aborted: the run writes its checkpoint after this step and throws Stopped */
  signal?: AbortSignal;
}

/** Makes a model, or goes on making it. */
export async function make(id: string, recipe: Recipe, options: Options): Promise<Card> {
  const { report, to = folder, resume: place = join(import.meta.dirname, "..", "models", "resume"), signal } = options;
  const family = await familyOf(recipe);
  const run = training(recipe, family);
  const resume = checkpoint(place, id, recipe);
  const progress = resume.read() ?? fresh(recipe, family);
  const { start, last, log } = progress;
  if (start) report(`goes on at step ${start}`);

  const [began, cpu] = [performance.now(), process.cpuUsage()];
  const seconds = () => progress.seconds + (performance.now() - began) / 1000;
  const cpuSeconds = () => {
    const { user, system } = process.cpuUsage(cpu);
    return progress.cpuSeconds + (user + system) / 1e6;
  };
  let saved = performance.now();
  let { recent } = progress;
  const done = await train({
    params: progress.params,
    state: progress.state,
    step: run.step,
    data: family.batches(rng(recipe.seed).fork("batches"), start),
    start,
    steps: run.steps,
    async onStep({ step, loss, params, state }) {
      recent.push(loss);
      last.push(loss);
      if (last.length > 100) last.shift();
      if (step % 50 === 0 || step === run.steps) {
        const entry: LogEntry = {
          step,
          tokens: step * family.tokensPerStep,
          loss: round(mean(recent)),
          seconds: Math.round(seconds()),
        };
        if (step % 500 === 0 || step === run.steps)
          entry.validation = round(family.measure(params, { sequences: 64 }).mean);
        log.push(entry);
        recent = [];
        const left = ((run.steps - step) * (performance.now() - began)) / 1000 / (step - start);
        report(
          `step ${step} of ${run.steps}, loss ${entry.loss.toFixed(3)}${entry.validation ? `, validation ${entry.validation}` : ""}, ` +
            `${Math.round(((step - start) * family.tokensPerStep) / (seconds() - progress.seconds))} tokens/s, ${Math.round(left)} s left`,
        );
      }
      await new Promise(setImmediate); // signals are heard between turns of the event loop only
      if (step === run.steps || (performance.now() - saved < MINUTES * 60_000 && !signal?.aborted)) return;
      resume.write({ params, state, start: step, seconds: seconds(), cpuSeconds: cpuSeconds(), last, recent, log });
      saved = performance.now();
      if (signal?.aborted) throw new Stopped(`${id} stopped at step ${step}; the same command goes on there.`);
    },
  });

  const file = toSafetensors(family.toFile(done.params), { dtype: "F16", metadata: { format: "pt", whetstone: id } });
  const stored = fromFile(recipe.architecture, fromSafetensors(file).params, recipe.cfg); // the card tells of what the file holds
  const found = family.measure(stored, { sequences: SEQUENCES, scores: true });
  const card: Card = {
    id,
    architecture: recipe.architecture,
    cfg: recipe.cfg,
    parameters: run.parameters,
    tokenizer: recipe.tokenizer,
    ...(family.special && { special: family.special }),
    sha256: createHash("sha256").update(file).digest("hex"),
    dtype: "F16",
    training: {
      seed: recipe.seed,
      steps: run.steps,
      tokens: run.steps * family.tokensPerStep,
      tokensPerParameter: recipe.tokensPerParameter,
      batch: recipe.batch,
      ...("ctx" in recipe && { ctx: recipe.ctx }),
      objective: family.objective,
      optimizer: run.description,
      seconds: Math.round(seconds()),
      cpuSeconds: Math.round(cpuSeconds()),
      energy: { wattHours: Math.round((cpuSeconds() * WATTS) / 360) / 10, how: ENERGY },
      versions: versions(),
    },
    loss: { train: round(mean(last)), validation: round(found.mean), sequences: SEQUENCES },
    ...(found.bitsPerByte && { bitsPerByte: round(found.bitsPerByte) }),
    ...(found.scores && { scores: Object.fromEntries(Object.entries(found.scores).map(([k, x]) => [k, round(x)])) }),
    data: family.data,
    licence: "Apache-2.0",
  };
  writeAtomic(join(to, `${id}.log`), log.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  writeAtomic(join(to, `${id}.safetensors`), file);
  writeAtomic(join(to, `${id}.card.json`), `${JSON.stringify(card, null, 2)}\n`); // last: it vouches for the others
  resume.remove();
  report(`done in ${card.training.seconds} s: validation loss ${card.loss.validation}`);
  tf.dispose([progress.params, progress.state as any, done.params, done.state as any, stored]);
  return card;
}

/** The compiled step of a recipe, and how long it goes. */
export function training(recipe: Recipe, family: Family) {
  const { lr, tokensPerParameter } = recipe;
  const parameters = parametersOf(recipe, family);
  const steps = Math.ceil((tokensPerParameter * parameters) / family.tokensPerStep);
  const warmup = Math.round(steps / 50);
  const rate = warmupCosine({ peak: lr, warmup, steps, end: lr / 20 });
  const optim = adamw({ b2: 0.99, decay: 0.1 });
  const step = (params: Params, state: AdamWState, ids: tf.Tensor, targets: tf.Tensor) => {
    const { value, grads } = valueAndGrad(family.loss)(params, ids, targets);
    return { value, ...optim.update(clipByGlobalNorm(grads, 1).grads, state, params, rate(state.t)) };
  };
  return {
    parameters,
    steps,
    optim,
    step: jit(step, { donate: [0, 1] }),
    description: `AdamW, lr ${lr} with ${warmup} steps of warm-up and cosine to 1/20, b2 0.99, decay 0.1, clip 1`,
  };
}

/** How many parameters the recipe's model has. */
export function parametersOf(recipe: Recipe, family: Family): number {
  return tf.tidy(() => count(family.init(rng(recipe.seed).fork("init"))));
}

export function fresh(recipe: Recipe, family: Family): Progress {
  const params = family.init(rng(recipe.seed).fork("init"));
  const { optim } = training(recipe, family);
  return { params, state: optim.init(params), start: 0, seconds: 0, cpuSeconds: 0, last: [], recent: [], log: [] };
}

function versions(): Record<string, string> {
  const tensorflow: string | undefined = (tf.backend() as any).binding?.TF_Version;
  return { node: process.versions.node, tfjs: tf.version_core, ...(tensorflow && { tensorflow }) };
}

const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const round = (x: number) => Math.round(x * 1e4) / 1e4;
