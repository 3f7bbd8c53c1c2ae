// What is wrong with the code of notebooks' cells, found without running them: types as the kernel checks them, and Biome's rules and form.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { type Cells, createCells } from "../../kernel/compile/cells.ts";
import { type CodeCell, isCode, type Notebook, readNotebook, tagsOf } from "../../kernel/run/notebook.ts";
import { fromSource, placed } from "./source.ts";

export interface Finding {
  path: string;
  /** The id of the cell, and its number in the notebook, from 1. */
  cell: string;
  position: number;
  /** In the cell, from 1. */
  line: number;
  column: number;
  message: string;
  /** The line with carets below it, where the compiler gives one. */
  excerpt?: string;
}

const root = join(import.meta.dirname, "../..");
const checkers = new Map<string, Cells>();
/** What was found in notebooks that were checked before, by folder and code. */
const known = new Map<string, Finding[]>();

/** The notebook with the folded solutions of its exercises as cells behind the others: `solution-1` and so on. */
export function withSolutions(notebook: Notebook): Notebook {
  const text = notebook.cells.find((cell) => !isCode(cell) && /^## Exercises$/m.test(cell.source))?.source ?? "";
  const solutions = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, source], i): CodeCell => {
    return {
      cell_type: "code",
      id: `solution-${i + 1}`,
      metadata: {},
      source: source!,
      outputs: [],
      execution_count: null,
    };
  });
  return { ...notebook, cells: [...notebook.cells, ...solutions] };
}

/** Type errors and warnings of a notebook's cells. A cell with the tag `expect:TS2345` must have that error. */
export function checkTypes(path: string, notebook: Notebook = readNotebook(path)): Finding[] {
  const folder = dirname(resolve(path));
  const key = JSON.stringify([
    resolve(path),
    notebook.cells.map(({ id, source, metadata }) => [id, source, metadata.tags]),
  ]);
  const found = known.get(key) ?? typeErrors(path, folder, notebook);
  known.set(key, found);
  return found;
}

function typeErrors(path: string, folder: string, notebook: Notebook): Finding[] {
  // One for all notebooks of a folder: what they import is parsed once.
  const cells = checkers.get(folder) ?? createCells(folder);
  checkers.set(folder, cells);
  cells.reset();
  return notebook.cells.flatMap((cell, i): Finding[] => {
    if (!isCode(cell) || cell.source.trim() === "") return [];
    const place = { path, cell: cell.id ?? String(i + 1), position: i + 1 };
    const { diagnostics } = cells.check(`In[${i + 1}]`, cell.source);
    const expected = tagsOf(cell).flatMap((tag) => /^expect:(TS\d+)$/.exec(tag)?.[1] ?? []);
    const missing = expected.filter((code) => !diagnostics.some((each) => `TS${each.code}` === code));
    return [
      ...missing.map((code) => ({
        ...place,
        line: 1,
        column: 1,
        message: `${code} is expected here and does not come`,
      })),
      ...diagnostics
        .filter(({ code }) => !expected.includes(`TS${code}`))
        .map(({ code, message, line, column, excerpt, file }) => {
          const where = file === undefined ? "" : ` (in ${file})`;
          return { ...place, line, column, message: `TS${code}: ${message}${where}`, excerpt };
        }),
    ];
  });
}

/** What Biome finds in the cells, by the rules of the project. */
export function checkStyle(paths: readonly string[]): Finding[] {
  return inFolder(paths, (folder, sources) => {
    const { diagnostics } = JSON.parse(biome(["check", "--reporter=json", "--max-diagnostics=none"], folder));
    const found = (diagnostics as BiomeDiagnostic[]).flatMap(({ message, category, location }): Finding[] => {
      const source = sources.find(({ file }) => file === basename(location.path));
      // It names no line of what it would print differently; that comes below.
      if (source === undefined || category === "format") return [];
      const place = source.places.findLast(({ start }) => start <= location.start.line) ?? source.places[0]!;
      const line = Math.max(1, location.start.line - place.start + 1);
      const cell = place.cell.id ?? String(place.position);
      const [path, position] = [source.path, place.position];
      return [{ path, cell, position, line, column: location.start.column, message: `${category}: ${message}` }];
    });
    biome(["format", "--write"], folder);
    return [...found, ...sources.flatMap((source) => differences(source, join(folder, source.file)))];
  });
}

/** Cells that Biome prints otherwise than they stand. */
function differences({ path, places }: Written, file: string): Finding[] {
  const printed = fromSource(readFileSync(file, "utf8"), file);
  return places.flatMap(({ cell, position }, i): Finding[] => {
    const [is, should] = [cell.source.split("\n"), printed.cells[i]!.source.split("\n")];
    if (!isCode(cell) || cell.source.trimEnd() === printed.cells[i]!.source.trimEnd()) return [];
    const line = is.findIndex((text, n) => text !== should[n]) + 1;
    const message = `format: the line should be "${should[line - 1] ?? ""}" (npm run nb -- format)`;
    return [{ path, cell: cell.id ?? String(position), position, line, column: 1, message }];
  });
}

/** The notebooks with their code as Biome writes it, safe fixes among it. Outputs stay: nothing is computed otherwise. */
export function formatted(paths: readonly string[]): { path: string; notebook: Notebook; cells: string[] }[] {
  return inFolder(paths, (folder, sources) => {
    biome(["check", "--write"], folder);
    return sources.map(({ path, file }) => {
      const notebook = readNotebook(path);
      const printed = fromSource(readFileSync(join(folder, file), "utf8"), file);
      const changed: string[] = [];
      for (const [i, cell] of notebook.cells.entries()) {
        const source = printed.cells[i]!.source.trimEnd();
        if (!isCode(cell) || cell.source.trimEnd() === source) continue;
        cell.source = source;
        changed.push(cell.id ?? String(i + 1));
      }
      return { path, notebook, cells: changed };
    });
  });
}

interface Written extends ReturnType<typeof placed> {
  path: string;
  file: string;
}

interface BiomeDiagnostic {
  message: string;
  category: string;
  location: { path: string; start: { line: number; column: number } };
}

/** TypeScript as Biome writes it, safe fixes among it. */
export function formattedText(text: string): string {
  return inFolder([], (folder) => {
    const file = join(folder, "text.ts");
    writeFileSync(file, text);
    biome(["check", "--write"], folder);
    return readFileSync(file, "utf8");
  });
}

/** Runs `work` on the sources of notebooks in a folder of their own, with the project's rules. */
function inFolder<T>(paths: readonly string[], work: (folder: string, sources: Written[]) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "whetstone-cells-"));
  try {
    const { linter, formatter, javascript } = JSON.parse(readFileSync(join(root, "biome.json"), "utf8"));
    const files = { includes: ["**/*.ts"] };
    writeFileSync(join(folder, "biome.json"), JSON.stringify({ root: true, files, linter, formatter, javascript }));
    const sources = paths.map((path, i) => {
      const source = { ...placed(readNotebook(path)), path, file: `${i}-${basename(path, ".ipynb")}.ts` };
      writeFileSync(join(folder, source.file), source.text);
      return source;
    });
    return work(folder, sources);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function biome(args: string[], folder: string): string {
  const program = createRequire(import.meta.url).resolve("@biomejs/biome/bin/biome");
  const { stdout, stderr, status } = spawnSync(process.execPath, [program, ...args, "."], {
    cwd: folder,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  // 1: it has found something.
  if (status === 0 || status === 1) return stdout;
  throw new Error(`biome ${args.join(" ")} ended with ${status}: ${stderr.trim().slice(-500)}`);
}
