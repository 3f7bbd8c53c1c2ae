// Messages that come a second time: whoever has seen one on the wire could send it again without knowing the key.

/** So many of the last signatures are known at least, twice as many at most. Each takes some 100 bytes. */
const remembered = 65_536;

/**
 * Returns whether a signature is new, and remembers it. A message that is older than all that are remembered would be taken again: its signature
 * says nothing of when it was made, and clocks of clients may be wrong.
 */
export function createReplayGuard(limit = remembered): (signature: Buffer) => boolean {
  // Two generations: to forget the oldest of one set, one by one, takes longer the larger it is.
  let recent = new Set<string>();
  let older = new Set<string>();
  return (signature) => {
    const text = signature.toString("latin1");
    if (recent.has(text) || older.has(text)) return false;
    recent.add(text);
    if (recent.size >= limit) [older, recent] = [recent, new Set()];
    return true;
  };
}
