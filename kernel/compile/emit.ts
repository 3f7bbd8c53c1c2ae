// From a checked cell to what V8's REPL mode runs. Types are blanked with spaces, so lines and columns stay those of the user.

import { blankSourceFile } from "ts-blank-space";
import ts from "typescript";
import { type Groups, rewriteDeclarations } from "./declarations.ts";
import { applyEdits, type Edit, rewriteModuleSyntax } from "./module-syntax.ts";
import { strictPrefix } from "./prefix.ts";
import { identityMap, inlineMap, shiftByLine } from "./source-map.ts";

export interface EmitOptions {
  compiler: ts.CompilerOptions;
  /** How the names of earlier cells were declared; the cell's own are added. */
  groups: Groups;
  /** Statements to run first. */
  first: string[];
  /** Characters before the user's text: the parenthesis that makes `{a: 1}` an object. */
  shift: number;
  /** The code of magic lines. */
  inserted: Edit[];
}

/** The JavaScript of a cell. Its completion value is that of its last statement if that is an expression, else `undefined`. */
export function emit(file: ts.SourceFile, { compiler, groups, first, shift, inserted }: EmitOptions): string {
  const prologue = [...first];
  const tail = endsInExpression(file) ? "" : "\n;void 0";
  const blanked = needsTranspiling(file) ? undefined : blank(file);
  if (blanked !== undefined) {
    const edits = [...inserted, ...rewriteModuleSyntax(file), ...rewriteDeclarations(file, groups, prologue)];
    const js = applyEdits(blanked, edits);
    if (prologue.length === 0) return `${shift === 0 ? strictPrefix : strictPrefix.trimEnd()}${js}${tail}`;
    const map = identityMap(file.text, shift);
    return `${strictPrefix}${prologue.join(" ")}\n${js}${tail}\n${inlineMap(map, file.fileName)}`;
  }
  const { outputText, sourceMapText } = ts.transpileModule(
    applyEdits(file.text, [...inserted, ...rewriteModuleSyntax(file)]),
    {
      fileName: file.fileName,
      compilerOptions: {
        ...compiler,
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        isolatedModules: true,
        sourceMap: true,
        noEmit: false,
      },
    },
  );
  const text = outputText.replace(/\/\/# sourceMappingURL=.*\s*$/, "");
  const output = ts.createSourceFile("cell.js", text, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS);
  const edits: Edit[] = [...rewriteModuleSyntax(output), ...rewriteDeclarations(output, groups, prologue)];
  const map = shiftByLine(JSON.parse(sourceMapText ?? "{}").mappings);
  return `${strictPrefix}${prologue.join(" ")}\n${applyEdits(text, edits)}${tail}\n${inlineMap(map, file.fileName)}`;
}

/** Unchecked JavaScript (`%%js`): only imports and declarations are rewritten. */
export function emitJavaScript(file: ts.SourceFile, groups: Groups): string {
  const prologue: string[] = [];
  const js = applyEdits(file.text, [...rewriteModuleSyntax(file), ...rewriteDeclarations(file, groups, prologue)]);
  // The line of the magic is free.
  return `${prologue.join(" ")}${js}${endsInExpression(file) ? "" : "\n;void 0"}`;
}

function endsInExpression({ statements }: ts.SourceFile): boolean {
  const last = statements.findLast((statement) => !ts.isEmptyStatement(statement));
  return last !== undefined && (ts.isExpressionStatement(last) || ts.isExportAssignment(last));
}

/** The text with its types blanked, or nothing when that cannot be done. */
function blank(file: ts.SourceFile): string | undefined {
  let isErasable = true;
  const text = blankSourceFile(file, () => {
    isErasable = false;
  });
  return isErasable ? text : undefined;
}

/** Whether a cell has syntax that V8 has not: enums, namespaces, decorators, accessors, parameter properties, `using` at the top level, JSX. */
function needsTranspiling(file: ts.SourceFile): boolean {
  const mayHaveJsx = file.languageVariant === ts.LanguageVariant.JSX;
  if (!mayHaveJsx && !/\b(enum|using|namespace|module|constructor|accessor)\b|@/.test(file.text)) return false;
  const visit = (node: ts.Node): boolean => isTypeScriptOnly(node) || (ts.forEachChild(node, visit) ?? false);
  return visit(file);
}

function isTypeScriptOnly(node: ts.Node): boolean {
  if (ts.isEnumDeclaration(node) || ts.isModuleDeclaration(node)) {
    return !node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword);
  }
  if (ts.isParameter(node)) return node.modifiers !== undefined;
  if (ts.isVariableStatement(node)) {
    const kind = node.declarationList.flags & ts.NodeFlags.BlockScoped;
    return ts.isSourceFile(node.parent) && (kind === ts.NodeFlags.Using || kind === ts.NodeFlags.AwaitUsing);
  }
  return (
    ts.isDecorator(node) ||
    node.kind === ts.SyntaxKind.AccessorKeyword ||
    ts.isJsxOpeningLikeElement(node) ||
    ts.isJsxFragment(node)
  );
}
