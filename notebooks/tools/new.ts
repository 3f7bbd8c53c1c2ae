// `npm run nb -- new NN-slug`: a notebook with its recipe and its test. They run as they are; what is left to do in them says TODO.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { writeNotebook } from "../../kernel/run/notebook.ts";
import { formatted, formattedText } from "./cells.ts";
import { readMap } from "./guide.ts";
import { fromSource } from "./source.ts";

const clone = join(import.meta.dirname, "../..");

/** The folder of recipes that a notebook's track uses, by the last number of the track. */
const tracks: [last: number, folder: string][] = [
  [4, "model"],
  [8, "train"],
  [10, "tune"],
  [18, "compress"],
  [24, "adapt"],
  [29, "model"],
  [30, "infer"],
  [32, "scale"],
  [33, "ensemble"],
  [34, "scale"],
  [36, "trust"],
];

/** Writes the three files below `root`, and returns what to say of it. `recipe` is their track and name, such as "compress/prune-structure". */
export function newNotebook(name: string, recipe?: string, root = clone): string[] {
  const { number, slug } = numbered(name);
  const twin = readdirSync(join(root, "notebooks")).find((file) => file.startsWith(`${number}-`));
  if (twin !== undefined) throw new Error(`notebook ${number} is there: ${twin}; take another number`);
  const place = recipe ?? `${tracks.find(([last]) => Number(number) <= last)?.[1] ?? "trust"}/${slug}`;
  if (!/^[a-z-]+\/[a-z][a-z0-9-]*$/.test(place))
    throw new Error(`"${place}" is no place of a recipe; wanted track/name, such as compress/prune-structure`);
  const words = basename(place).split("-");
  const camel = words.map((word, i) => (i === 0 ? word : upper(word))).join("");
  const fill = (text: string) =>
    text
      .replaceAll("__name__", camel)
      .replaceAll("__Name__", upper(camel))
      .replaceAll("__Title__", upper(slug.replaceAll("-", " ")))
      .replaceAll("__claim__", slug)
      .replaceAll("__recipe__", place);
  const template = (file: string) => fill(readFileSync(join(import.meta.dirname, "template", `${file}.txt`), "utf8"));
  const files = {
    notebook: `notebooks/${number}-${slug}.ipynb`,
    recipe: `recipes/${place}.ts`,
    test: `test/recipes/${basename(place)}.test.ts`,
  };
  const there = Object.values(files).find((file) => existsSync(join(root, file)));
  if (there !== undefined) throw new Error(`${there} is there already; name another recipe: new ${name} track/name`);
  for (const file of Object.values(files)) mkdirSync(dirname(join(root, file)), { recursive: true });
  const path = join(root, files.notebook);
  writeNotebook(path, fromSource(template("notebook"), "template/notebook.txt"));
  // Where lines break and how imports are sorted depends on the names.
  for (const { notebook } of formatted([path])) writeNotebook(path, notebook);
  writeFileSync(join(root, files.recipe), formattedText(template("recipe")));
  writeFileSync(join(root, files.test), formattedText(template("test")));
  return [
    ...Object.values(files).map((file) => `${file}: written`),
    "They run as they are: an example to put your technique into. What is left to do says TODO; `npm run lint:notebooks` lists it.",
    `Then: npm run notebooks -- --write ${number}-${slug}, npm test -- ${files.test}, npm run claims -- --markdown README.md`,
  ];
}

/** The number may be left out for what is planned. */
function numbered(name: string): { number: string; slug: string } {
  const [, number, slug] = /^(?:(\d\d)-)?([a-z][a-z0-9]*(?:-[a-z0-9]+)*)$/.exec(name) ?? [];
  if (slug === undefined) throw new Error(`"${name}" is no name; wanted NN-slug, such as 12-pruning-structure`);
  const { planned } = readMap();
  const meant = planned.find((each) => each.slice(3) === slug)?.slice(0, 2);
  if (meant !== undefined && number !== undefined && meant !== number)
    throw new Error(`${slug} is planned as ${meant}-${slug}`);
  const other = planned.find((each) => each.startsWith(`${number}-`) && each.slice(3) !== slug);
  if (other !== undefined) throw new Error(`${number} is planned as ${other}; from 37 on numbers are free`);
  if ((number ?? meant) === undefined)
    throw new Error(`"${slug}" is not planned, so it needs a number: 37-${slug}, or higher`);
  return { number: (number ?? meant)!, slug };
}

const upper = (word: string) => word[0]!.toUpperCase() + word.slice(1);
