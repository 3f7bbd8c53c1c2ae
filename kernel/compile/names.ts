// The names that cells have declared, with their types.
import ts from "typescript";
import type { Cells } from "./cells.ts";
import type { BoundFile } from "./internals.ts";

export interface DeclaredName {
  name: string;
  /** As TypeScript writes it; `type`, `interface`, `namespace` for what has no value. */
  type: string;
  isValue: boolean;
}

const maxType = 100;

/** All of them, sorted. */
export function declaredNames({ scope, project: { checker } }: Pick<Cells, "scope" | "project">): DeclaredName[] {
  const symbols = new Map<string, ts.Symbol>();
  let level: BoundFile | undefined = scope.around;
  for (; level !== undefined; level = level.parent as BoundFile | undefined) {
    for (const [name, symbol] of level.locals ?? []) if (!symbols.has(name)) symbols.set(name, symbol);
  }
  const found = [...symbols].map(([name, symbol]): DeclaredName => {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    if ((target.flags & ts.SymbolFlags.Value) === 0) {
      const type = target.flags & ts.SymbolFlags.Interface ? "interface" : "type";
      return { name, type, isValue: false };
    }
    const type = checker.typeToString(checker.getTypeOfSymbol(target));
    return { name, type: type.length > maxType ? `${type.slice(0, maxType)}...` : type, isValue: true };
  });
  return found.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** A line for each. */
export function listOf(names: readonly DeclaredName[]): string {
  if (names.length === 0) return "no names have been declared";
  const width = Math.max(...names.map(({ name }) => name.length));
  return names.map(({ name, type }) => `${name.padEnd(width)}  ${type}`).join("\n");
}
