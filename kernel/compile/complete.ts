// Completions: what may stand at the cursor, with types.
import ts from "typescript";
import { bindCell, parseCell, specifiersOf } from "./cell-file.ts";
import type { Cells } from "./cells.ts";
import { internals } from "./internals.ts";
import { MagicError, magicHelp } from "./magics.ts";

export interface Completion {
  text: string;
  /** `function`, `method`, `class`, `property`, `module`, `keyword`... as TypeScript names them. */
  type: string;
  signature?: string;
  /** What it replaces, in UTF-16 units of the code. */
  start: number;
  end: number;
}

export interface Completions {
  matches: string[];
  start: number;
  end: number;
  items: Completion[];
}

/** More are of no use to a reader; typing on narrows them. */
const maxMatches = 500;
/** Types are written out for so many at most: each costs. */
const maxSignatures = 200;
const maxSignatureLength = 200;

/** What may stand at an offset, as what is typed already goes on. */
export function complete(cells: Cells, code: string, offset: number): Completions {
  try {
    return completeCode(cells, code, offset);
  } catch (error) {
    if (!(error instanceof MagicError)) throw error;
    return completeMagic(code, offset);
  }
}

/** What begins like a magic line's name that is not whole. */
function completeMagic(code: string, offset: number): Completions {
  const typed = /%\w*$/.exec(code.slice(0, offset))?.[0] ?? "%?";
  const start = offset - typed.length;
  const items = Object.entries(magicHelp)
    .filter(([name]) => name.startsWith(typed))
    .map(([text, signature]) => ({ text, type: "magic", signature, start, end: offset }));
  return { matches: items.map(({ text }) => text), start, end: offset, items };
}

function completeCode(cells: Cells, code: string, offset: number): Completions {
  const { project, scope } = cells;
  const { file, shift } = parseCell("complete", code, project);
  // Names of modules that are half typed must not build the program again and again, but whole ones may.
  if (file.parseDiagnostics.length === 0)
    project.update({ specifiers: specifiersOf(file, project.options.compiler), augmentations: [] });
  bindCell(file, scope.around, project);
  const position = offset + shift;
  const preferences = { includeCompletionsWithInsertText: false, includeCompletionsForImportStatements: false };
  const host = { ...project.host, getCompilationSettings: () => project.options.compiler };
  const { program } = project;
  const quiet = () => {};
  const { getCompletionsAtPosition } = internals.Completions;
  const found = getCompletionsAtPosition(
    host,
    program,
    quiet,
    file,
    position,
    preferences,
    undefined,
    undefined,
    undefined,
    undefined,
    true,
  );
  const entries = (found?.entries ?? []) as (ts.CompletionEntry & { symbol?: ts.Symbol })[];
  const [own] = entries;
  const start = own?.replacementSpan !== undefined ? own.replacementSpan.start - shift : startOfWord(code, offset);
  const typed = code.slice(start, offset);
  const fitting = entries
    .filter(({ name }) => name.startsWith(typed) && name !== "__import")
    .toSorted((a, b) => compare(a.sortText, b.sortText) || compare(a.name, b.name))
    .slice(0, maxMatches);
  const withTypes = fitting.length <= maxSignatures;
  const items = fitting.map(({ name, kind, symbol }): Completion => {
    const signature = withTypes && symbol !== undefined ? signatureOf(symbol, file, project.checker) : undefined;
    return { text: name, type: kind, signature, start, end: offset };
  });
  return { matches: items.map(({ text }) => text), start, end: offset, items };
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** Where the name, or the part of a module's path, that ends at the offset begins. */
function startOfWord(code: string, offset: number): number {
  return offset - /[\p{ID_Continue}$\u200c\u200d]*$/u.exec(code.slice(0, offset))![0].length;
}

/** `(x: number) => string` of what can be called, else its type. */
function signatureOf(symbol: ts.Symbol, file: ts.SourceFile, checker: ts.TypeChecker): string | undefined {
  if ((symbol.flags & ts.SymbolFlags.Value) === 0) return undefined;
  const type = checker.getTypeOfSymbolAtLocation(symbol, file);
  const [call] = type.getCallSignatures();
  const text = call === undefined ? checker.typeToString(type, file) : checker.signatureToString(call, file);
  return text.length > maxSignatureLength ? `${text.slice(0, maxSignatureLength)}...` : text;
}
