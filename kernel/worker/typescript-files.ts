// Local TypeScript files as JavaScript: types blanked by Node where that is enough, else transpiled by TypeScript, which is loaded only then.
import { readFileSync } from "node:fs";
import { createRequire, findPackageJSON, stripTypeScriptTypes } from "node:module";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import type TypeScript from "typescript";

export interface LoadedSource {
  format: "module" | "commonjs";
  js: string;
  /** The source map, when the code does not stand where the user wrote it. */
  map?: object;
}

/** Loads a .ts, .mts, .cts or .tsx file. With `elide` imports that only types use are dropped, which needs TypeScript. */
export function loadTypeScript(path: string, text: string, elide: boolean): LoadedSource {
  const stripped = elide || path.endsWith(".tsx") || hasDecorator.test(text) ? undefined : strip(path, text);
  const format = formatOf(path, stripped ?? text);
  return stripped === undefined ? transpile(path, text, format) : { format, js: stripped };
}

/** What Node's stripping lets through and V8 does not know: decorators and accessors. A false alarm only costs time. */
const hasDecorator =
  /(?:^|[({},;])[ \t]*(?:export[ \t]+(?:default[ \t]+)?)?@[\p{ID_Start}$_(]|\baccessor[ \t]+[\p{ID_Start}$_#[]/mu;

/** The text with its types blanked, or nothing where that cannot be done. */
function strip(path: string, text: string): string | undefined {
  try {
    return stripTypeScriptTypes(text);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") return undefined;
    throw syntaxError(path, text) ?? error;
  }
}

const moduleSyntax = /^[ \t]*(?:import\b(?!\s*\()|export\b)/m;

/** A .ts file with an `import` or `export` is a module whatever package.json says, as it is for the type check. */
function formatOf(path: string, js: string): LoadedSource["format"] {
  if (path.endsWith(".mts")) return "module";
  if (path.endsWith(".cts")) return "commonjs";
  if (moduleSyntax.test(js)) return "module";
  const packageFile = findPackageJSON(pathToFileURL(path));
  if (packageFile === undefined) return "commonjs";
  try {
    return JSON.parse(readFileSync(packageFile, "utf8")).type === "module" ? "module" : "commonjs";
  } catch {
    return "commonjs";
  }
}

let compiler: typeof TypeScript | undefined;

function typescript(): typeof TypeScript {
  compiler ??= createRequire(import.meta.url)("typescript") as typeof TypeScript;
  return compiler;
}

function transpile(path: string, text: string, format: LoadedSource["format"]): LoadedSource {
  const ts = typescript();
  const wrong = syntaxError(path, text);
  if (wrong !== undefined) throw wrong;
  const { outputText, sourceMapText } = ts.transpileModule(text, {
    fileName: path,
    compilerOptions: {
      // What makes the elements is said in the file, by a pragma.
      jsx: ts.JsxEmit.React,
      ...projectOptions(dirname(path)),
      target: ts.ScriptTarget.ES2022,
      module: format === "module" ? ts.ModuleKind.ESNext : ts.ModuleKind.CommonJS,
      moduleResolution: undefined,
      isolatedModules: true,
      verbatimModuleSyntax: false,
      sourceMap: true,
      inlineSourceMap: false,
      noEmit: false,
    },
  });
  const js = outputText.replace(/\/\/# sourceMappingURL=.*\s*$/, "");
  return { format, js, map: JSON.parse(sourceMapText ?? "{}") };
}

/** What the nearest tsconfig.json says of decorators and class fields. */
function projectOptions(folder: string): TypeScript.CompilerOptions {
  const ts = typescript();
  const path = ts.findConfigFile(folder, ts.sys.fileExists);
  if (path === undefined) return {};
  const { config } = ts.readConfigFile(path, ts.sys.readFile);
  const host = { ...ts.sys, readDirectory: () => [], useCaseSensitiveFileNames: true };
  const { options } = ts.parseJsonConfigFileContent(config ?? {}, host, dirname(path));
  const { experimentalDecorators, emitDecoratorMetadata, useDefineForClassFields, jsx, jsxImportSource } = options;
  const decorators = { experimentalDecorators, emitDecoratorMetadata, useDefineForClassFields };
  return jsx === undefined ? decorators : { ...decorators, jsx, jsxImportSource };
}

/** The first syntax error of a file as an error that says where it is; nothing when TypeScript finds none. */
export function syntaxError(path: string, text: string): SyntaxError | undefined {
  const ts = typescript();
  const { diagnostics = [] } = ts.transpileModule(text, {
    fileName: path,
    reportDiagnostics: true,
    compilerOptions: { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext },
  });
  const found = diagnostics.find(({ file }) => file !== undefined);
  if (found?.file === undefined) return undefined;
  const { line, character } = found.file.getLineAndCharacterOfPosition(found.start ?? 0);
  const error = new SyntaxError(ts.flattenDiagnosticMessageText(found.messageText, "\n"));
  error.stack = `SyntaxError: ${error.message}\n    at ${pathToFileURL(path)}:${line + 1}:${character + 1}`;
  return error;
}
