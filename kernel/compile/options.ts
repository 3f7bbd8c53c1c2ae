// The compiler options of cells: those of someone who explores, or those of a tsconfig.json beside the notebook.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { dialect } from "./dialect.ts";

export interface CellOptions {
  compiler: ts.CompilerOptions;
  /** Whether what hurts only in finished code (implicit `any`, missing declaration files) is a warning instead of an error. */
  lenient: boolean;
  /** Whether every cell may hold JSX, because a tsconfig.json says so; else only those that say it themselves. */
  jsx: boolean;
}

const fixed: ts.CompilerOptions = {
  target: ts.ScriptTarget.ESNext,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  moduleDetection: ts.ModuleDetectionKind.Force,
  allowImportingTsExtensions: true,
  allowJs: true,
  maxNodeModuleJsDepth: 0,
  noEmit: true,
  resolveJsonModule: true,
  skipLibCheck: true,
  composite: false,
  incremental: false,
  declaration: false,
};

const exploring: ts.CompilerOptions = {
  // For cells that say what makes their elements: see saysJsx in cell-file.ts.
  jsx: ts.JsxEmit.React,
  lib: ["lib.esnext.d.ts"],
  strict: true,
  useUnknownInCatchVariables: false,
  types: [],
};

/** The options where there is no tsconfig.json, or none that can be understood. */
export const usual: CellOptions = { compiler: { ...exploring, ...fixed }, lenient: true, jsx: false };

/** As tslab had them: what its notebooks do with `null` and with names without a type is no error. */
const loose: CellOptions = { compiler: { ...usual.compiler, strict: false }, lenient: true, jsx: false };

/** What is wrong with a tsconfig.json. */
export class ConfigError extends Error {
  override name = "ConfigError";
  readonly diagnostic: ts.Diagnostic;
  constructor(diagnostic: ts.Diagnostic) {
    super(ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n"));
    this.diagnostic = diagnostic;
  }
}

/** Reads the options that hold in a folder. Throws a ConfigError when its tsconfig.json cannot be understood. */
export function optionsOf(folder: string): CellOptions {
  const path = join(folder, "tsconfig.json");
  if (!existsSync(path)) return dialect() === "tslab" ? loose : usual;
  const { config, error } = ts.readConfigFile(path, (file) => readFileSync(file, "utf8"));
  if (error !== undefined) throw new ConfigError(error);
  const host: ts.ParseConfigHost = { ...ts.sys, readDirectory: () => [], useCaseSensitiveFileNames: true };
  const parsed = ts.parseJsonConfigFileContent(config, host, folder, undefined, path);
  // 18002, 18003: no input files. The cells are the input.
  const wrong = parsed.errors.find(({ code }) => code !== 18002 && code !== 18003);
  if (wrong !== undefined) throw new ConfigError(wrong);
  const { lib, jsx } = exploring;
  return {
    compiler: { lib, jsx, types: [], ...parsed.options, ...fixed },
    lenient: false,
    jsx: parsed.options.jsx !== undefined,
  };
}

/** Codes between 7000 and 7099 that are not about an implicit `any`: unreachable code, unused labels, fall-through, missing returns. */
const notImplicit = new Set([7027, 7028, 7029, 7030]);
/** 2564: a class field without a first value. 2683: `this` without a type. */
const alsoLenient = new Set([2564, 2683]);

/** Whether a diagnostic is only a warning for someone who explores. */
export function isLenient(code: number): boolean {
  return (code >= 7000 && code < 7100 && !notImplicit.has(code)) || alsoLenient.has(code);
}
