// The names that earlier cells have declared. They live in modules of their own around every new cell, so a cell sees them and TypeScript's
// libraries do not: `type Record = ...` in a cell changes no other file.
import ts from "typescript";
import { type BoundFile, internals, type LivingChecker } from "./internals.ts";

export interface Scope {
  /** The module to put around the next cell. */
  readonly around: BoundFile;
  /** Makes the names of a checked cell visible to later ones. Returns them. */
  publish(file: BoundFile, checker: LivingChecker): string[];
}

const { Value, Type, Namespace } = ts.SymbolFlags;

/**
 * An empty scope. Each cell keeps the module that was around it when it was checked: what it says of the names of earlier cells stays as it was
 * when they are declared again, also in a new program, whose checker works the types of all cells out afresh.
 */
export function createScope(): Scope {
  let around = createLevel(new Map());
  return {
    get around() {
      return around;
    },
    publish(file, checker) {
      const added = namesOf(file);
      if (added.size === 0) return [];
      for (const symbol of added.values()) letLaterCellsAssign(symbol);
      const names = around.locals!;
      // Names that meant nothing before change nothing for the cells that are there: their module may get them too. Copies for each cell would
      // take memory that grows with the square of the number of cells.
      if ([...added.keys()].every((name) => !isKnown(name, around, checker))) {
        for (const [name, symbol] of added) names.set(name, symbol);
        return [...added.keys()];
      }
      // A name may be a value, a type and a namespace. What is declared later hides only the same meanings of what was declared before: after
      // `interface Point {}` and `const Point = ...` both hold. So the earlier one stays in an outer module.
      const keepsMeanings = [...added].every(([name, after]) => {
        const before = names.get(name);
        return before === undefined || (meanings(before, checker) & ~meanings(after, checker)) === 0;
      });
      around = keepsMeanings
        ? createLevel(new Map([...names, ...added]), around.parent as BoundFile | undefined)
        : createLevel(added, around);
      return [...added.keys()];
    },
  };
}

/** Whether a name stands for something in a module, in those around it, or everywhere. */
function isKnown(name: string, level: BoundFile | undefined, checker: LivingChecker): boolean {
  if (level === undefined) return checker.resolveName(name, undefined, Value | Type | Namespace, false) !== undefined;
  return level.locals!.has(name) || isKnown(name, level.parent as BoundFile | undefined, checker);
}

/** The symbols that a bound file declares at its top level. Internal names, such as that of `declare global`, are left out. */
function namesOf(file: BoundFile): Map<string, ts.Symbol> {
  const found = [...(file.locals ?? [])].filter(([name]) => !name.startsWith('"') && name !== "__global");
  return new Map(
    found.map(([name, symbol]) => [name, (symbol as { exportSymbol?: ts.Symbol }).exportSymbol ?? symbol]),
  );
}

/**
 * TypeScript takes a variable that its own file never assigns for one that stays `undefined`, but another cell may assign it. A position below
 * zero says that it is assigned.
 */
function letLaterCellsAssign(symbol: ts.Symbol & { lastAssignmentPos?: number }) {
  if ((symbol.flags & ts.SymbolFlags.Variable) !== 0)
    symbol.lastAssignmentPos = -Math.abs(symbol.lastAssignmentPos ?? 1);
}

function meanings(symbol: ts.Symbol, checker: LivingChecker): ts.SymbolFlags {
  const { flags } = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  return [Value, Type, Namespace].reduce<ts.SymbolFlags>(
    (all, meaning) => (flags & meaning ? all | meaning : all),
    ts.SymbolFlags.None,
  );
}

/** A module with these names, inside another one. */
function createLevel(names: Map<string, ts.Symbol>, outer?: BoundFile): BoundFile {
  const level = ts.createSourceFile("__scope__.ts", "export {};", ts.ScriptTarget.ESNext, true) as BoundFile;
  internals.bindSourceFile(level, {});
  level.locals = names;
  level.parent = outer as ts.Node;
  return level;
}
