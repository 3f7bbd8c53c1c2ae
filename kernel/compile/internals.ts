// The parts of TypeScript 6.0.3 that the kernel uses and TypeScript does not declare: the price of one checker that lives on instead of a new
// program for each cell. The version is pinned, and test/kernel/check.test.ts compares the result with that of an ordinary program.
import ts from "typescript";

/** A source file as the binder leaves it. */
export interface BoundFile extends ts.SourceFile {
  path: ts.Path;
  resolvedPath: ts.Path;
  /** The names that the file declares at its top level. */
  locals?: Map<string, ts.Symbol>;
  symbol?: ts.Symbol;
  parseDiagnostics: ts.DiagnosticWithLocation[];
  bindDiagnostics: ts.DiagnosticWithLocation[];
  externalModuleIndicator?: ts.Node | true;
  packageJsonScope?: unknown;
  /** What comments above the code say, by names in lower case. */
  pragmas: ReadonlyMap<string, unknown>;
  /** String literals of imports, filled by `createProgram`. */
  imports?: readonly ts.StringLiteralLike[];
  moduleAugmentations?: readonly ts.Node[];
  ambientModuleNames?: readonly string[];
  parent: ts.Node;
}

export interface LivingChecker extends ts.TypeChecker {
  getDiagnostics(file: ts.SourceFile): ts.Diagnostic[];
  /** Without a location: among the globals. */
  resolveName(
    name: string,
    location: ts.Node | undefined,
    meaning: ts.SymbolFlags,
    excludeGlobals: boolean,
  ): ts.Symbol | undefined;
}

export interface ResolvedModule {
  resolvedFileName: string;
  extension: string;
  isExternalLibraryImport?: boolean;
}

interface Internals {
  bindSourceFile(file: ts.SourceFile, options: ts.CompilerOptions): void;
  getTouchingPropertyName(file: ts.SourceFile, position: number): ts.Node;
  getJSXImplicitImportBase(options: ts.CompilerOptions, file: ts.SourceFile): string | undefined;
  getJSXRuntimeImport(base: string | undefined, options: ts.CompilerOptions): string | undefined;
  setParent(node: ts.Node, parent: ts.Node): void;
  findPrecedingToken(position: number, file: ts.SourceFile): ts.Node | undefined;
  Completions: {
    getCompletionsAtPosition(
      host: object,
      program: ts.Program,
      log: (text: string) => void,
      file: ts.SourceFile,
      position: number,
      preferences: ts.UserPreferences,
      trigger: undefined,
      kind: undefined,
      cancellation: undefined,
      format: undefined,
      includeSymbol: boolean,
    ): ts.CompletionInfo | undefined;
  };
  SymbolDisplay: {
    getSymbolDisplayPartsDocumentationAndSymbolKind(
      checker: ts.TypeChecker,
      symbol: ts.Symbol,
      file: ts.SourceFile,
      enclosing: ts.Node | undefined,
      location: ts.Node,
    ): {
      displayParts: ts.SymbolDisplayPart[];
      documentation: ts.SymbolDisplayPart[];
      symbolKind: string;
      tags?: ts.JSDocTagInfo[];
    };
  };
}

export const internals = ts as unknown as Internals;
