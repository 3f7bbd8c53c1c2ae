// The language of cells: what a cell means after the cells before it. One per notebook, in a process of its own (main.ts).
import ts from "typescript";
import {
  augmentationsOf,
  bindCell,
  type CellFile,
  decoratorsOf,
  parseCell,
  specifiersOf,
  uncheckedCode,
} from "./cell-file.ts";
import type { Groups } from "./declarations.ts";
import { type Diagnostic, nearPath, restate } from "./diagnostics.ts";
import { dialect } from "./dialect.ts";
import { emit, emitJavaScript } from "./emit.ts";
import { type BoundFile, internals } from "./internals.ts";
import { commandsAmong, type FrontMagic, frontMagic, MagicError, magicEdits } from "./magics.ts";
import { importedNames } from "./module-syntax.ts";
import { declaredNames, listOf } from "./names.ts";
import { isLenient } from "./options.ts";
import { createProject, type Project } from "./project.ts";
import { createScope, type Scope } from "./scope.ts";

/** What a cell comes to. With an error among the diagnostics it must not run, and nothing of it is declared. */
export interface Checked {
  /** What V8's REPL mode runs. */
  js: string;
  diagnostics: Diagnostic[];
  /** The names that the cell declares. */
  names: string[];
  /** The program is a new one: its checker has not run often. */
  isRebuilt?: boolean;
  /** How long the cell takes is to be told. */
  isTimed?: boolean;
  /** What the front has to do instead of running it. */
  magic?: FrontMagic;
}

export interface Cells {
  readonly project: Project;
  readonly scope: Scope;
  check(name: string, code: string): Checked;
  /** Forgets all names and imports: their process is gone. */
  reset(): void;
}

/** A name that an earlier cell imported, and how to import it again. */
interface Imported {
  specifier: string;
  again: string;
}

/** 2528: `export default` twice. 2661: `export { x }` of an earlier cell's x. Nothing is exported from a cell, so neither matters. */
const harmless = new Set([2528, 2661]);

/** 7026: the function that makes JSX elements has no types for them. Each element would say so. */
const untypedElement = 7026;

/** 2454: a variable is used before it is assigned. Functions may be called when a later cell has assigned it. */
const usedUnassigned = 2454;

