// The names that earlier cells have declared. They live in a module of their own around every new cell, so a cell sees them and TypeScript's
// libraries do not: `type Record = ...` in a cell changes no other file.
import ts from "typescript";
import type { BoundFile, LivingChecker } from "./internals.ts";

const { Value, Type, Namespace } = ts.SymbolFlags;

export interface Scope {
  /** The file that stands around each cell. */
  readonly around: BoundFile;
  readonly names: Map<string, ts.Symbol>;
  /** Makes the names of a checked cell visible to later ones. */
  publish(file: BoundFile, checker: LivingChecker): void;
}

/** Makes an empty scope from a bound module without names. */
export function createScope(around: BoundFile): Scope {
  const names = new Map<string, ts.Symbol>();
  around.locals = names;
  return {
    around,
    names,
    publish(file, checker) {
      for (const [name, symbol] of file.locals ?? []) {
        const before = names.get(name);
        names.set(name, before === undefined ? symbol : keepMeanings(before, symbol, name, checker));
      }
    },
  };
}

/**
 * A name may be a value, a type and a namespace. What a later cell declares hides only the same meanings of the earlier one: after
 * `interface Point {}` and `const Point = ...` both hold, as they would in nested modules.
 */
function keepMeanings(before: ts.Symbol, after: ts.Symbol, name: string, checker: LivingChecker): ts.Symbol {
  const later = target(after, checker);
  const earlier = target(before, checker);
  const lost = earlier.flags & ~hidden(later.flags);
  if ((lost & (Value | Type | Namespace)) === 0) return after;
  const pick = (meaning: ts.SymbolFlags) => (later.flags & meaning ? later : earlier.flags & meaning ? earlier : undefined);
  return combine(name, { value: pick(Value), type: pick(Type), namespace: pick(Namespace) }, checker);
}

/** All flags of the meanings that the flags have. */
function hidden(flags: ts.SymbolFlags): ts.SymbolFlags {
  return [Value, Type, Namespace].reduce((all, meaning) => (flags & meaning ? all | meaning : all), 0);
}

function target(symbol: ts.Symbol, checker: LivingChecker): ts.Symbol {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : checker.getMergedSymbol(symbol);
}

interface Meanings {
  value?: ts.Symbol;
  type?: ts.Symbol;
  namespace?: ts.Symbol;
}

function combine(name: string, { value, type, namespace }: Meanings, checker: LivingChecker): ts.Symbol {
  const { BlockScopedVariable, Variable, Function, Interface, TypeAlias, NamespaceModule } = ts.SymbolFlags;
  let flags = ts.SymbolFlags.None;
  if (value !== undefined) flags |= value.flags & (Variable | Function) || BlockScopedVariable;
  if (type !== undefined) flags |= type.flags & TypeAlias || Interface;
  if (namespace !== undefined) flags |= NamespaceModule;
  const both = checker.createSymbol(flags, name);
  both.declarations = [...new Set([value, type, namespace].flatMap((part) => part?.declarations ?? []))];
  both.valueDeclaration = value?.valueDeclaration;
  both.exports = namespace?.exports;
  both.members = type?.members;
  if (value !== undefined) both.links.type = checker.getTypeOfSymbol(value);
  // The type of an alias is made from its declaration, with its parameters.
  if (type !== undefined && !(type.flags & TypeAlias)) both.links.declaredType = checker.getDeclaredTypeOfSymbol(type);
  return both;
}
