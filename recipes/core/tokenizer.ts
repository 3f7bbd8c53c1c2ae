// Text to ids and back: single characters, or byte-pair encoding (Sennrich 2016) trained here, of characters or of bytes.
// Merges and ids are those of Python's `tokenizers` for the same text, words and a min_frequency of 2.

/** What a tokenizer knows, as plain data: to be kept as JSON. */
export interface TokenizerSpec {
  /** the single characters; their ids are 0, 1, 2, ... */
  alphabet: string;
  /** pairs of ids that become one, earlier ones first; each makes the next id, or that of a piece of the same letters */
  merges: [number, number][];
  /** the characters stand for bytes of UTF-8, as GPT-2 writes them, so that there is no text without ids */
  bytes?: boolean;
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
  const all = new Map(idOf);
  const rank = new Map<number, number>();
  const made = spec.merges.map(([left, right], i) => {
    if (!(pieces[left] && pieces[right])) throw new Error(`tokenizer: merge ${i} joins an id not made before it.`);
    rank.set(pairKey(left, right), i);
    return idFor(pieces[left] + pieces[right], pieces, all);
  });
  // A piece that two merges make may bring an earlier merge about: then they are done one by one.
  const one = pieces.length < idOf.size + made.length;
  const known = new Map<string, number[]>(); // words repeat
  const word = (text: string): number[] => {
    const seen = known.get(text);
    if (seen) return seen;
    let ids = letters(text, idOf, spec.bytes);
    for (;;) {
      let best = Number.POSITIVE_INFINITY; // the earliest merge goes first
      for (let i = 1; i < ids.length; i++) best = Math.min(best, rank.get(pairKey(ids[i - 1], ids[i])) ?? best);
      if (best === Number.POSITIVE_INFINITY) break;
      ids = merge(ids, spec.merges[best], made[best], one);
    }
    known.set(text, ids);
    return ids;
  };
  const piece = (id: number) => {
    if (pieces[id] === undefined) throw new Error(`decode: id ${id} is not in 0..${pieces.length - 1}.`);
    return pieces[id];
  };
  return {
    spec,
    size: pieces.length,
    encode: (text) => Int32Array.from(made.length ? words(text).flatMap(word) : letters(text, idOf, spec.bytes)),
    decode: (ids) => {
      const text = Array.from(ids, piece).join("");
      return spec.bytes ? utf8.decode(Uint8Array.from(text, (letter) => BYTES.indexOf(letter))) : text;
    },
  };
}

/** One id a character, over ALPHABET: 96 ids. */
export const chars: Tokenizer = tokenizer({ alphabet: ALPHABET, merges: [] });

/**
 * Trains byte-pair encoding on a text until there are `vocab` ids: the pair that is most frequent becomes one id, again
 * and again. Pairs do not cross words; of equally frequent ones the earlier by code points, then ids, so the result is the
 * same on any machine. The alphabet is ALPHABET and the other characters of the text, or with `bytes` the 256 bytes.
 */
export function bpe(text: string, vocab: number, { bytes = false } = {}): Tokenizer {
  const byCode = (a: string, b: string) => a.codePointAt(0)! - b.codePointAt(0)!;
  const others = [...new Set(text)].filter((letter) => !ALPHABET.includes(letter)).sort(byCode);
  const alphabet = bytes ? BYTES.toSorted(byCode).join("") : ALPHABET + others.join("");
  const pieces = Array.from(alphabet);
  const idOf = new Map(pieces.map((letter, id) => [letter, id]));
  if (!(Number.isInteger(vocab) && vocab >= idOf.size))
    throw new Error(
      `bpe: vocab is ${vocab}, but there are ${idOf.size} characters; ask for a whole number from there on.`,
    );
  const all = new Map(idOf);
  const order = new Map(pieces.toSorted(byCode).map((letter, i) => [idOf.get(letter)!, i]));
  const place = (id: number) => order.get(id) ?? id;
  const tie = (key: number) => pairKey(place(Math.floor(key / PAIR)), place(key % PAIR));
  const frequency = new Map<string, number>();
  for (const word of words(text)) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  const entries = Array.from(frequency, ([word, times]) => ({ ids: letters(word, idOf, bytes), times }));

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
  while (pieces.length < vocab) {
    let best = -1;
    let most = 1; // a pair seen once is not worth an id
    for (const [key, n] of counts)
      if (n > most || (n === most && best >= 0 && tie(key) < tie(best))) [best, most] = [key, n];
    if (best < 0)
      throw new Error(`bpe: the text has pairs for ${pieces.length} ids only, not for ${vocab}; give more text.`);
    const pair: [number, number] = [Math.floor(best / PAIR), best % PAIR];
    const id = idFor(pieces[pair[0]] + pieces[pair[1]], pieces, all);
    for (const index of holders.get(best)!) {
      tally(index, -1);
      entries[index].ids = merge(entries[index].ids, pair, id);
      tally(index, 1);
    }
    counts.delete(best);
    merges.push(pair);
  }
  return tokenizer(bytes ? { alphabet, merges, bytes } : { alphabet, merges });
}

const FOLDS = new Map(
  "‘' ’' “\" ”\" –- —-- ‑- •* …...".split(" ").map(([letter, ...plain]) => [letter, plain.join("")]),
);

/** The text in the characters of ALPHABET: quotes and dashes made plain, accents dropped, anything else a blank. */
export function ascii(text: string): string {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/[‘’“”–—‑•…]/g, (letter) => FOLDS.get(letter)!)
    .normalize("NFD")
    .replace(/\p{M}/gu, "")
    .replace(/[^\n\x20-\x7e]/gu, " ");
}

// Ids stay far below 2^20, and a pair below 2^53.
const PAIR = 2 ** 20;
const pairKey = (left: number, right: number) => left * PAIR + right;

// A word takes the blank before it along; digits, punctuation and white space are words of their own.
const WORD =
  / ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+?(?= \P{White_Space})|\p{White_Space}+/gu;
const words = (text: string): string[] => text.match(WORD) ?? [];

// A character for each byte: itself where it can be seen, else one of those from 256 on.
const visible = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
const hidden = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !visible(byte));
const BYTES = Array.from({ length: 256 }, (_, b) => String.fromCharCode(visible(b) ? b : 256 + hidden.indexOf(b)));
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

function letters(text: string, idOf: Map<string, number>, bytes = false): number[] {
  if (bytes) return Array.from(new TextEncoder().encode(text), (byte) => idOf.get(BYTES[byte])!);
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

/** The id of a piece: a new one, unless another pair has made it. */
function idFor(text: string, pieces: string[], all: Map<string, number>): number {
  const id = all.get(text) ?? pieces.push(text) - 1;
  all.set(text, id);
  return id;
}

/** The pair as one id, wherever it stands, or where it stands first. */
function merge(ids: number[], [left, right]: [number, number], id: number, one = false): number[] {
  const out: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right && !(one && out.length < i)) {
      out.push(id);
      i++;
    } else out.push(ids[i]);
  }
  return out;
}
