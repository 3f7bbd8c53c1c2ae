// The code of a cell as TypeScript sees it: a module with the names of earlier cells around it.
import { join } from "node:path";
import ts from "typescript";
import { type BoundFile, internals } from "./internals.ts";
import { type Magics, mayHaveMagics, readMagics } from "./magics.ts";
import { blanks } from "./module-syntax.ts";
import type { Decorators, Project } from "./project.ts";

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
  const kind = options.jsx || saysJsx(code) ? ts.ScriptKind.TSX : ts.ScriptKind.TS;
  const path = join(cwd, `${name}.${++serial}${kind === ts.ScriptKind.TS ? ".ts" : ".tsx"}`);
  if (mayShift && /^\s*\{/.test(code)) {
    const file = parse(path, `(${code}\n)`, kind);
    const [first, second] = file.statements;
    const isWhole = second === undefined && first !== undefined && ts.isExpressionStatement(first);
    if (isWhole && file.parseDiagnostics.length === 0 && !isEmptyBlock(code)) return { file, shift: 1 };
  }
  const file = parse(path, code, kind);
  if (file.parseDiagnostics.length > 0 && kind === ts.ScriptKind.TS && /<[\w>]/.test(code)) {
    const withJsx = parse(`${path}x`, code, ts.ScriptKind.TSX);
    // Its one error says what is missing; those of `<` and `>` as operators would only confuse.
    if (withJsx.parseDiagnostics.length === 0) {
      withJsx.parseDiagnostics = [jsxIsNotSaid(withJsx)];
      return { file: withJsx, shift: 0 };
    }
  }
  return { file, shift: 0 };
}

/** Whether a cell says what makes its elements in a comment above its code, as a file does: `@jsx h`, `@jsxImportSource preact`. */
function saysJsx(code: string): boolean {
  if (!code.includes("@jsx")) return false;
  const { pragmas } = parse("pragmas.ts", code, ts.ScriptKind.TS);
  return ["jsx", "jsximportsource", "jsxruntime"].some((name) => pragmas.has(name));
}

function jsxIsNotSaid(file: ts.SourceFile): ts.DiagnosticWithLocation {
  const isJsx = (node: ts.Node) => ts.isJsxOpeningLikeElement(node) || ts.isJsxFragment(node);
  const find = (node: ts.Node): ts.Node | undefined => (isJsx(node) ? node : ts.forEachChild(node, find));
  const node = find(file) ?? file;
  return {
    file,
    start: node.getStart(file),
    length: node.getWidth(file),
    category: ts.DiagnosticCategory.Error,
    // That of TypeScript: Cannot use JSX unless the '--jsx' flag is provided.
    code: 17004,
    messageText:
      "The cell does not say what makes its JSX elements. Begin it with /** @jsx h */ (h is a function in scope), or with " +
      '/** @jsxImportSource preact */ (an installed package), or set "jsx" in a tsconfig.json beside the notebook.',
  };
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

/** The module that makes the elements of a cell whose JSX imports it by itself: `preact/jsx-runtime`. */
export function jsxRuntimeOf(file: ts.SourceFile, options: ts.CompilerOptions): string | undefined {
  if (file.languageVariant !== ts.LanguageVariant.JSX) return undefined;
  return internals.getJSXRuntimeImport(internals.getJSXImplicitImportBase(options, file), options);
}

/** Prepares a parsed cell for the checker. */
export function bindCell(file: BoundFile, around: BoundFile, project: Project) {
  project.adopt(file);
  internals.bindSourceFile(file, project.options.compiler);
  file.parent = around;
}

/** The modules that a cell names, in imports of all kinds. */
export function specifiersOf(file: ts.SourceFile, options: ts.CompilerOptions): string[] {
  const found = new Set<string>();
  const runtime = jsxRuntimeOf(file, options);
  if (runtime !== undefined) found.add(runtime);
  if (!/\b(import|from|module)\b/.test(file.text)) return [...found];
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

/**
 * Which decorators a cell has: those of the language (TC39), or TypeScript's older ones where a line `// @experimentalDecorators`
 * or `// @emitDecoratorMetadata` stands above its code. Nothing when it has none.
 */
export function decoratorsOf(file: ts.SourceFile): Decorators | undefined {
  if (!file.text.includes("@")) return undefined;
  const isFound = (node: ts.Node): boolean => ts.isDecorator(node) || (ts.forEachChild(node, isFound) ?? false);
  if (!isFound(file)) return undefined;
  const above = file.text.slice(0, file.statements[0]!.getStart(file));
  if (/^\s*\/\/\s*@emitDecoratorMetadata\b/m.test(above)) return "legacy with metadata";
  return /^\s*\/\/\s*@experimentalDecorators\b/m.test(above) ? "legacy" : "usual";
}

/** `declare module "x" {...}` and `declare global {...}`: they change other modules, so the program must know them. */
export function augmentationsOf(file: ts.SourceFile): string[] {
  return file.statements.flatMap((statement) => {
    if (!ts.isModuleDeclaration(statement)) return [];
    const isGlobal = (statement.flags & ts.NodeFlags.GlobalAugmentation) !== 0;
    return isGlobal || ts.isStringLiteral(statement.name) ? [statement.getText(file)] : [];
  });
}
