// The program around the cells: TypeScript's libraries, Node's types, the packages and local files that cells import. It is built again only when
// a cell imports something for the first time, or when a local file or the options have changed on disk.
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import ts from "typescript";
import { jsxRuntimeOf } from "./cell-file.ts";
import { dialect } from "./dialect.ts";
import { type BoundFile, internals, type LivingChecker, type ResolvedModule } from "./internals.ts";
import { type CellOptions, ConfigError, isLenient, optionsOf, usual } from "./options.ts";

export interface Project {
  readonly cwd: string;
  readonly options: CellOptions;
  /** What is wrong with the folder's tsconfig.json; the options are then those from before. */
  readonly configError: ts.Diagnostic | undefined;
  readonly program: ts.Program;
  readonly checker: LivingChecker;
  readonly host: ts.CompilerHost;
  /** Takes the project to another folder; cheap when Node's types are the same there. */
  move(cwd: string): void;
  /** Makes a file a neighbour of the imports that the program has resolved. */
  adopt(file: BoundFile): void;
  /**
   * Brings the program up to date with the disk and with what a cell imports. Returns whether it was rebuilt (every type is then new)
   * and the local files that changed.
   */
  update(wanted: Wanted): { rebuilt: boolean; changed: Set<string> };
  /** The local files that an import leads to, itself included. */
  localFiles(specifier: string): Set<string>;
  /** Errors in the local files that a relative import leads to. */
  localErrors(specifier: string): ts.Diagnostic[];
  /** Forgets all imports. */
  reset(): void;
}

/** What a cell needs of the program. */
export interface Wanted {
  specifiers: string[];
  augmentations: string[];
  /** How the cell's decorators work; nothing when it has none. */
  decorators?: Decorators;
}

/** As the options say, or the older ones of TypeScript, which a cell asks for. */
export type Decorators = "usual" | "legacy" | "legacy with metadata";

/** What a file on disk was when it was read. */
interface Stamp {
  mtimeMs: number;
  size: number;
  /** Written so shortly before it was read that a later write may have the same time. */
  isFresh: boolean;
}

interface ProgramInternals extends ts.Program {
  getResolvedModuleFromModuleSpecifier(
    specifier: ts.StringLiteralLike,
    file: ts.SourceFile,
  ): { resolvedModule?: ResolvedModule } | undefined;
}

/** Where the kernel's own files are: the folder of the bundle, or of this file. */
const here = import.meta.dirname;
const libraries = dirname(findUp(here, "node_modules/typescript/lib/lib.esnext.d.ts") ?? join(here, "lib.esnext.d.ts"));
const ambient = ["globals.d.ts", "widgets.d.ts", "tslab.d.ts"].flatMap(
  (name) => [join(here, name), join(here, "../compile", name)].find(existsSync) ?? [],
);
/** Libraries and packages, parsed once for all programs; they go into the snapshot. */
const parsed = new Map<string, { file: ts.SourceFile; mtimeMs: number }>();
const freshMs = 100;

