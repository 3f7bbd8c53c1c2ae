// The code of a cell as TypeScript sees it: a module with the names of earlier cells around it.
import { join } from "node:path";
import ts from "typescript";
import { type BoundFile, internals } from "./internals.ts";
import { type Magics, mayHaveMagics, readMagics } from "./magics.ts";
import { blanks } from "./module-syntax.ts";
import type { Project } from "./project.ts";

export interface CellFile {
  file: BoundFile;
  /** Characters before the user's text: the parenthesis that makes `{a: 1}` an object. */
  shift: number;
  magics?: Magics;
}

/** The checker keeps what it finds by the names of files, so no two may have the same. */
let serial = 0;

/** Parses the code of a cell. `{a: 1}` is an object, not a block, as in every other console of JavaScript. */
export function parseCell(name: string, cell: string, project: Project, commands?: ReadonlySet<number>): CellFile {
  const code = uncheckedCode(cell) ?? cell;
  if (!mayHaveMagics(code)) return parseCode(name, code, project);
  const syntaxErrors = (text: string) => parseCode("probe", text, project).file.parseDiagnostics;
  const magics = readMagics(code, syntaxErrors, commands);
  // Where magic lines stand is known in the cell as it is: no parenthesis before it.
  return { ...parseCode(name, magics.text, project, magics.lines.length === 0), magics };
}

function parseCode(name: string, code: string, { cwd, options }: Project, mayShift = true): CellFile {
  const kind = options.compiler.jsx === undefined ? ts.ScriptKind.TS : ts.ScriptKind.TSX;
  const path = join(cwd, `${name}.${++serial}${kind === ts.ScriptKind.TS ? ".ts" : ".tsx"}`);
  if (mayShift && /^\s*\{/.test(code)) {
    const file = parse(path, `(${code}\n)`, kind);
    const [first, second] = file.statements;
    const isWhole = second === undefined && first !== undefined && ts.isExpressionStatement(first);
    if (isWhole && file.parseDiagnostics.length === 0 && !isEmptyBlock(code)) return { file, shift: 1 };
  }
  const file = parse(path, code, kind);
  if (file.parseDiagnostics.length > 0 && kind === ts.ScriptKind.TS && /<[\w>]/.test(code)) {
    // Read as JSX it gets the one error that says what is missing, "Cannot use JSX unless the '--jsx' flag is provided".
    const withJsx = parse(`${path}x`, code, ts.ScriptKind.TSX);
    if (withJsx.parseDiagnostics.length === 0) return { file: withJsx, shift: 0 };
  }
  return { file, shift: 0 };
}

const isEmptyBlock = (code: string) => /^\s*\{\s*\}\s*$/.test(code);

function parse(path: string, text: string, kind: ts.ScriptKind): BoundFile {
  const options: ts.CreateSourceFileOptions = {
    languageVersion: ts.ScriptTarget.ESNext,
    impliedNodeFormat: ts.ModuleKind.ESNext,
    setExternalModuleIndicator: (file) => {
      (file as BoundFile).externalModuleIndicator = true;
    },
  };
  return ts.createSourceFile(path, text, options, true, kind) as BoundFile;
}

const magic = /^%%js[^\S\n]*(?=\n|$)/;

/** The code of a cell that begins with the line `%%js`, that line blanked; nothing for other cells. */
export function uncheckedCode(code: string): string | undefined {
  return magic.test(code) ? code.replace(magic, blanks) : undefined;
}

/** Prepares a parsed cell for the checker. */
export function bindCell(file: BoundFile, around: BoundFile, project: Project) {
  project.adopt(file);
  internals.bindSourceFile(file, project.options.compiler);
  file.parent = around;
}

/** The modules that a cell names, in imports of all kinds. */
export function specifiersOf(file: ts.SourceFile): string[] {
  if (!/\b(import|from|module)\b/.test(file.text)) return [];
  const found = new Set<string>();
  const add = (node: ts.Node | undefined) => {
    if (node !== undefined && ts.isStringLiteralLike(node) && node.text !== "") found.add(node.text);
  };
  const visit = (node: ts.Node) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0]);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal);
    else if (ts.isModuleDeclaration(node)) add(node.name);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return [...found];
}

/** `declare module "x" {...}` and `declare global {...}`: they change other modules, so the program must know them. */
export function augmentationsOf(file: ts.SourceFile): string[] {
  return file.statements.flatMap((statement) => {
    if (!ts.isModuleDeclaration(statement)) return [];
    const isGlobal = (statement.flags & ts.NodeFlags.GlobalAugmentation) !== 0;
    return isGlobal || ts.isStringLiteral(statement.name) ? [statement.getText(file)] : [];
  });
}
