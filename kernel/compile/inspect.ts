// What is known of a name: its type, its documentation, and, if more is wanted, its source.
import ts from "typescript";
import { bindCell, parseCell, specifiersOf } from "./cell-file.ts";
import type { Cells } from "./cells.ts";
import { nearPath } from "./diagnostics.ts";
import { type BoundFile, internals } from "./internals.ts";
import { MagicError } from "./magics.ts";

export interface Inspected {
  text: string;
  markdown: string;
  /** The variable of the cells that is asked for, whose value may be looked up. */
  variable?: string;
}

/** Longer sources are cut. */
const maxSourceLines = 200;

/** What is known of the name at an offset, or of the function whose arguments stand there. Detail 1 adds the source. */
export function inspect(cells: Cells, code: string, offset: number, detail: 0 | 1): Inspected | undefined {
  try {
    return inspectCode(cells, code, offset, detail);
  } catch (error) {
    if (error instanceof MagicError) return undefined;
    throw error;
  }
}

function inspectCode({ project, scope }: Cells, code: string, offset: number, detail: 0 | 1): Inspected | undefined {
  const { file, shift } = parseCell("inspect", code, project);
  if (file.parseDiagnostics.length === 0)
    project.update({ specifiers: specifiersOf(file, project.options.compiler), augmentations: [] });
  bindCell(file, scope.around, project);
  const { checker } = project;
  for (const node of candidates(file, offset + shift)) {
    const symbol = checker.getSymbolAtLocation(node);
    if (symbol === undefined) continue;
    const { displayParts, documentation, tags } =
      internals.SymbolDisplay.getSymbolDisplayPartsDocumentationAndSymbolKind(checker, symbol, file, file, node);
    const signature = ts.displayPartsToString(displayParts);
    if (signature === "") continue;
    const about = ts.displayPartsToString(documentation);
    const notes = (tags ?? []).map(({ name, text }) => ({ name, text: ts.displayPartsToString(text) }));
    const source = detail === 1 ? sourceOf(symbol, checker, project.cwd) : undefined;
    const variable = isVariable(node, symbol, file, scope.around) ? node.getText(file) : undefined;
    return {
      text: plain(signature, about, notes, source),
      markdown: markdown(signature, about, notes, source),
      variable,
    };
  }
  return undefined;
}

/** Whether a name stands for a variable at the top level that an earlier run has declared; not for one of a function's own. */
function isVariable(node: ts.Node, symbol: ts.Symbol, file: BoundFile, around: BoundFile): boolean {
  if (!ts.isIdentifier(node) || (symbol.flags & ts.SymbolFlags.Variable) === 0) return false;
  const name = node.text;
  const levels: BoundFile[] = [];
  for (let level: BoundFile | undefined = around; level; level = level.parent as BoundFile | undefined)
    levels.push(level);
  const known = levels.flatMap((level) => level.locals?.get(name) ?? []);
  return known.length > 0 && [...known, file.locals?.get(name)].includes(symbol);
}

/** The name at or just before a position, then the names of the calls around it, inmost first. */
function* candidates(file: BoundFile, position: number): Generator<ts.Node> {
  for (const at of [position, position - 1]) {
    if (at < 0) continue;
    const node = internals.getTouchingPropertyName(file, at);
    if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node) || ts.isStringLiteralLike(node)) yield node;
  }
  let node: ts.Node | undefined = internals.findPrecedingToken(position, file);
  for (; node !== undefined && !ts.isSourceFile(node); node = node.parent) {
    if (!ts.isCallExpression(node) && !ts.isNewExpression(node)) continue;
    if (node.expression.end >= position) continue;
    yield ts.isPropertyAccessExpression(node.expression) ? node.expression.name : node.expression;
  }
}

interface Note {
  name: string;
  text: string;
}

interface Source {
  place: string;
  text: string;
}

function sourceOf(symbol: ts.Symbol, checker: ts.TypeChecker, cwd: string): Source | undefined {
  const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const declaration = target.declarations?.[0];
  if (declaration === undefined) return undefined;
  const file = declaration.getSourceFile();
  const isVariable = ts.isVariableDeclaration(declaration) && ts.isVariableStatement(declaration.parent.parent);
  const node = isVariable ? declaration.parent.parent : declaration;
  if (ts.isSourceFile(node)) return { place: nearPath(file.fileName, cwd), text: "" };
  const lines = node.getText(file).split("\n");
  const cut = lines.length > maxSourceLines ? [...lines.slice(0, maxSourceLines), "// ..."] : lines;
  const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
  const name = nearPath(file.fileName, cwd).replace(/^(In\[\d+\]|Unsaved\[\d+\])\.\d+\.tsx?$/, "$1");
  return { place: `${name}:${line}`, text: cut.join("\n") };
}

function plain(signature: string, about: string, notes: Note[], source: Source | undefined): string {
  const tags = notes.map(({ name, text }) => `@${name}${text === "" ? "" : ` ${text}`}`).join("\n");
  const origin = source && `${source.place}\n${source.text}`.trimEnd();
  return [signature, about, tags, origin].filter((part) => part !== undefined && part !== "").join("\n\n");
}

function markdown(signature: string, about: string, notes: Note[], source: Source | undefined): string {
  const block = (text: string) => `\`\`\`ts\n${text}\n\`\`\``;
  const tags = notes.map(({ name, text }) => `*@${name}*${text === "" ? "" : ` ${text}`}`).join("  \n");
  const origin = source && `**Source:** \`${source.place}\`${source.text === "" ? "" : `\n${block(source.text)}`}`;
  return [block(signature), about, tags, origin].filter((part) => part !== undefined && part !== "").join("\n\n");
}