export function createCells(folder: string): Cells {
  const project = createProject(folder);
  let scope = createScope();
  let groups: Groups = new Map();
  let imported = new Map<string, Imported>();
  /** Names whose files were edited and that no cell has imported again yet. */
  let stale = new Set<string>();

  function check(name: string, code: string): Checked {
    const javaScript = uncheckedCode(code) ?? (dialect() === "jslab" ? code : undefined);
    if (javaScript !== undefined) return checkJavaScript(name, javaScript);
    try {
      return checkTypeScript(name, code);
    } catch (error) {
      if (!(error instanceof MagicError)) throw error;
      const at = ts.createSourceFile("cell.ts", code, ts.ScriptTarget.ESNext);
      const length = /^\S*/.exec(code.slice(error.at).trimStart())![0].length;
      const start = error.at + /^\s*/.exec(code.slice(error.at))![0].length;
      const found = {
        file: at,
        start,
        length,
        code: 0,
        messageText: error.message,
        category: ts.DiagnosticCategory.Error,
      };
      return refused([restate(found, "error")]);
    }
  }

  /** `commands`: starts of lines that are commands of the shell, though they parse as TypeScript. */
  function checkTypeScript(name: string, code: string, commands?: ReadonlySet<number>): Checked {
    const { file, shift, magics } = parseCell(name, code, project, commands);
    const magic = magics && frontMagic(magics);
    if (magic !== undefined) return { js: "", diagnostics: [], names: [], magic };
    if (file.parseDiagnostics.length > 0) return refused(diagnosticsOf(file.parseDiagnostics, file, shift));
    const specifiers = specifiersOf(file, project.options.compiler);
    const { changed, rebuilt: isRebuilt } = project.update({
      specifiers,
      augmentations: augmentationsOf(file),
      decorators: decoratorsOf(file),
    });
    if (changed.size > 0) markStale(changed);
    if (project.configError !== undefined) return refused([inFile(project.configError)]);
    const own = importedNames(file);
    const renewed = [...stale].filter((each) => !own.some((one) => one.name === each));
    bindCell(file, scope.around, project);
    const diagnostics = orDefect(() => [
      ...errorsOfFiles([...specifiers, ...renewed.map((each) => imported.get(each)!.specifier)]),
      ...diagnosticsOf([...file.bindDiagnostics, ...project.checker.getDiagnostics(file)], file, shift),
    ]);
    if (diagnostics.some(({ category }) => category === "error")) {
      const found = magics && commandsAmong(file, unknownNames(file));
      const isNew = found !== undefined && found.size > 0 && !found.isSubsetOf(commands ?? new Set());
      return isNew ? checkTypeScript(name, code, found.union(commands ?? new Set())) : refused(diagnostics);
    }
    // Before the cell's own names are among them.
    const inserted =
      magics === undefined ? [] : magicEdits(file, magics, () => listOf(declaredNames({ scope, project })));
    const names = scope.publish(file, project.checker);
    const first = renewed.map((each) => imported.get(each)!.again);
    const js = emit(file, { compiler: project.options.compiler, groups, first, shift, inserted });
    declare(names, own);
    return { js, diagnostics, names, isRebuilt, isTimed: magics?.isTimed };
  }

  /** The rest of a cell that begins with `%%js` is JavaScript that nobody checks; its names are of type any. */
  function checkJavaScript(name: string, text: string): Checked {
    const file = ts.createSourceFile(`${name}.js`, text, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS) as BoundFile;
    if (file.parseDiagnostics.length > 0) return refused(diagnosticsOf(file.parseDiagnostics, file, 0));
    bindCell(file, scope.around, project);
    const own = [...(file.locals?.keys() ?? [])];
    const types = own.map((each) => `let ${each}: any; type ${each} = any;`);
    const declared = parseCell(name, types.join(" "), project).file;
    bindCell(declared, scope.around, project);
    const js = emitJavaScript(file, groups);
    declare(scope.publish(declared, project.checker), []);
    return { js, diagnostics: [], names: own };
  }

  /** Where names stand that mean nothing. */
  function unknownNames(file: BoundFile): Set<number> {
    const found = project.checker.getDiagnostics(file).filter(({ code }) => code === 2304 || code === 2552);
    return new Set(found.map(({ start }) => start!));
  }

  function declare(names: string[], imports: ({ name: string } & Imported)[]) {
    stale.clear();
    for (const name of names) imported.delete(name);
    for (const { name, ...how } of imports) imported.set(name, how);
  }

  function markStale(changed: Set<string>) {
    for (const [name, { specifier }] of imported) {
      if (!project.localFiles(specifier).isDisjointFrom(changed)) stale.add(name);
    }
  }

  function errorsOfFiles(specifiers: string[]): Diagnostic[] {
    const found = new Set([...new Set(specifiers)].flatMap((specifier) => project.localErrors(specifier)));
    return [...found].map(inFile);
  }

  function inFile(found: ts.Diagnostic): Diagnostic {
    return { ...restate(found, "error"), file: found.file && nearPath(found.file.fileName, project.cwd) };
  }

  function isHarmless(code: number): boolean {
    return harmless.has(code) || (code === untypedElement && project.options.lenient);
  }

  function diagnosticsOf(found: readonly ts.Diagnostic[], file: ts.SourceFile, shift: CellFile["shift"]): Diagnostic[] {
    return found
      .filter(({ category, code, file: of }) => {
        return category === ts.DiagnosticCategory.Error && !isHarmless(code) && (of === undefined || of === file);
      })
      .filter(({ code, start }) => {
        return (
          code !== usedUnassigned ||
          !isInFunction(internals.getTouchingPropertyName(file as BoundFile, start!), project.checker)
        );
      })
      .map((each) => restate(each, project.options.lenient && isLenient(each.code) ? "warning" : "error", shift))
      .toSorted((a, b) => a.line - b.line || a.column - b.column);
  }

  return {
    project,
    get scope() {
      return scope;
    },
    check,
    reset() {
      scope = createScope();
      groups = new Map();
      imported = new Map();
      stale = new Set();
      project.reset();
    },
  };
}

/** Whether a name stands in a function, and what it names is declared outside of all functions. */
function isInFunction(name: ts.Node, checker: ts.TypeChecker): boolean {
  const isWithin = (node: ts.Node | undefined) => ts.findAncestor(node, ts.isFunctionLike) !== undefined;
  return isWithin(name) && !isWithin(checker.getSymbolAtLocation(name)?.valueDeclaration);
}

/** TypeScript itself may fail. The cell then runs unchecked, which is better than not at all, and says so. */
function orDefect(find: () => Diagnostic[]): Diagnostic[] {
  try {
    return find();
  } catch (error) {
    const { message } = error as Error;
    const place = { line: 1, column: 1, endLine: 1, endColumn: 1, excerpt: "" };
    return [{ code: 0, category: "warning", message: `not checked, TypeScript itself failed: ${message}`, ...place }];
  }
}

const refused = (diagnostics: Diagnostic[]): Checked => ({ js: "", diagnostics, names: [] });
