// Parameters: values given from outside for the names that a notebook's cell with the tag `parameters` declares.
import ts from "typescript";
import { type CodeCell, isCode, type Notebook, tagsOf } from "./notebook.ts";

/** What is wrong with the parameters that were asked for: told before anything runs. */
export class ParameterError extends Error {
  override name = "ParameterError";
}

interface Declaration {
  keyword: string;
  /** All names it declares: several when it takes a value apart. */
  names: string[];
  /** The name of a plain declaration: only these can be set. */
  name?: string;
  annotation?: string;
  initializer?: ts.Expression;
  text: string;
}

export const injectedTag = "injected-parameters";

/**
 * A copy of the notebook with a cell that sets the parameters after the one that declares them. Declarations of that cell that are computed
 * from a changed one are made again. `values` are texts: JSON where it has the type of the parameter, else the text itself.
 * Throws ParameterError for a name that is not declared and for a value of a wrong type.
 */
export function setParameters(notebook: Notebook, values: Readonly<Record<string, string>>): Notebook {
  const cells = notebook.cells.filter((cell) => !tagsOf(cell).includes(injectedTag));
  if (Object.keys(values).length === 0) return { ...notebook, cells };
  const language = notebook.metadata.kernelspec?.language ?? "typescript";
  if (!/^(typescript|javascript)$/i.test(language)) {
    throw new ParameterError(`parameters can be set in TypeScript notebooks; this one is written in ${language}`);
  }
  const at = cells.findIndex((cell) => isCode(cell) && tagsOf(cell).includes("parameters"));
  if (at < 0) {
    throw new ParameterError(
      `the notebook takes no parameters: none of its cells has the tag "parameters" (asked for: ${Object.keys(values).join(", ")})`,
    );
  }
  const injected: CodeCell = {
    cell_type: "code",
    ...(notebook.nbformat_minor >= 5 ? { id: injectedTag } : {}),
    metadata: { tags: [injectedTag] },
    source: sourceFor(cells[at].source, values),
    outputs: [],
    execution_count: null,
  };
  return { ...notebook, cells: [...cells.slice(0, at + 1), injected, ...cells.slice(at + 1)] };
}

/** Whether the notebook declares this parameter without reading the environment variable that says the same. */
export function declaresParameter(notebook: Notebook, name: string, variable: string): boolean {
  const cell = notebook.cells.find((cell) => isCode(cell) && tagsOf(cell).includes("parameters"));
  if (cell === undefined) return false;
  const found = declarationsOf(parse(cell.source)).find((declaration) => declaration.name === name);
  return found !== undefined && !found.text.includes(variable);
}

function sourceFor(code: string, values: Readonly<Record<string, string>>): string {
  const file = parse(code);
  const declarations = declarationsOf(file);
  const known = declarations.flatMap(({ name }) => name ?? []);
  for (const name of Object.keys(values)) {
    if (!known.includes(name)) {
      const there = known.length === 0 ? "it declares none" : `it declares: ${known.join(", ")}`;
      throw new ParameterError(`the notebook has no parameter "${name}"; ${there}`);
    }
  }
  const fitting = fit(file, values);
  const changed = new Set(Object.keys(values));
  const lines = declarations.flatMap((declaration) => {
    const { keyword, name, names, annotation, initializer, text } = declaration;
    if (name !== undefined && Object.hasOwn(values, name)) {
      const { value, type } = fitting[name];
      // A literal's type would be too narrow: `quick` could then be compared with nothing but `true`.
      const shown = annotation ?? (/^(number|string|boolean)(\[\])*$/.test(type) ? type : undefined);
      return `${keyword} ${name}${shown === undefined ? "" : `: ${shown}`} = ${JSON.stringify(value)};`;
    }
    if (initializer === undefined || !mentions(initializer, changed)) return [];
    for (const each of names) changed.add(each);
    return `${keyword} ${text};`;
  });
  return lines.join("\n");
}

