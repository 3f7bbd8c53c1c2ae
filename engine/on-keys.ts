// A WeakMap whose values lie on the keys themselves. A WeakMap that is filled and emptied all the time, as tfjs' records of tensors
// are, makes a new hash table every few hundred entries, which lives until V8 collects its whole heap: 2.5 MB in 1 000 training steps.

/** The part of a WeakMap that tfjs uses. */
export class OnKeys<V extends object> {
  readonly #key = Symbol("kept");
  readonly #before: WeakMap<object, V> | undefined;

  /** @param before what was kept of earlier keys */
  constructor(before?: WeakMap<object, V>) {
    this.#before = before;
  }

  get(key: object): V | undefined {
    return (key as Record<symbol, V>)[this.#key] ?? this.#before?.get(key);
  }

  has(key: object): boolean {
    return this.get(key) !== undefined;
  }

  set(key: object, value: V): this {
    (key as Record<symbol, V>)[this.#key] = value;
    return this;
  }

  delete(key: object): boolean {
    const there = (key as Record<symbol, V | undefined>)[this.#key] !== undefined;
    // A property that is deleted makes the object slow.
    if (there) (key as Record<symbol, V | undefined>)[this.#key] = undefined;
    return (this.#before?.delete(key) ?? false) || there;
  }
}
