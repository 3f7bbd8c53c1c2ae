// node data/scaling.ts: trains the small models of notebook 03 and writes data/tables/scaling.json; goes on where it was cut off.
//   sizes    five widths of a two-layer GPT on characters, 20 tokens per parameter: what the law of scaling is fitted to
//   basin    three widths, seven step sizes, the usual parametrization and mup: at which step size each is best
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { jit, tf, valueAndGrad } from "@whetstone/engine";
import { batches } from "../recipes/core/data.ts";
import { lmLoss } from "../recipes/core/eval.ts";
import { writeAtomic } from "../recipes/core/io.ts";
import { crossEntropy } from "../recipes/core/ops.ts";
import { map, type Params } from "../recipes/core/params.ts";
import { rng } from "../recipes/core/rng.ts";
import { chars } from "../recipes/core/tokenizer.ts";
import { clipByGlobalNorm, train } from "../recipes/core/train.ts";
import { attend } from "../recipes/model/attention.ts";
import { countParams, forward, type GPTConfig, initGPT, shapes } from "../recipes/model/gpt.ts";
import * as mup from "../recipes/train/mup.ts";
import { type AdamWState, adamw } from "../recipes/train/optim.ts";
import { warmupCosine } from "../recipes/train/schedules.ts";
import { loadText } from "./corpus.ts";

/**
 * What the base starts with, beside initGPT: inner matrices and logits four times as large. mup carries a base to other widths
 * with its faults; with the usual small start, 128 wide was no better than 32 by mup (2.42 and 2.41 nat at the best step size).
 */
const start = { inner: 4, logits: 4 };

/** A GPT of characters: two layers, 64 characters, heads 16 wide. */
export const configOf = (dim: number): GPTConfig => ({ layers: 2, dim, heads: dim / 16, ctx: 64, vocab: 96 });

export const sizes = [16, 32, 64, 96, 128];
export const basin = {
  widths: [32, 64, 128],
  rates: [0.002, 0.004, 0.008, 0.016, 0.032, 0.064],
  seeds: [1, 2],
  training: { steps: 300, warmup: 60, batch: 16 },
  /** the width whose step sizes mup carries over */
  base: 32,
};

export interface Run {
  dim: number;
  parameterization: "usual" | "mup";
  rate: number;
  seed: number;
  steps: number;
  tokens: number;
  parameters: number;
  /** validation loss, nat per character */
  loss: number;
}

export interface Scaling {
  sizes: Run[];
  basin: Run[];
}

const path = join(import.meta.dirname, "tables", "scaling.json");

/** The table that is kept. */
export function loadScaling(): Scaling {
  return JSON.parse(readFileSync(path, "utf8"));
}

export interface Plan {
  dim: number;
  /** width of the base by which step sizes are scaled; the usual parametrization if it is `dim` */
  base: number;
  rates: number[];
  seeds: number[];
  steps: number;
  /** steps of the rise; too few, and a step size that would be good breaks the model at once */
  warmup: number;
  batch: number;
}

/** Trains a model for each step size and seed, compiled once, and yields its validation loss on 128 fixed pieces of text. */
export async function* runs({ dim, base, rates, seeds, steps, warmup, batch }: Plan): AsyncGenerator<Run> {
  const cfg = configOf(dim);
  const text = loadText("sotu");
  const ids = { train: chars.encode(text.train), validation: chars.encode(text.validation) };
  const width = mup.widths(shapes(cfg), shapes(configOf(base)));
  const options = { linear: mup.head(dim / base / start.logits), attention: mup.attention(16, attend) }; // heads do not widen
  const optim = mup.scaled(adamw({ b2: 0.99, decay: 0.1 }), width);
  const loss = (p: Params, x: tf.Tensor, y: tf.Tensor) => crossEntropy(forward(p, cfg, x, options), y);
  const way = warmupCosine({ peak: 1, warmup, steps, end: 1 / 20 });
  const logits = jit((p: Params, x: tf.Tensor) => forward(p, cfg, x, options));
  type State = AdamWState & { peak: tf.Tensor };
  const step = jit(
    (p: Params, { peak, ...state }: State, x: tf.Tensor, y: tf.Tensor) => {
      const { value, grads } = valueAndGrad(loss)(p, x, y);
      const rate = tf.mul(way(state.t), peak);
      const next = optim.update(clipByGlobalNorm(grads, 1).grads, state as AdamWState, p, rate);
      return { value, params: next.params, state: { ...next.state, peak: tf.clone(peak) } as State };
    },
    { donate: [0, 1] },
  );
  for (const seed of seeds) {
    for (const rate of rates) {
      const drawn = initGPT(cfg, rng(seed).fork("init"));
      const params = mup.init(
        map(drawn, (w, name) => (w.rank === 2 && name.startsWith("h.") ? tf.mul(w, start.inner) : w)),
        width,
      );
      const state = { ...optim.init(params), peak: tf.scalar(rate) } as State;
      const data = batches(ids.train, { batch, ctx: cfg.ctx, rng: rng(seed).fork("batches") });
      const end = await train({ params, state, step, data, steps });
      const { mean } = lmLoss((x) => logits(end.params, x), ids.validation, { ctx: cfg.ctx, sequences: 128 });
      tf.dispose([params, end.params, state, end.state] as any);
      yield {
        dim,
        parameterization: dim === base ? "usual" : "mup",
        rate,
        seed,
        steps,
        tokens: steps * batch * cfg.ctx,
        parameters: countParams(cfg),
        loss: Math.round(mean * 1e4) / 1e4,
      };
    }
  }
}

async function main(): Promise<void> {
  const made: Scaling = existing();
  const keep = (part: keyof Scaling, run: Run) => {
    made[part].push(run);
    mkdirSync(dirname(path), { recursive: true });
    writeAtomic(path, `${JSON.stringify(made, null, 1)}\n`);
    console.log(part, JSON.stringify(run));
  };
  const missing = (part: keyof Scaling, dim: number, kind: string, seed: number) =>
    !made[part].some((run) => run.dim === dim && run.parameterization === kind && run.seed === seed);
  for (const dim of basin.widths) {
    for (const base of dim === basin.base ? [dim] : [dim, basin.base]) {
      const kind = dim === base ? "usual" : "mup";
      const seeds = basin.seeds.filter((seed) => missing("basin", dim, kind, seed));
      if (!seeds.length) continue;
      const found: Run[] = [];
      for await (const run of runs({ dim, base, rates: basin.rates, seeds, ...basin.training })) {
        found.push(run);
        if (run.rate === basin.rates.at(-1)) for (const one of found.splice(0)) keep("basin", one);
      }
    }
  }
  // The step size that is best at the base, carried to the other widths by mup.
  const { base, widths, seeds } = basin;
  const atBase = (rate: number) =>
    made.basin.reduce((sum, run) => (run.dim === widths[0] && run.rate === rate ? sum + run.loss : sum), 0);
  const best = basin.rates.reduce((a, b) => (atBase(b) < atBase(a) ? b : a));
  for (const dim of sizes) {
    if (made.sizes.some((run) => run.dim === dim)) continue;
    const steps = Math.ceil((20 * countParams(configOf(dim))) / (32 * 64));
    const warmup = Math.round(steps / 10);
    for await (const run of runs({ dim, base, rates: [best], seeds: seeds.slice(0, 1), steps, warmup, batch: 32 }))
      keep("sizes", run);
  }
}

function existing(): Scaling {
  try {
    return loadScaling();
  } catch {
    return { sizes: [], basin: [] };
  }
}

if (import.meta.main) await main();
