// npm run zoo -- [ids] [--check | --sweep]: trains the models of data/zoo again; a run that was cut off goes on where it was.
//   --check   measures the loss of each again and compares it with its card
//   --sweep   step sizes side by side on a short run of each: how `lr` in data/make/recipes.ts was chosen
// SIGTERM and Ctrl-C write a checkpoint, then end it.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { tf } from "@whetstone/engine";
import { rng } from "../recipes/core/rng.ts";
import { train } from "../recipes/core/train.ts";
import { folder, readCard, type ZooId } from "./load-zoo.ts";
import { check } from "./make/check.ts";
import { type Recipe, zoo } from "./make/recipes.ts";
import { familyOf, fresh, make, parametersOf, Stopped, stopSignal, training } from "./make/run.ts";

/** Validation loss of a short run at each step size: 400 steps, on the schedule that ends there. */
async function sweep(id: ZooId, report: (line: string) => void): Promise<void> {
  for (const factor of [0.5, 1, 2]) {
    const recipe: Recipe = { ...zoo[id], lr: zoo[id].lr * factor };
    const family = await familyOf(recipe);
    recipe.tokensPerParameter = (400 * family.tokensPerStep) / parametersOf(recipe, family);
    const { step, steps } = training(recipe, family);
    const { params, state } = fresh(recipe, family);
    const data = family.batches(rng(recipe.seed).fork("batches"), 0);
    const done = await train({ params, state, step, data, steps });
    const { mean } = family.measure(done.params, { sequences: 256 });
    report(`lr ${recipe.lr}: validation loss ${mean.toFixed(4)} after ${steps} steps`);
    tf.dispose([params, state as any, done.params, done.state as any]);
  }
}

/** Whether the files are there and of this recipe. */
function upToDate(id: ZooId): boolean {
  if (!existsSync(join(folder, `${id}.card.json`))) return false;
  const { cfg, training, sha256 } = readCard(id);
  const recipe = zoo[id];
  const same = JSON.stringify([cfg, training.seed, training.batch, training.tokensPerParameter]);
  if (same !== JSON.stringify([recipe.cfg, recipe.seed, recipe.batch, recipe.tokensPerParameter])) return false;
  const weights = readFileSync(join(folder, `${id}.safetensors`));
  return createHash("sha256").update(weights).digest("hex") === sha256;
}

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
  const signal = stopSignal();
  for (const id of (positionals.length ? positionals : Object.keys(zoo)) as ZooId[]) {
    const report = (text: string) => console.log(`${id}: ${text}`);
    try {
      if (values.sweep) await sweep(id, report);
      else if (values.check) report(`as its card says, validation loss ${(await check(id)).validation.toFixed(4)}`);
      else if (upToDate(id)) report("is there already; delete its card to make it again");
      else await make(id, zoo[id], { report, signal });
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
      console.log(error.message);
      process.exit(143);
    }
  }
}
