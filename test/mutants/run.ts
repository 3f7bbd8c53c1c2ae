// `npm run mutants -- [recipes]`: breaks recipes by seeded changes of their syntax trees, and says how many of these their tests notice.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CannotCopy, find, recipes } from "../../setup/copy.mjs";
import { judge, type Verdict } from "./judge.ts";
import { diff } from "./mutate.ts";
import { root } from "./tree.ts";

const usage = `npm run mutants -- [recipes] [options]

recipes         names such as prune-weights or core/ops; all of them when there is none
--count N       mutants of each recipe (12)
--seed N        which ones are drawn (1)
--workers N     so many at a time (2)
--no-notebooks  tests only; otherwise the notebooks of a recipe are asked where its tests notice nothing`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    allowNegative: true,
    options: {
      count: { type: "string", default: "12" },
      seed: { type: "string", default: "1" },
      workers: { type: "string", default: "2" },
      notebooks: { type: "boolean", default: true },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  const number = (name: "count" | "seed" | "workers", least: number) => {
    const value = Number(values[name]);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new CannotCopy(`--${name} ${values[name]}: a whole number from ${least} on is wanted`, 2);
  };
  const names = positionals.length > 0 ? positionals.map(find) : recipes();
  const options = {
    count: number("count", 1),
    seed: number("seed", 0),
    workers: number("workers", 1),
    notebooks: values.notebooks,
  };
  const all: Verdict[] = [];
  const unsure = (test: string, output: string) => {
    console.error(`${test} fails without any mistake, so it can tell nothing:\n${output}`);
    process.exitCode = 1;
  };
  for await (const verdict of judge(names, { ...options, unsure })) {
    all.push(verdict);
    tell(verdict);
  }
  console.log();
  const width = Math.max(...names.map((name) => name.length));
  for (const name of names) console.log(`${name.padEnd(width)}  ${share(all.filter(({ recipe }) => recipe === name))}`);
  console.log(`${"all".padEnd(width)}  ${share(all)}`);
  mkdirSync(join(root, "reports"), { recursive: true });
  writeFileSync(join(root, "reports/mutants.json"), `${JSON.stringify({ ...options, verdicts: all }, null, 1)}\n`);
}

function tell({ recipe, mutant, by, late }: Verdict): void {
  const where = `recipes/${recipe}.ts:${mutant.line}`;
  if (by) {
    console.log(`✓ ${where} ${mutant.kind}: ${by}${late ? " did not end" : ""}`);
    return;
  }
  const source = readFileSync(join(root, "recipes", `${recipe}.ts`), "utf8");
  console.log(`✗ ${where} ${mutant.kind}: nobody notices\n${diff(source, mutant)}`);
}

function share(verdicts: Verdict[]): string {
  const noticed = verdicts.filter(({ by }) => by !== undefined);
  const late = noticed.filter(({ late }) => late).length;
  const percent = verdicts.length > 0 ? ` (${(noticed.length / verdicts.length).toFixed(2)})` : "";
  return `${noticed.length} of ${verdicts.length} noticed${percent}${late > 0 ? `, ${late} by not ending` : ""}`;
}

try {
  await main();
} catch (error) {
  const isUsage = (error as { code?: unknown }).code?.toString().startsWith("ERR_PARSE_ARGS");
  if (!isUsage && !(error instanceof CannotCopy)) throw error;
  console.error((error as Error).message);
  process.exit(2);
}
