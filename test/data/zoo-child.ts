// node zoo-child.ts FOLDER [SIGNAL]: makes a tiny model there; with a signal it sends that to itself in the middle.
import { join } from "node:path";
import { type Recipe, zoo } from "../../data/make/recipes.ts";
import { make, Stopped, stopSignal } from "../../data/make/run.ts";

const cfg = { layers: 1, dim: 16, heads: 2, ctx: 16, vocab: 96 };

/** 160 steps of 64 ids. */
export const tiny = {
  ...zoo.nano,
  architecture: "gpt2",
  cfg,
  ctx: 16,
  batch: 4,
  tokensPerParameter: 2,
} satisfies Recipe;

if (import.meta.main) {
  const [to, signal] = process.argv.slice(2);
  let reports = 0;
  const report = (line: string) => {
    console.log(line);
    if (signal && ++reports === 2) process.kill(process.pid, signal);
  };
  try {
    await make("tiny", tiny, { to, resume: join(to, "resume"), signal: stopSignal(), report });
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    console.log(error.message);
    process.exit(143);
  }
}
