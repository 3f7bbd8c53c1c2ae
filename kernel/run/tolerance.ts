// Texts and values compared number by number.

export interface Tolerance {
  rtol: number;
  atol: number;
}

const isNear = (a: number, b: number, { rtol, atol }: Tolerance) =>
  Object.is(a, b) || a === b || Math.abs(a - b) <= atol + rtol * Math.max(Math.abs(a), Math.abs(b));

// Digits that belong to a word, such as those of "h1" or "T5", are text.
const numeral = /(?<![\w.])[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?![\w])/gi;

/** The first difference of two texts, in words: their numbers may be off by the tolerance, white space may differ. */
export function differenceOfTexts(was: string, is: string, tolerance: Tolerance): string | undefined {
  if (was === is) return undefined;
  const [old, now] = [pieces(was), pieces(is)];
  for (let i = 0; i < Math.max(old.words.length, now.words.length); i++) {
    const [a, b] = [old.words[i], now.words[i]];
    if (a !== b) return `${quoted(a)} → ${quoted(b)}`;
    const [x, y] = [old.numbers[i], now.numbers[i]];
    if (x === undefined || y === undefined) {
      if (x !== y) return `${x ?? "no number"} → ${y ?? "no number"}${after(a)}`;
    } else if (!isNear(x, y, tolerance)) return `${x} → ${y}${after(a)} (${apart(x, y, tolerance)})`;
  }
  return undefined;
}

/** Words between the numbers, and the numbers after them. Thin spaces between thousands belong to a number. */
function pieces(text: string) {
  const joined = text.replaceAll(/(?<=\d)\u202f(?=\d)/g, "");
  return {
    words: joined.split(numeral).map((part) => part.replaceAll(/\s+/g, " ").trim()),
    numbers: [...joined.matchAll(numeral)].map(([found]) => Number(found)),
  };
}

const longest = 60;
const quoted = (text: string | undefined) =>
  text === undefined ? "nothing" : JSON.stringify(text.length > longest ? `${text.slice(0, longest)}...` : text);
const after = (words: string | undefined) => (words ? ` after ${quoted(words.slice(-longest))}` : "");
const apart = (x: number, y: number, { rtol }: Tolerance) =>
  `${((100 * Math.abs(x - y)) / Math.max(Math.abs(x), Math.abs(y))).toPrecision(3)} % apart, ${100 * rtol} % allowed`;

/** The first difference of two values of JSON, with the path to it. Arrays that plotly packs into base64 are compared by their numbers. */
export function differenceOfValues(was: unknown, is: unknown, tolerance: Tolerance, path = ""): string | undefined {
  if (typeof was === "number" && typeof is === "number")
    return isNear(was, is, tolerance)
      ? undefined
      : `${was} → ${is} at ${path || "the top"} (${apart(was, is, tolerance)})`;
  if (typeof was === "string" && typeof is === "string") {
    const difference = differenceOfTexts(was, is, tolerance);
    return difference === undefined ? undefined : `${difference} at ${path || "the top"}`;
  }
  if (!isObject(was) || !isObject(is))
    return was === is
      ? undefined
      : `${quoted(JSON.stringify(was))} → ${quoted(JSON.stringify(is))} at ${path || "the top"}`;
  const [old, now] = [unpacked(was), unpacked(is)];
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  for (const name of names) {
    const difference = differenceOfValues(old[name], now[name], tolerance, path === "" ? name : `${path}.${name}`);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

const arrays = {
  f8: Float64Array,
  f4: Float32Array,
  i4: Int32Array,
  u4: Uint32Array,
  i2: Int16Array,
  u2: Uint16Array,
  i1: Int8Array,
  u1: Uint8Array,
};

function unpacked(value: Record<string, unknown>): Record<string, unknown> {
  const { dtype, bdata, ...rest } = value;
  if (typeof bdata !== "string" || !Object.hasOwn(arrays, String(dtype))) return value;
  const bytes = Uint8Array.from(Buffer.from(bdata, "base64"));
  const Type = arrays[dtype as keyof typeof arrays];
  if (bytes.length % Type.BYTES_PER_ELEMENT !== 0) return value;
  return { ...rest, dtype, values: [...new Type(bytes.buffer)] };
}
