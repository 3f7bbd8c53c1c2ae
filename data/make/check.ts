// Whether a model of the zoo is what its card says.
import { tf } from "@whetstone/engine";
import { loadZoo, type ZooId } from "../load-zoo.ts";
import { zoo } from "./recipes.ts";
import { familyOf, parametersOf } from "./run.ts";

/** Throws unless the weights are those of the card, have its parameters, and reach its loss. */
export async function check(id: ZooId, options: { from?: string } = {}): Promise<{ validation: number }> {
  const { params, card } = loadZoo(id, options);
  try {
    const recipe = zoo[id];
    const family = await familyOf(recipe);
    if (JSON.stringify(card.cfg) !== JSON.stringify(recipe.cfg) || card.parameters !== parametersOf(recipe, family))
      throw new Error(`${id}: the card is of another model: npm run zoo -- ${id} makes it again.`);
    const { mean } = family.measure(params, { sequences: card.loss.sequences });
    if (!(Math.abs(mean - card.loss.validation) < 1e-2))
      throw new Error(`${id}: the validation loss is ${mean}, the card says ${card.loss.validation}.`);
    return { validation: mean };
  } finally {
    tf.dispose(params);
  }
}
