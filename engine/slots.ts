// Things by number, in an array. A Map that is filled and emptied all the time leaves old tables behind, which hold on to what was in
// them until V8 collects its whole heap.

// The rest of an id counts how often its slot was used, so that an id that is gone is never that of something else.
const SLOTS = 2 ** 24;

/** Keeps things under ids of its own. */
export function slots<T extends object>() {
  const things: (T | undefined)[] = [];
  const ids: number[] = [];
  const free: number[] = [];
  return {
    size: () => things.length - free.length,
    /** @returns its id, from 1 on */
    add(thing: T): number {
      const slot = free.pop() ?? things.length;
      if (slot >= SLOTS) throw new Error(`${SLOTS} tensors are alive; dispose some, or use tf.tidy`);
      const id = (ids[slot] ?? slot) + SLOTS;
      things[slot] = thing;
      ids[slot] = id;
      return id;
    },
    get(id: number): T | undefined {
      const slot = id % SLOTS;
      return ids[slot] === id ? things[slot] : undefined;
    },
    delete(id: number): void {
      const slot = id % SLOTS;
      if (ids[slot] !== id || things[slot] === undefined) return;
      things[slot] = undefined;
      free.push(slot);
    },
  };
}
