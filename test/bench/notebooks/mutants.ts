// The share of seeded mistakes in the recipes that their own tests notice, six of each recipe; `npm run mutants` shows the others.
import { recipes } from "../../../setup/copy.mjs";
import { judge, type Verdict } from "../../mutants/judge.ts";
import type { Row } from "../run.ts";

export async function* rows(): AsyncGenerator<Row> {
  const verdicts: Verdict[] = [];
  const unsure = (test: string, output: string) => {
    throw new Error(`${test} fails without any mistake:\n${output}`);
  };
  for await (const verdict of judge(recipes(), { seed: 1, count: 6, notebooks: false, workers: 2, unsure }))
    verdicts.push(verdict);
  const noticed = verdicts.filter(({ by }) => by !== undefined);
  const late = noticed.filter(({ late }) => late).length;
  yield {
    id: "mutants",
    value: noticed.length / verdicts.length,
    unit: "share",
    note: `${noticed.length} of ${verdicts.length} in ${recipes().length} recipes, ${late} by not ending; tests only`,
  };
}
