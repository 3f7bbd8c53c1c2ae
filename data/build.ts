// `npm run data`: reads every source again and compares with data/splits.json; `-- --write` writes that file.
// A hash that differs is an error: what was trained or measured on the old text would no longer be comparable.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "./corpus.ts";
import { describeMails } from "./mails.ts";
import { describeNames } from "./names.ts";
import { describeWordnet } from "./wordnet.ts";

const file = join(import.meta.dirname, "splits.json");
const found: Record<string, unknown> = {
  sotu: describe("sotu"),
  "moby-dick": describe("moby-dick"),
  mails: await describeMails(),
  names: describeNames(),
  wordnet: describeWordnet(),
};
if (process.argv.includes("--write")) {
  writeFileSync(file, `${JSON.stringify(found, null, 2)}\n`);
  console.log(`wrote ${Object.keys(found).length} sources to data/splits.json`);
} else {
  const known = JSON.parse(readFileSync(file, "utf8"));
  const names = new Set([...Object.keys(found), ...Object.keys(known)]);
  for (const name of names) {
    const same = JSON.stringify(found[name]) === JSON.stringify(known[name]);
    console.log(`${same ? "same   " : "DIFFERS"} ${name} ${JSON.stringify(found[name])}`);
    if (!same) process.exitCode = 1;
  }
}
