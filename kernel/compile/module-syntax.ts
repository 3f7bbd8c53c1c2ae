// Imports and exports of a cell as statements that V8's REPL mode can run: it knows neither.
import ts from "typescript";

/** Replaces the text between two positions. */
export interface Edit {
  start: number;
  end: number;
  text: string;
}

/** Applies edits that do not overlap. Of two at the same place the earlier one comes first. */
export function applyEdits(text: string, edits: Edit[]): string {
  let result = "";
  let at = 0;
  for (const edit of edits.toSorted((a, b) => a.start - b.start)) {
    result += text.slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return result + text.slice(at);
}

/** `text` with as many line breaks as what it replaces, so that no line moves. */
function onLines(text: string, replaced: string): string {
  return text + replaced.replace(/[^\n]/g, "");
}

/** Spaces and line breaks instead of text. */
export function blanks(text: string): string {
  return text.replace(/[^\r\n]/g, " ");
}

/** Edits that turn imports into `await __import(...)`, drop `export`, and give `import()` and `import.meta` a meaning in a cell. */
export function rewriteModuleSyntax(file: ts.SourceFile): Edit[] {
  if (!/\b(import|export|this)\b/.test(file.text)) return [];
  const edits: Edit[] = [];
  const replace = (start: number, end: number, text: string) => edits.push({ start, end, text });
  const blankOut = (start: number, end: number) => replace(start, end, blanks(file.text.slice(start, end)));
  for (const statement of file.statements) {
    const start = statement.getStart(file);
    const text = file.text.slice(start, statement.end);
    if (ts.isImportDeclaration(statement)) {
      replace(start, statement.end, onLines(importStatement(statement, file), text));
    } else if (ts.isExportDeclaration(statement)) {
      const { moduleSpecifier, isTypeOnly } = statement;
      const run =
        moduleSpecifier !== undefined && !isTypeOnly ? `await __import(${moduleSpecifier.getText(file)});` : "";
      replace(start, statement.end, onLines(run, text));
    } else {
      if (ts.isExportAssignment(statement)) {
        // In parentheses: `export default {a: 1}` is an object, not a block.
        replace(
          start,
          statement.expression.getStart(file),
          `${onLines("", text.slice(0, statement.expression.getStart(file) - start))}(`,
        );
        replace(statement.expression.end, statement.expression.end, ")");
      } else dropExport(statement);
      insideOf(statement, true);
    }
  }
  return edits;

  function dropExport(statement: ts.Statement) {
    const modifiers = ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : [];
    for (const modifier of modifiers) {
      if (modifier.kind === ts.SyntaxKind.ExportKeyword) blankOut(modifier.getStart(file), modifier.end);
      if (modifier.kind !== ts.SyntaxKind.DefaultKeyword) continue;
      const isNameless = (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) && !statement.name;
      replace(modifier.getStart(file), modifier.end, isNameless ? "      (" : "       ");
      if (isNameless) replace(statement.end, statement.end, ")");
    }
  }

  function insideOf(node: ts.Node, isTopLevelThis: boolean) {
    if (node.kind === ts.SyntaxKind.ThisKeyword && isTopLevelThis) {
      replace(node.getStart(file), node.end, "(void 0)");
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      replace(node.expression.getStart(file), node.expression.end, "__import");
    } else if (ts.isMetaProperty(node) && node.keywordToken === ts.SyntaxKind.ImportKeyword) {
      replace(node.getStart(file), node.end, "__import.meta");
    }
    if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return;
    const hasOwnThis = (ts.isFunctionLike(node) && !ts.isArrowFunction(node)) || ts.isClassLike(node);
    ts.forEachChild(node, (child) => insideOf(child, isTopLevelThis && !hasOwnThis));
  }
}

function importStatement(
  { importClause, moduleSpecifier, attributes }: ts.ImportDeclaration,
  file: ts.SourceFile,
): string {
  const options = attributes === undefined ? "" : `, { ${attributes.getText(file).replace(/^with\s*/, "with: ")} }`;
  const module = `await __import(${moduleSpecifier.getText(file)}${options});`;
  if (importClause === undefined) return module;
  const { name, namedBindings, phaseModifier } = importClause;
  if (phaseModifier === ts.SyntaxKind.TypeKeyword) return "";
  if (namedBindings !== undefined && ts.isNamespaceImport(namedBindings)) {
    const all = `let ${namedBindings.name.text} = ${module}`;
    return name === undefined ? all : `${all} let { default: ${name.text} } = ${namedBindings.name.text};`;
  }
  const parts = name === undefined ? [] : [`default: ${name.text}`];
  for (const element of namedBindings?.elements ?? []) {
    if (element.isTypeOnly) continue;
    const own = element.name.text;
    parts.push(element.propertyName === undefined ? own : `${element.propertyName.getText(file)}: ${own}`);
  }
  // Names that are only types come out as `undefined`, which nothing reads.
  return parts.length > 0 || namedBindings === undefined ? `let { ${parts.join(", ")} } = ${module}` : "";
}

/** The names that an import brings, each with the statement that brings it again: `({ loss: f } = await __import("./loss.ts"));` */
export function importedNames(file: ts.SourceFile): { name: string; specifier: string; again: string }[] {
  return file.statements.flatMap((statement) => {
    if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) return [];
    const { importClause } = statement;
    if (importClause === undefined || importClause.phaseModifier === ts.SyntaxKind.TypeKeyword) return [];
    const specifier = statement.moduleSpecifier.text;
    const module = `await __import(${JSON.stringify(specifier)})`;
    const found: { name: string; specifier: string; again: string }[] = [];
    const add = (name: string, from: string) =>
      found.push({ name, specifier, again: `({ ${from}: ${name} } = ${module});` });
    if (importClause.name !== undefined) add(importClause.name.text, "default");
    const { namedBindings } = importClause;
    if (namedBindings !== undefined && ts.isNamespaceImport(namedBindings)) {
      const name = namedBindings.name.text;
      found.push({ name, specifier, again: `${name} = ${module};` });
    } else {
      for (const { name, propertyName, isTypeOnly } of namedBindings?.elements ?? []) {
        if (!isTypeOnly) add(name.text, (propertyName ?? name).getText(file));
      }
    }
    return found;
  });
}
