// `npm run guide`: which sentences of the guide are measured, which wait for their notebook, and which nobody can test. The map is
// data/guide-map.json: every sentence of the guide's sections, in order, with one of
//
//   "claims": claims that must hold if it is true; "against": claims that speak against it when they hold
//   "open": notebooks that will test it, or the rest of it
//   "none": why nothing can test it, as a key of "reasons"
//   "says": it asserts nothing: a definition, advice, or an outline of what follows
//
// A section's hash is that of its text, so no sentence gets lost.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { claimsIn, type StoredClaim, withTable } from "../../kernel/run/claims.ts";
import { writeWhole } from "../../kernel/run/notebook.ts";

export interface Sentence {
  text: string;
  claims?: string[];
  against?: string[];
  open?: string[];
  none?: string;
  says?: "definition" | "advice" | "outline";
}

export interface Section {
  title: string;
  sha256: string;
  parts: { title: string; sentences: Sentence[] }[];
}

export interface GuideMap {
  guide: string;
  reasons: Record<string, string>;
  /** The notebooks that there will be: `NN-slug`. */
  planned: string[];
  sections: Section[];
}

const root = join(import.meta.dirname, "../..");
const mapPath = join(root, "data/guide-map.json");
const notebooks = join(root, "notebooks");

export const readMap = (path = mapPath): GuideMap => JSON.parse(readFileSync(path, "utf8"));

/** All headings of the guide: its questions, and what stands below them. */
export function headingsOfGuide(): Set<string> {
  return new Set(readMap().sections.flatMap(({ title, parts }) => [title, ...parts.map((part) => part.title)]));
}

/** The hash of a section's text: its headings and paragraphs, a line each. */
export function hashOf({ title, parts }: Pick<Section, "title" | "parts">): string {
  const paragraphs = parts.flatMap((part) => [part.title, part.sentences.map(({ text }) => text).join(" ")]);
  return createHash("sha256")
    .update([title, ...paragraphs].join("\n"))
    .digest("hex");
}

/** What is wrong with the map: sentences that are missing or changed, claims and notebooks that there are not. */
export function problemsOf(map: GuideMap, claims: ReadonlySet<string>): string[] {
  return map.sections.flatMap((section) => {
    const sentences = section.parts.flatMap((part) => part.sentences);
    const isWhole = hashOf(section) === section.sha256;
    return [
      ...(isWhole ? [] : [`"${section.title}": a sentence is missing, added or changed; its text has another hash`]),
      ...sentences.flatMap((sentence) => wrongIn(sentence, map, claims).map((what) => `"${sentence.text}": ${what}`)),
    ];
  });
}

function wrongIn(sentence: Sentence, { planned, reasons }: GuideMap, there: ReadonlySet<string>): string[] {
  const { claims, against, open, none, says } = sentence;
  const kinds = [claims ?? against ?? open, none, says].filter((kind) => kind !== undefined).length;
  const unlisted = none !== undefined && !Object.hasOwn(reasons, none);
  const isSaying = says === undefined || ["definition", "advice", "outline"].includes(says);
  return [
    ...(kinds === 1 ? [] : [`it needs one of "claims" (or "against", "open"), "none", "says"; it has ${kinds}`]),
    ...[claims, against, open].filter((list) => list?.length === 0).map(() => "a list is empty"),
    ...claimsOf(sentence)
      .filter((id) => !there.has(id))
      .map((id) => `no notebook has the claim ${id} any more`),
    ...(open ?? []).filter((name) => !planned.includes(name)).map((name) => `no notebook ${name} is planned`),
    ...(unlisted ? [`there is no reason "${none}"; there are ${Object.keys(reasons).join(", ")}`] : []),
    ...(isSaying ? [] : [`"says" is "${says}", not definition, advice or outline`]),
  ];
}

const claimsOf = ({ claims = [], against = [] }: Sentence) => [...claims, ...against];

export interface Coverage {
  sentences: number;
  /** Those that say something that could be false. */
  asserting: number;
  tested: number;
  /** Of those tested: all that was measured agrees with them. */
  holding: number;
  /** Not tested, and a notebook is planned for it. */
  open: number;
  /** Nobody can test it. */
  none: number;
}

/** What has become of some sentences. */
export function coverageOf(sentences: readonly Sentence[], claims: ReadonlyMap<string, StoredClaim>): Coverage {
  const count = (is: (sentence: Sentence) => unknown) => sentences.filter(is).length;
  return {
    sentences: sentences.length,
    asserting: count(({ says }) => says === undefined),
    tested: count(isTested),
    holding: count((sentence) => isTested(sentence) && holds(sentence, claims)),
    open: count((sentence) => sentence.open && !isTested(sentence)),
    none: count(({ none }) => none),
  };
}

const isTested = (sentence: Sentence) => claimsOf(sentence).length > 0;

const holds = ({ claims = [], against = [] }: Sentence, there: ReadonlyMap<string, StoredClaim>) =>
  claims.every((id) => there.get(id)?.pass) && !against.some((id) => there.get(id)?.pass);

const sentencesOf = ({ parts }: Section) => parts.flatMap((part) => part.sentences);

