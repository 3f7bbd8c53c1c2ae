// Functions of tfjs that the engine replaces. The engine may be loaded twice into one process (a notebook runs on while
// engine/*.ts is edited), with one tfjs: then its replacements take the place of the earlier ones.

type Make = (inner: (...args: any[]) => any) => (...args: any[]) => any;
interface Replaced {
  plain: (...args: any[]) => any;
  layers: Map<string, Make>;
}

const KEY = Symbol.for("@whetstone/engine:replaced");

/**
 * Replaces the method `name` of `owner` by what `make` makes of it. Several layers lie on top of each other; one of the same name
 * is exchanged.
 */
export function replace(owner: object, name: string, layer: string, make: Make): void {
  const methods = owner as Record<string, (...args: any[]) => any>;
  const replaced = keptAt<Record<string, Replaced>>(owner, KEY, () => ({}));
  replaced[name] ??= { plain: methods[name], layers: new Map() };
  const { plain, layers } = replaced[name];
  layers.set(layer, make);
  methods[name] = [...layers.values()].reduce((inner, each) => each(inner), plain);
}

/** What is kept on `owner` under a symbol, made by the first load that asks for it. */
export function keptAt<T>(owner: object, key: symbol, make: () => T): T {
  const holder = owner as Record<symbol, T>;
  if (holder[key] === undefined) Object.defineProperty(owner, key, { value: make() });
  return holder[key];
}