/** For each parameter the value that has its type, and the type. The types are TypeScript's own, also those that it infers. */
function fit(file: ts.SourceFile, values: Readonly<Record<string, string>>) {
  const asked = Object.entries(values).map(([name, text]) => ({ name, text, candidates: candidatesOf(text) }));
  // As `let`, so that `const steps = 200` has the type number and not 200, and can be assigned to.
  let code = file.text;
  for (const statement of file.statements) {
    if (!ts.isVariableStatement(statement)) continue;
    const start = statement.declarationList.getStart(file);
    if (code.startsWith("const", start)) code = `${code.slice(0, start)}let  ${code.slice(start + 5)}`;
  }
  // One assignment, on a line of its own, for each candidate.
  let line = code.split("\n").length + 1;
  const rows: { name: string; value: unknown; line: number }[] = [];
  code += "\n;() => {";
  for (const { name, candidates } of asked) {
    for (const value of candidates) {
      code += `\n  ${name} = ${JSON.stringify(value)};`;
      rows.push({ name, value, line: ++line });
    }
  }
  code += "\n};\nexport {};\n";
  const { program, source } = programOf(code);
  const wrong = new Set(
    program.getSemanticDiagnostics(source).map(({ start = 0 }) => source.getLineAndCharacterOfPosition(start).line + 1),
  );
  const checker = program.getTypeChecker();
  const typeOf = (name: string) => {
    const declaration = source.statements
      .filter(ts.isVariableStatement)
      .flatMap(({ declarationList }) => [...declarationList.declarations])
      .findLast((each) => ts.isIdentifier(each.name) && each.name.text === name)!;
    return checker.typeToString(checker.getTypeAtLocation(declaration.name));
  };
  return Object.fromEntries(
    asked.map(({ name, text }) => {
      const type = typeOf(name);
      const row = rows.find((candidate) => candidate.name === name && !wrong.has(candidate.line));
      if (row === undefined) throw new ParameterError(`parameter "${name}" is ${type}; ${JSON.stringify(text)} is not`);
      return [name, { value: row.value, type }];
    }),
  );
}

function candidatesOf(text: string): unknown[] {
  try {
    return [JSON.parse(text), text];
  } catch {
    return [text];
  }
}

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.ESNext,
  lib: ["lib.esnext.d.ts"],
  strict: true,
  types: [],
  noEmit: true,
};

function programOf(code: string) {
  const name = "/parameters.ts";
  const source = parse(code, name);
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.getSourceFile = (path, ...rest) => (path === name ? source : getSourceFile.call(host, path, ...rest));
  host.fileExists = (path) => path === name || fileExists.call(host, path);
  return { program: ts.createProgram([name], options, host), source };
}

function parse(code: string, name = "parameters.ts"): ts.SourceFile {
  return ts.createSourceFile(name, code, ts.ScriptTarget.ESNext, true);
}

function declarationsOf(file: ts.SourceFile): Declaration[] {
  return file.statements.filter(ts.isVariableStatement).flatMap(({ declarationList }) => {
    const keyword =
      declarationList.flags & ts.NodeFlags.Const ? "const" : declarationList.flags & ts.NodeFlags.Let ? "let" : "var";
    return declarationList.declarations.map((declaration) => ({
      keyword,
      names: identifiersIn(declaration.name),
      name: ts.isIdentifier(declaration.name) ? declaration.name.text : undefined,
      annotation: declaration.type?.getText(file),
      initializer: declaration.initializer,
      text: declaration.getText(file),
    }));
  });
}

function identifiersIn(name: ts.BindingName): string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) => (ts.isBindingElement(element) ? identifiersIn(element.name) : []));
}

function mentions(node: ts.Node, names: ReadonlySet<string>): boolean {
  if (ts.isIdentifier(node)) {
    // The name of a member, as in `o.steps` and `{ steps: 1 }`, is not the variable; in `{ steps }` it is.
    const isName = (node.parent as ts.NamedDeclaration).name === node && !ts.isShorthandPropertyAssignment(node.parent);
    return !isName && names.has(node.text);
  }
  return ts.forEachChild(node, (child) => mentions(child, names) || undefined) ?? false;
}