export function createProject(folder: string): Project {
  let cwd = folder;
  let options = usual;
  let configError: ts.Diagnostic | undefined;
  let optionsText: string | undefined;
  let nodeTypes = findNodeTypes(cwd);
  let program: ts.Program;
  let checker: LivingChecker;
  let host: ts.CompilerHost;
  let anchor: BoundFile;
  let specifiers = new Set<string>();
  let augmentations = new Set<string>();
  let decorators: Decorators = "usual";
  const local = new Map<string, ts.SourceFile>();
  const stamps = new Map<string, Stamp>();
  /** Local files without errors, with the files that this verdict rests on. */
  const clean = new Map<string, ts.SourceFile[]>();
  const anchorPath = () => join(cwd, "__cells__.ts");
  readOptions();
  build();

  function readOptions() {
    optionsText = textOf(join(cwd, "tsconfig.json"));
    configError = undefined;
    try {
      options = withDecorators(optionsOf(cwd), decorators);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      configError = error.diagnostic;
    }
  }

  function build() {
    const root = anchorPath();
    const virtual = new Map([
      [root, `export {};${[...specifiers].map((s) => `import ${JSON.stringify(s)};`).join("")}`],
    ]);
    for (const text of augmentations)
      virtual.set(join(cwd, `__augmentation_${virtual.size}__.ts`), `export {};${text}`);
    host = createHost(virtual);
    const rootNames = [...(nodeTypes === undefined ? [] : [nodeTypes]), ...ambient, ...virtual.keys()];
    program = ts.createProgram({ rootNames, options: options.compiler, host, oldProgram: program });
    checker = program.getTypeChecker() as LivingChecker;
    anchor = program.getSourceFile(root) as BoundFile;
    stamps.clear();
    for (const file of program.getSourceFiles()) {
      if (!virtual.has(file.fileName) && isLocal(file.fileName)) stamps.set(file.fileName, stampOf(file.fileName));
    }
  }

  function createHost(virtual: Map<string, string>): ts.CompilerHost {
    const host = ts.createCompilerHost(options.compiler, true);
    const { fileExists, readFile, getSourceFile } = host;
    host.getCurrentDirectory = () => cwd;
    host.getDefaultLibLocation = () => libraries;
    host.fileExists = (path) => virtual.has(path) || fileExists(path);
    host.readFile = (path) => virtual.get(path) ?? readFile(path);
    host.getSourceFile = (path, version, ...rest) => {
      const text = virtual.get(path);
      if (text !== undefined) return ts.createSourceFile(path, text, version, true);
      const read = () => getSourceFile.call(host, path, version, ...rest);
      if (isLocal(path)) {
        const file = local.get(path) ?? read();
        if (file !== undefined) local.set(path, file);
        return file;
      }
      // A package may be installed in another version while the kernel runs.
      const mtimeMs = path.startsWith(libraries) ? 0 : (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? -1);
      const before = parsed.get(path);
      if (before?.mtimeMs === mtimeMs) return before.file;
      const file = read();
      if (file !== undefined) parsed.set(path, { file, mtimeMs });
      return file;
    };
    return host;
  }

  /** Local files whose text is no longer what the program was built from. */
  function changedFiles(): Set<string> {
    const changed = new Set<string>();
    for (const [path, old] of stamps) {
      const now = stampOf(path);
      if (now.mtimeMs === old.mtimeMs && now.size === old.size && !old.isFresh) continue;
      stamps.set(path, now);
      if (textOf(path) !== local.get(path)?.text) changed.add(path);
    }
    return changed;
  }

  /** Whether the program knows nothing of an import, or no types, and the disk now says more: a package was installed, a file was made. */
  function isOutdated(specifier: string): boolean {
    const then = resolved(specifier);
    if (then !== undefined && !(then.extension === ".js" && then.isExternalLibraryImport)) return false;
    const now = ts.resolveModuleName(
      specifier,
      anchorPath(),
      options.compiler,
      host,
      undefined,
      undefined,
      ts.ModuleKind.ESNext,
    );
    return now.resolvedModule?.resolvedFileName !== then?.resolvedFileName;
  }

  function resolved(specifier: string): ResolvedModule | undefined {
    const literal = anchor.imports?.find(({ text }) => text === specifier);
    return (
      literal && (program as ProgramInternals).getResolvedModuleFromModuleSpecifier(literal, anchor)?.resolvedModule
    );
  }

  function importsOf(file: BoundFile, relativeOnly: boolean): BoundFile[] {
    return (file.imports ?? []).flatMap((literal) => {
      if (relativeOnly && !/^\.\.?(\/|$)|^\//.test(literal.text)) return [];
      const to = (program as ProgramInternals).getResolvedModuleFromModuleSpecifier(literal, file)?.resolvedModule;
      const target = to && program.getSourceFile(to.resolvedFileName);
      return target !== undefined && isLocal(target.fileName) ? [target as BoundFile] : [];
    });
  }

  function closure(file: BoundFile, relativeOnly: boolean): Set<BoundFile> {
    const all = new Set([file]);
    for (const each of all) for (const next of importsOf(each, relativeOnly)) all.add(next);
    return all;
  }

  function target(specifier: string): BoundFile | undefined {
    const module = resolved(specifier);
    const file = module && program.getSourceFile(module.resolvedFileName);
    return file !== undefined && isLocal(file.fileName) ? (file as BoundFile) : undefined;
  }

  return {
    get cwd() {
      return cwd;
    },
    get options() {
      return options;
    },
    get configError() {
      return configError;
    },
    get program() {
      return program;
    },
    get checker() {
      return checker;
    },
    get host() {
      return host;
    },
    move(next) {
      const types = findNodeTypes(next);
      const isSame =
        specifiers.size === 0 &&
        types === nodeTypes &&
        optionsText === undefined &&
        dialect() === undefined &&
        textOf(join(next, "tsconfig.json")) === undefined;
      cwd = next;
      nodeTypes = types;
      if (isSame) return;
      readOptions();
      build();
    },
    adopt(file) {
      const path = anchorPath();
      file.path = file.resolvedPath = path as ts.Path;
      file.packageJsonScope = anchor.packageJsonScope;
      // What is asked of the imports by path and index is answered from the anchor's.
      const runtime = jsxRuntimeOf(file, options.compiler);
      file.imports = [...(runtime === undefined ? [] : [importByItself(runtime, file)]), ...(anchor.imports ?? [])];
      file.moduleAugmentations = file.ambientModuleNames = [];
    },
    update(wanted) {
      const changed = changedFiles();
      for (const path of changed) local.delete(path);
      let isOld = changed.size > 0;
      if (textOf(join(cwd, "tsconfig.json")) !== optionsText) {
        readOptions();
        isOld = true;
      }
      if (wanted.decorators !== undefined && wanted.decorators !== decorators) {
        decorators = wanted.decorators;
        readOptions();
        isOld = true;
      }
      for (const specifier of wanted.specifiers) {
        if (specifiers.has(specifier) && !isOutdated(specifier)) continue;
        specifiers.add(specifier);
        isOld = true;
      }
      for (const augmentation of wanted.augmentations) {
        if (augmentations.has(augmentation)) continue;
        augmentations.add(augmentation);
        isOld = true;
      }
      if (isOld) build();
      return { rebuilt: isOld, changed };
    },
    localFiles(specifier) {
      const file = target(specifier);
      return new Set(file === undefined ? [] : [...closure(file, false)].map(({ fileName }) => fileName));
    },
    localErrors(specifier) {
      const file = /^\.\.?(\/|$)|^\//.test(specifier) ? target(specifier) : undefined;
      if (file === undefined) return [];
      return [...closure(file, true)].flatMap((each) => {
        const basis = [...closure(each, false)];
        const before = clean.get(each.fileName);
        if (before?.length === basis.length && basis.every((b, i) => b === before[i])) return [];
        const found = [...program.getSyntacticDiagnostics(each), ...program.getSemanticDiagnostics(each)].filter(
          ({ category, code }) => category === ts.DiagnosticCategory.Error && !(options.lenient && isLenient(code)),
        );
        if (found.length === 0) clean.set(each.fileName, basis);
        return found;
      });
    },
    reset() {
      specifiers = new Set();
      augmentations = new Set();
      build();
    },
  };
}

function withDecorators(options: CellOptions, decorators: Decorators): CellOptions {
  if (decorators === "usual") return options;
  const emitDecoratorMetadata = decorators === "legacy with metadata";
  return { ...options, compiler: { ...options.compiler, experimentalDecorators: true, emitDecoratorMetadata } };
}

/** The import that JSX makes by itself, as TypeScript's programs put it before all others. */
function importByItself(specifier: string, file: ts.SourceFile): ts.StringLiteral {
  const literal = ts.factory.createStringLiteral(specifier);
  const declaration = ts.factory.createImportDeclaration(undefined, undefined, literal);
  internals.setParent(literal, declaration);
  internals.setParent(declaration, file);
  return literal;
}

/** Whether a file is the user's own: not of TypeScript, of the kernel, or of an installed package. */
function isLocal(path: string): boolean {
  return !path.includes("/node_modules/") && !path.startsWith(libraries) && !ambient.includes(path);
}

function stampOf(path: string): Stamp {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return { mtimeMs: -1, size: -1, isFresh: false };
  return { mtimeMs: found.mtimeMs, size: found.size, isFresh: Date.now() - found.mtimeMs < freshMs };
}

function textOf(path: string): string | undefined {
  // Nearly always there is none, and to fail takes Node a tenth of a millisecond.
  if (!existsSync(path)) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Node's types of the project that a folder belongs to, else those that came with the kernel. */
function findNodeTypes(folder: string): string | undefined {
  const path = "node_modules/@types/node/index.d.ts";
  const found = findUp(folder, path) ?? findUp(here, path);
  return found && realpathSync(found);
}

function findUp(from: string, path: string): string | undefined {
  const file = join(from, path);
  if (existsSync(file)) return file;
  const parent = dirname(from);
  return parent === from || from.endsWith(sep) ? undefined : findUp(parent, path);
}
