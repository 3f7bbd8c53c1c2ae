// Text to ids and back: single characters, or byte-pair encoding (Sennrich 2016) trained here.

/** What a tokenizer knows, as plain data: to be kept as JSON. */
export interface TokenizerSpec {
  /** the single characters; their ids are 0, 1, 2, ... */
  alphabet: string;
  /** pairs of ids that become one; merge i makes the id alphabet.length + i, and earlier ones go first */
  merges: [number, number][];
}

export interface Tokenizer {
  spec: TokenizerSpec;
  /** how many ids there are: the vocabulary */
  size: number;
  /** Throws for a character outside the alphabet; `ascii(text)` folds typographic ones to plain ones. */
  encode(text: string): Int32Array;
  decode(ids: ArrayLike<number>): string;
}

/** The 95 printable ASCII characters and the line break. */
export const ALPHABET = `${String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 32 + i))}\n`;

/** The tokenizer that was described by `spec`. */
export function tokenizer(spec: TokenizerSpec): Tokenizer {
  const pieces = Array.from(spec.alphabet);
  const idOf = new Map(pieces.map((letter, id) => [letter, id]));
  const rank = new Map<number, number>();
  for (const [left, right] of spec.merges) {
    if (!(pieces[left] && pieces[right]))
      throw new Error(`tokenizer: merge ${rank.size} joins an id not made before it.`);
    rank.set(pairKey(left, right), pieces.length);
    pieces.push(pieces[left] + pieces[right]);
  }
  const known = new Map<string, number[]>(); // words repeat
  const word = (text: string): number[] => {
    const seen = known.get(text);
    if (seen) return seen;
    let ids = letters(text, idOf);
    for (;;) {
      let best = Number.POSITIVE_INFINITY; // the earliest merge goes first
      for (let i = 1; i < ids.length; i++) best = Math.min(best, rank.get(pairKey(ids[i - 1], ids[i])) ?? best);
      if (best === Number.POSITIVE_INFINITY) break;
      ids = merge(ids, spec.merges[best - idOf.size], best);
    }
    known.set(text, ids);
    return ids;
  };
  return {
    spec,
    size: pieces.length,
    encode: (text) => Int32Array.from(spec.merges.length ? words(text).flatMap(word) : letters(text, idOf)),
    decode: (ids) =>
      Array.from(ids, (id) => {
        if (pieces[id] === undefined) throw new Error(`decode: id ${id} is not in 0..${pieces.length - 1}.`);
        return pieces[id];
      }).join(""),
  };
}

/** One id a character, over ALPHABET: 96 ids. */
export const chars: Tokenizer = tokenizer({ alphabet: ALPHABET, merges: [] });

/**
 * Trains byte-pair encoding on a text until there are `vocab` ids: the pair that is most frequent becomes one id, again
 * and again. Pairs do not cross words; of equally frequent ones the pair of smaller ids wins, so the result is the same
 * on any machine. The alphabet is ALPHABET and the other characters of the text, so plain ASCII can always be encoded.
 */
export function bpe(text: string, vocab: number): Tokenizer {
  const others = [...new Set(text)].filter((letter) => !ALPHABET.includes(letter)).sort();
  const alphabet = ALPHABET + others.join("");
  const idOf = new Map(Array.from(alphabet, (letter, id) => [letter, id]));
  if (vocab < idOf.size)
    throw new Error(`bpe: vocab is ${vocab}, but the text has ${idOf.size} characters; ask for more.`);
  const frequency = new Map<string, number>();
  for (const word of words(text)) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  const entries = Array.from(frequency, ([word, times]) => ({ ids: letters(word, idOf), times }));

  const counts = new Map<number, number>(); // of pairs
  const holders = new Map<number, Set<number>>(); // the entries that have, or had, a pair
  const tally = (index: number, sign: 1 | -1) => {
    const { ids, times } = entries[index];
    for (let i = 1; i < ids.length; i++) {
      const key = pairKey(ids[i - 1], ids[i]);
      counts.set(key, (counts.get(key) ?? 0) + sign * times);
      if (sign > 0) holders.set(key, (holders.get(key) ?? new Set()).add(index));
    }
  };
  entries.forEach((_, index) => {
    tally(index, 1);
  });
  const merges: [number, number][] = [];
  for (let id = idOf.size; id < vocab; id++) {
    let best = -1;
    let most = 1; // a pair seen once is not worth an id
    for (const [key, n] of counts) if (n > most || (n === most && best >= 0 && key < best)) [best, most] = [key, n];
    if (best < 0) throw new Error(`bpe: the text has pairs for ${id} ids only, not for ${vocab}; give more text.`);
    const pair: [number, number] = [Math.floor(best / PAIR), best % PAIR];
    for (const index of holders.get(best)!) {
      tally(index, -1);
      entries[index].ids = merge(entries[index].ids, pair, id);
      tally(index, 1);
    }
    counts.delete(best);
    merges.push(pair);
  }
  return tokenizer({ alphabet, merges });
}

const FOLDS: Record<string, string> = {
  "‘": "'",
  "’": "'",
  "“": '"',
  "”": '"',
  "–": "-",
  "—": "--",
  "‑": "-",
  "•": "*",
  "…": "...",
};

/** The text in the characters of ALPHABET: quotes and dashes made plain, accents dropped, anything else a blank. */
export function ascii(text: string): string {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/[‘’“”–—‑•…]/g, (letter) => FOLDS[letter])
    .normalize("NFD")
    .replace(/\p{M}/gu, "")
    .replace(/[^\n\x20-\x7e]/gu, " ");
}

// Ids stay far below 2^20, and a pair below 2^53.
const PAIR = 2 ** 20;
const pairKey = (left: number, right: number) => left * PAIR + right;

// A word takes the blank before it along; digits, punctuation and white space are words of their own.
const words = (text: string): string[] => text.match(/ ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+?(?= \S)|\s+/gu) ?? [];

function letters(text: string, idOf: Map<string, number>): number[] {
  return Array.from(text, (letter) => {
    const id = idOf.get(letter);
    if (id === undefined) {
      const at = text.indexOf(letter);
      throw new Error(
        `encode: ${JSON.stringify(letter)} (character ${at}) is not in the alphabet of ${idOf.size}; ascii(text) folds it.`,
      );
    }
    return id;
  });
}

function merge(ids: number[], [left, right]: [number, number], id: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      out.push(id);
      i++;
    } else out.push(ids[i]);
  }
  return out;
}
