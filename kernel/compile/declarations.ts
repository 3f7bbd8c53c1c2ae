// V8's REPL mode lets a name be declared again only within a group: { let, class }, { var, function }, { const }. Anything else is a SyntaxError
// before the cell runs. Here a top-level `const` becomes `let` (TypeScript has refused assignments to it), and a name that moves to the other
// group becomes an assignment.
import ts from "typescript";
import type { Edit } from "./module-syntax.ts";

type Group = "lexical" | "var";

/** How each name of the cells was declared first. */
export type Groups = Map<string, Group>;

/** Globals of Node: `function fetch() {}` in a cell must not replace the one that every package uses. */
const builtIns = new Set(Object.getOwnPropertyNames(globalThis));

/** Edits of the top-level declarations. Statements that must run before the cell's first are added to `prologue`. */
export function rewriteDeclarations(file: ts.SourceFile, groups: Groups, prologue: string[]): Edit[] {
  const edits: Edit[] = [];
  const replace = (start: number, end: number, text: string) => edits.push({ start, end, text });
  const { statements } = file;
  for (const [i, statement] of statements.entries()) {
    if (ts.isFunctionDeclaration(statement)) {
      if (statement.name !== undefined && statement.body !== undefined) rewriteFunction(statement.name);
    } else if (ts.isClassDeclaration(statement)) {
      if (statement.name !== undefined) rewriteClass(statement, statement.name.text);
    } else if (ts.isImportDeclaration(statement)) {
      for (const name of importNames(statement)) groups.set(name, "lexical");
    } else if (ts.isVariableStatement(statement) && !isDeclared(statement)) {
      const enumName = nameOfEnum(statement, statements[i + 1]);
      if (enumName !== undefined) rewriteEnum(statement, enumName);
      else rewriteVariables(statement.declarationList);
    } else if (!ts.isInterfaceDeclaration(statement) && !ts.isTypeAliasDeclaration(statement)) {
      findNestedVars(statement);
    }
  }
  return edits;

  /** A function keeps its place, because calls may come before it; its new name is then assigned before the first statement. */
  function rewriteFunction(identifier: ts.Identifier) {
    const name = identifier.text;
    if (!isLexical(name)) return groups.set(name, "var");
    const hoisted = `${name}$${groups.size}`;
    replace(identifier.getStart(file), identifier.end, hoisted);
    prologue.push(`let ${name} = ${hoisted}; Object.defineProperty(${hoisted}, "name", { value: "${name}" });`);
    groups.set(name, "lexical");
  }

  function rewriteClass(statement: ts.ClassDeclaration, name: string) {
    if (groups.get(name) !== "var") return groups.set(name, "lexical");
    const start = file.text.indexOf("class", ts.getModifiers(statement)?.at(-1)?.end ?? statement.getStart(file));
    replace(start, start, `${name} = `);
    replace(statement.end, statement.end, ";");
  }

  /** `var E; (function (E) {...})(E || (E = {}))`, from TypeScript: a `let` does not merge with the E of an earlier cell. */
  function rewriteEnum(statement: ts.VariableStatement, name: string) {
    const isMoved = groups.get(name) === "var";
    replace(statement.getStart(file), statement.end, isMoved ? `${name} = void 0;` : `let ${name};`);
    if (!isMoved) groups.set(name, "lexical");
  }

  function rewriteVariables(list: ts.VariableDeclarationList) {
    const isVar = (list.flags & ts.NodeFlags.BlockScoped) === 0;
    const names = list.declarations.flatMap(({ name }) => namesOf(name));
    const isMoved = names.some((name) => (isVar ? isLexical(name) : groups.get(name) === "var"));
    const start = list.getStart(file);
    const keyword = isVar ? 3 : file.text.startsWith("const", start) ? 5 : 3;
    if (!isMoved) {
      if (keyword === 5) replace(start, start + keyword, "let  ");
      for (const name of names) groups.set(name, isVar ? "var" : "lexical");
      return;
    }
    // `let a = 1, f = 2` becomes `(a = 1, f = 2)`; names that are new are declared before.
    for (const name of names) {
      if (groups.has(name)) continue;
      const group = isVar && !builtIns.has(name) ? "var" : "lexical";
      prologue.push(group === "var" ? `var ${name};` : `let ${name};`);
      groups.set(name, group);
    }
    const isLoop = ts.isForInStatement(list.parent) || ts.isForOfStatement(list.parent);
    replace(start, start + keyword, isLoop ? " ".repeat(keyword) : `(${" ".repeat(keyword - 1)}`);
    if (isLoop) return;
    for (const { initializer, end } of list.declarations) {
      if (initializer === undefined && !isVar) replace(end, end, " = void 0");
    }
    replace(list.end, list.end, ")");
  }

  /** `var` in blocks and loops belongs to the top level. */
  function findNestedVars(node: ts.Node) {
    if (ts.isFunctionLike(node) || ts.isClassLike(node)) return;
    if (ts.isVariableDeclarationList(node) && (node.flags & ts.NodeFlags.BlockScoped) === 0) rewriteVariables(node);
    ts.forEachChild(node, findNestedVars);
  }

  function isLexical(name: string): boolean {
    return groups.get(name) === "lexical" || (!groups.has(name) && builtIns.has(name));
  }
}

function isDeclared(statement: ts.VariableStatement): boolean {
  return statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword) ?? false;
}

function namesOf(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) => (ts.isOmittedExpression(element) ? [] : namesOf(element.name)));
}

function importNames({ importClause }: ts.ImportDeclaration): string[] {
  const { name, namedBindings } = importClause ?? {};
  const named =
    namedBindings === undefined ? [] : ts.isNamespaceImport(namedBindings) ? [namedBindings] : namedBindings.elements;
  return [...(name === undefined ? [] : [name.text]), ...named.map((each) => each.name.text)];
}

/** The name in `var E;` if the next statement is what TypeScript makes of an enum or a namespace. */
function nameOfEnum({ declarationList }: ts.VariableStatement, next: ts.Statement | undefined): string | undefined {
  const [{ name, initializer }] = declarationList.declarations;
  if (!ts.isIdentifier(name) || initializer !== undefined || next === undefined) return undefined;
  if (!ts.isExpressionStatement(next) || !ts.isCallExpression(next.expression)) return undefined;
  const callee = next.expression.expression;
  if (!ts.isParenthesizedExpression(callee) || !ts.isFunctionExpression(callee.expression)) return undefined;
  return callee.expression.parameters[0]?.name.getText() === name.text ? name.text : undefined;
}
