// `npm run claims [-- --markdown README.md] [--html board.html]`: the claims of all notebooks, as their last saved outputs have them, in one
// table, and which of them have moved since the run that was committed last (`--against REVISION`: another one). `--from reports/executed` takes
// the notebooks of a run that was not written into them.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { committed, movedLines, movedSince } from "./claims-moved.ts";
import { claimsPage } from "./claims-page.ts";
import { type Cell, isCode, type Notebook, readNotebook, tagsOf, writeWhole } from "./notebook.ts";

/** A claim that a notebook has stored among its outputs. What it means is the notebooks' own business; here it is only listed. */
export interface StoredClaim {
  id: string;
  value: number;
  op: string;
  target: number | [low: number, high: number];
  pass: boolean;
  title?: string;
  unit?: string;
  ci?: [low: number, high: number];
  mode?: string;
  device?: string;
  kind?: string;
}

export interface ClaimRow {
  /** The path of the notebook. */
  path: string;
  claim: StoredClaim;
}

const root = join(import.meta.dirname, "../..");
const type = "application/vnd.claim+json";

/** The claims of the notebooks in a folder, in the order of their names and cells. Throws for a claim that is incomplete, or has an id twice. */
export function claimsIn(folder: string): ClaimRow[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".ipynb"));
  return withoutDoubles(names.sort().flatMap((name) => claimsOf(join(folder, name), readNotebook(join(folder, name)))));
}

/** The same rows; throws when two notebooks give one id. */
function withoutDoubles(rows: ClaimRow[]): ClaimRow[] {
  const places = new Map<string, string>();
  for (const { path, claim } of rows) {
    const before = places.get(claim.id);
    if (before !== undefined)
      throw new Error(`the claim ${claim.id} stands in ${before} and in ${path}; give one another id`);
    places.set(claim.id, path);
  }
  return rows;
}

/** The claims that a notebook has stored; `path` says where it stands. */
export function claimsOf(path: string, notebook: Notebook): ClaimRow[] {
  return notebook.cells.flatMap((cell, i) => {
    // One that is shown failing on purpose claims nothing.
    if (!isCode(cell) || tagsOf(cell).includes("raises-exception")) return [];
    return cell.outputs.flatMap((output) => {
      const stored = "data" in output ? output.data[type] : undefined;
      return stored === undefined ? [] : { path, claim: checked(stored, path, cell, i + 1) };
    });
  });
}

function checked(stored: unknown, path: string, { id }: Cell, position: number): StoredClaim {
  const claim = stored as StoredClaim;
  const isNumber = (value: unknown) => typeof value === "number";
  const isProper = {
    id: typeof claim?.id === "string",
    // JSON has no NaN: a value that is none is null.
    value: isNumber(claim?.value) || claim?.value === null,
    op: typeof claim?.op === "string",
    target: [claim?.target].flat().every(isNumber),
    pass: typeof claim?.pass === "boolean",
  };
  const wrong = Object.entries(isProper).find(([, isRight]) => !isRight)?.[0];
  if (wrong === undefined) return claim;
  throw new Error(`${path}, cell ${position} (${id}): a stored claim has no proper "${wrong}"; run the notebook again`);
}

/** The claims as a Markdown table; links are relative to the folder `from`. */
export function claimsTable(rows: readonly ClaimRow[], from: string): string {
  if (rows.length === 0) return "No notebook has been run yet.";
  // Most claims hold on any device and name none.
  const hasDevice = rows.some(({ claim }) => claim.device !== undefined);
  const lines = rows.map(({ path, claim }) => {
    const link = relative(from, path).replaceAll("\\", "/");
    const notebook = `[${/\d+/.exec(link.split("/").at(-1)!)?.[0] ?? link}](${link})`;
    const name = claim.title === undefined ? `\`${claim.id}\`` : `${text(claim.title)} (\`${claim.id}\`)`;
    const { mode = "", device = "" } = claim;
    const cells = [notebook, name, text(measured(claim)), text(targetOf(claim)), verdictOf(claim), text(mode)];
    if (hasDevice) cells.push(text(device));
    return `| ${cells.join(" | ")} |`;
  });
  return [
    `| notebook | claim | value | target | verdict | mode |${hasDevice ? " device |" : ""}`,
    `|---|---|---:|---|---|---|${hasDevice ? "---|" : ""}`,
    ...lines,
    "",
    summary(rows),
  ].join("\n");
}

/** How many hold. */
export function summary(rows: readonly ClaimRow[]): string {
  const count = (kept: ClaimRow[]) => `${kept.filter(({ claim }) => claim.pass).length} of ${kept.length}`;
  const [bars, effects] = [rows.filter((row) => !isObserved(row)), rows.filter(isObserved)];
  return `${count(bars)} claims hold; ${count(effects)} effects that the literature reports show at this size.`;
}

const isObserved = ({ claim }: ClaimRow) => claim.kind === "observed";

/** The value with its unit and interval. */
export function measured({ value, unit, ci }: StoredClaim): string {
  const interval = ci === undefined ? "" : ` (${readable(ci[0])} to ${readable(ci[1])})`;
  return `${readable(value)}${unit === undefined ? "" : ` ${unit}`}${interval}`;
}

export function targetOf({ op, target }: StoredClaim): string {
  return `${op} ${typeof target === "number" ? readable(target) : target.map(readable).join(" to ")}`;
}

export function verdictOf({ pass, kind }: StoredClaim): string {
  if (pass) return "✔ holds";
  return kind === "observed" ? "○ does not hold here" : "✘ does not hold";
}

/** Whole numbers whole, others with four digits. */
function readable(value: number | null): string {
  if (value === null) return "no number";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size < 1e-4 || size >= 1e15 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** As it stands in a cell of a table. */
const text = (words: string) => words.replaceAll(/\s+/g, " ").replaceAll("|", "\\|").replaceAll("<", "&lt;");

/** The document with the table between its two marks. Throws when it has not both. */
export function withTable(document: string, table: string, name = "claims"): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from)
    throw new Error(`the table goes between the lines ${begin} and ${end}; they are not there`);
  return `${document.slice(0, from + begin.length)}\n${table}\n${document.slice(to)}`;
}

function main() {
  const { values } = parseArgs({
    options: {
      markdown: { type: "string" },
      html: { type: "string" },
      from: { type: "string", default: join(root, "notebooks") },
      against: { type: "string", default: "HEAD" },
    },
  });
  const rows = claimsIn(resolve(values.from));
  const before = committed(root, "notebooks", values.against);
  const moved = before === undefined ? [] : movedSince(before, rows);
  if (values.markdown === undefined && values.html === undefined) console.log(claimsTable(rows, root));
  if (values.markdown !== undefined) {
    const file = resolve(values.markdown);
    const old = readFileSync(file, "utf8");
    const fresh = withTable(old, claimsTable(rows, dirname(file)));
    if (fresh !== old) writeWhole(file, fresh);
    console.log(`${values.markdown}: ${rows.length} claims, ${fresh === old ? "as they were" : "written"}`);
  }
  if (values.html !== undefined) {
    const file = resolve(values.html);
    writeWhole(file, claimsPage(rows, moved, dirname(file), values.against));
    console.log(`${values.html}: ${rows.length} claims, written`);
  }
  for (const line of movedLines(moved, before === undefined ? undefined : values.against)) console.log(line);
  if (rows.some((row) => !row.claim.pass && !isObserved(row))) process.exitCode = 1;
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 2;
  }
}
