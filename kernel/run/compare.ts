// Whether a cell shows what it showed before: numbers within a tolerance, texts without what is different each time, pictures by their size.

import { type Cell, type CodeCell, isCode, type Notebook, tagsOf } from "./notebook.ts";
import { isJsonType } from "./notebook-text.ts";
import type { MimeBundle, Output } from "./outputs.ts";
import { plain } from "./result.ts";
import { differenceOfTexts, differenceOfValues, type Tolerance } from "./tolerance.ts";

/** `metadata.whetstone.compare` of a cell, or of a notebook for all its cells. */
export interface Comparison {
  /** How far a number may be off, as a part of the larger one. */
  rtol?: number;
  /** How far it may be off at least, in its own unit. */
  atol?: number;
  /** MIME types, "stdout" or "stderr", which are not compared. */
  ignore?: string[];
  /** Patterns that are replaced in both texts first, with what stands in their place. */
  replace?: [pattern: string, text: string][];
}

/** Runs on other machines sum in another order; that is no change. */
export const defaultTolerance: Tolerance = { rtol: 1e-3, atol: 1e-9 };

/** Nothing of a cell with one of these tags is compared. The second is nbval's. */
const volatileTags = ["volatile", "nbval-ignore-output"];

/** By cell, what differs in it from `what`, in words. Cells of only one of the notebooks are left out. */
export function compareNotebooks(
  before: Notebook,
  now: Notebook,
  { tolerance = defaultTolerance, what = "the one before" } = {},
): Map<CodeCell, string> {
  const old = new Map(before.cells.map((cell, i) => [cell.id ?? `${i}`, cell]));
  const differences = new Map<CodeCell, string>();
  for (const [i, cell] of now.cells.entries()) {
    const was = old.get(cell.id ?? `${i}`);
    if (!isCode(cell) || was === undefined || !isCode(was) || isVolatile(cell)) continue;
    const settings = { ...tolerance, ...settingsOf(now), ...settingsOf(cell) };
    const difference = compareOutputs(was.outputs, cell.outputs, settings, what);
    if (difference !== undefined) differences.set(cell, difference);
  }
  return differences;
}

const isVolatile = (cell: Cell) => tagsOf(cell).some((tag) => volatileTags.includes(tag) || tag === "skip-execution");

function settingsOf({ metadata }: Cell | Notebook): Comparison {
  const own = metadata.whetstone as { compare?: Comparison } | undefined;
  return own?.compare ?? {};
}

/** The first difference, in words. */
export function compareOutputs(
  before: readonly Output[],
  now: readonly Output[],
  settings: Comparison & Tolerance = defaultTolerance,
  what = "the one before",
): string | undefined {
  const [old, fresh] = [before, now].map((outputs) => joined(outputs, settings));
  if (old!.length !== fresh!.length) return `the output (${namesOf(fresh!)}) differs from ${what} (${namesOf(old!)})`;
  for (const [i, output] of old!.entries()) {
    const difference = compareOutput(output, fresh![i]!, settings);
    if (difference !== undefined) return `output ${i + 1} (${nameOf(fresh![i]!)}) differs from ${what}: ${difference}`;
  }
  return undefined;
}

/** Streams first, each as one text: in which pieces and between which displays they came is chance. */
function joined(outputs: readonly Output[], { ignore = [] }: Comparison): Output[] {
  const streams = (["stdout", "stderr"] as const).flatMap((name): Output[] => {
    const text = outputs.flatMap((output) =>
      output.output_type === "stream" && output.name === name ? output.text : [],
    );
    return text.length === 0 || ignore.includes(name) ? [] : [{ output_type: "stream", name, text: text.join("") }];
  });
  return [...streams, ...outputs.filter(({ output_type }) => output_type !== "stream")];
}

const nameOf = (output: Output) => (output.output_type === "stream" ? output.name : output.output_type);
const namesOf = (outputs: readonly Output[]) => (outputs.length === 0 ? "nothing" : outputs.map(nameOf).join(", "));

function compareOutput(old: Output, now: Output, settings: Comparison & Tolerance): string | undefined {
  if (nameOf(old) !== nameOf(now)) return `${nameOf(old)} → ${nameOf(now)}`;
  const text = (was: string, is: string) => differenceOfTexts(cleaned(was, settings), cleaned(is, settings), settings);
  if (old.output_type === "stream") return text(old.text, (now as typeof old).text);
  if (old.output_type === "error") {
    const { ename, evalue } = now as typeof old;
    return old.ename !== ename ? `${old.ename} → ${ename}` : text(old.evalue, evalue);
  }
  return compareBundles(old.data, (now as typeof old).data, settings, text);
}

function compareBundles(
  old: MimeBundle,
  now: MimeBundle,
  settings: Comparison & Tolerance,
  text: (was: string, is: string) => string | undefined,
): string | undefined {
  const typesOf = (bundle: MimeBundle) =>
    Object.keys(bundle)
      .filter((type) => !settings.ignore?.includes(type))
      .sort();
  const types = typesOf(old);
  if (types.join() !== typesOf(now).join()) return `${types.join(", ")} → ${typesOf(now).join(", ")}`;
  // A time is another one in each run, in each of its forms.
  if (isMeasuredTime(old) && isMeasuredTime(now)) return undefined;
  for (const type of types) {
    const [was, is] = [old[type], now[type]];
    const difference = isJsonType(type)
      ? differenceOfValues(was, is, settings)
      : type === "image/png" && typeof was === "string" && typeof is === "string"
        ? differenceOfTexts(sizeOfPNG(was), sizeOfPNG(is), settings)
        : typeof was === "string" && typeof is === "string"
          ? text(was, is)
          : differenceOfValues(was, is, settings);
    if (difference !== undefined) return `${type}: ${difference}`;
  }
  return undefined;
}

const isMeasuredTime = (bundle: MimeBundle) =>
  (bundle["application/vnd.claim+json"] as { kind?: string } | undefined)?.kind === "speed";

/** Width and height stand at bytes 16 and 20 of the file. */
function sizeOfPNG(base64: string): string {
  const head = Buffer.from(base64.slice(0, 64), "base64");
  return head.length < 24 ? "no PNG" : `${head.readUInt32BE(16)} x ${head.readUInt32BE(20)} pixels`;
}

/** What is different in each run and on each machine: times, durations, addresses, ids, folders, colours of terminals. */
const volatile: [RegExp, string][] = [
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?/g, "TIME"],
  [/\b\d\d:\d\d:\d\d(\.\d+)?\b/g, "TIME"],
  [/(?<![\w.])\d[\d\s,.\u202f]*(e[+-]?\d+)?\s?(ns|µs|us|ms|s|sec|seconds?|minutes?|min|h)\b(?!\/)/g, "DURATION"],
  [/\b0x[0-9a-f]{6,}\b/gi, "ADDRESS"],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, "UUID"],
  [/(?:file:\/\/)?(?:[A-Za-z]:)?(?:[\\/][\w.@+-]+){2,}[\\/]/g, "FOLDER/"],
];

function cleaned(text: string, { replace = [] }: Comparison): string {
  const own = replace.map(([pattern, by]): [RegExp, string] => [new RegExp(pattern, "g"), by]);
  return [...own, ...volatile].reduce((rest, [pattern, by]) => rest.replaceAll(pattern, by), plain(text));
}