/** The coverage by section and in all, as Markdown. */
export function guideTable({ sections }: GuideMap, claims: ReadonlyMap<string, StoredClaim>): string {
  const row = (name: string, { sentences, asserting, tested, holding, open, none }: Coverage) =>
    `| ${[name, sentences, asserting, tested, holding, open, none].join(" | ")} |`;
  const all = coverageOf(sections.flatMap(sentencesOf), claims);
  const share = ((100 * all.tested) / (all.asserting - all.none)).toFixed(0);
  return [
    "| section of the guide | sentences | assert something | tested | of these hold as written | open | nobody can test |",
    "|---|---:|---:|---:|---:|---:|---:|",
    ...sections.map((section, i) => row(`${i + 1}. ${section.title}`, coverageOf(sentencesOf(section), claims))),
    row("**all**", all),
    "",
    `${all.tested} of ${all.asserting - all.none} sentences that can be tested are (${share} %); ${all.holding} of them hold as they are written.`,
  ].join("\n");
}

/** Each sentence of some sections with what has become of it. */
function listed(sections: readonly Section[], map: GuideMap, claims: ReadonlyMap<string, StoredClaim>): string[] {
  const verdict = (id: string) => `${id} ${claims.get(id)?.pass ? "✔" : "○"}`;
  return sections.flatMap(({ title, parts }) => [
    `# ${title}`,
    ...parts.flatMap((part) => [
      ...(part.title === title ? [] : [`## ${part.title}`]),
      ...part.sentences.flatMap(({ text, claims: ids, against, open, none, says }) => [
        `- ${text}`,
        ...(ids ? [`    tested: ${ids.map(verdict).join(", ")}`] : []),
        ...(against ? [`    against it: ${against.map(verdict).join(", ")}`] : []),
        ...(open ? [`    open: ${open.join(", ")}`] : []),
        ...(none ? [`    cannot be tested: ${map.reasons[none]}`] : []),
        ...(says ? [`    asserts nothing: ${says}`] : []),
      ]),
    ]),
  ]);
}

/** How many sentences wait for each notebook; those that are already there owe them. */
function waiting({ sections, planned }: GuideMap, there: readonly string[]): string[] {
  const open = sections.flatMap(sentencesOf).filter((sentence) => sentence.open && !isTested(sentence));
  return planned.flatMap((name) => {
    const count = open.filter((sentence) => sentence.open!.includes(name)).length;
    if (count === 0) return [];
    return [
      `${name}: ${count} sentences wait${there.includes(`${name}.ipynb`) ? ", and it is here: name its claims" : ""}`,
    ];
  });
}

/** The sections of the guide's text: headings stand alone on a line, a question begins a section, the rest are paragraphs. */
export function sectionsOf(text: string): Pick<Section, "title" | "parts">[] {
  const sections: Pick<Section, "title" | "parts">[] = [];
  const lines = text.split("\n").map((line) => line.trim());
  for (const line of lines.filter((each) => each !== "")) {
    if (line === "Mini FAQ") break; // it says again what was said
    const parts = sections.at(-1)?.parts ?? [];
    if (/[.!]$/.test(line))
      parts.at(-1)?.sentences.push(...line.split(/(?<=[.!?]) (?=[A-Z])/).map((each) => ({ text: each })));
    else if (line.endsWith("?")) sections.push({ title: line, parts: [{ title: line, sentences: [] }] });
    else parts.push({ title: line, sentences: [] });
  }
  return sections;
}

/** Where the map and a text of the guide differ. */
export function differencesFrom(text: string, { sections }: GuideMap): string[] {
  const theirs = sectionsOf(text);
  const titles = new Set(theirs.map(({ title }) => title));
  return [
    ...sections.filter(({ title }) => !titles.has(title)).map(({ title }) => `the guide has no section "${title}"`),
    ...theirs.flatMap((section) => {
      const ours = sections.find(({ title }) => title === section.title);
      if (ours === undefined) return [`the map has no section "${section.title}"`];
      return ours.sha256 === hashOf(section) ? [] : [`"${section.title}" is another text in the guide`];
    }),
  ];
}

function main() {
  const { values } = parseArgs({
    options: {
      all: { type: "boolean", default: false },
      section: { type: "string" },
      markdown: { type: "string" },
      source: { type: "string" },
    },
  });
  const map = readMap();
  const claims = new Map(claimsIn(notebooks).map(({ claim }) => [claim.id, claim]));
  const table = guideTable(map, claims);
  const one = values.section === undefined ? undefined : map.sections[Number(values.section) - 1];
  if (values.section !== undefined && one === undefined)
    throw new Error(`--section ${values.section}: there are 1 to ${map.sections.length}`);
  if (values.all || one) console.log(listed(one ? [one] : map.sections, map, claims).join("\n"));
  else if (values.markdown === undefined) console.log([table, "", ...waiting(map, readdirSync(notebooks))].join("\n"));
  else {
    const file = resolve(values.markdown);
    writeWhole(file, withTable(readFileSync(file, "utf8"), table, "guide"));
    console.log(`${values.markdown}: written`);
  }
  if (values.source !== undefined && !existsSync(values.source)) throw new Error(`there is no file ${values.source}`);
  const told = values.source === undefined ? [] : differencesFrom(readFileSync(values.source, "utf8"), map);
  const problems = [...problemsOf(map, new Set(claims.keys())), ...told];
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 2;
  }
}
