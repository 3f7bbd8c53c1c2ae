// Reads from a TrueType font how wide each character is: the tables `head` (units), `hhea`/`hmtx` (widths) and `cmap` (character -> glyph).

/** Width of a character in units of the font size, by code point. */
export type FontWidths = Map<number, number>;

/** Where no font file is known: the mean width of a Latin letter in a sans-serif face. */
const meanWidth = 0.55;

/** Width of a text in units of the font size. */
export function advanceWidth(widths: FontWidths | undefined, text: string): number {
  let sum = 0;
  for (const char of text) sum += widths?.get(char.codePointAt(0)!) ?? meanWidth;
  return sum;
}

/** The widths of all characters below U+FFFF of a TrueType file. Throws when a table is missing. */
export function readWidths(font: Uint8Array): FontWidths {
  const view = new DataView(font.buffer, font.byteOffset, font.byteLength);
  const table = (tag: string) => {
    for (let i = 0; i < view.getUint16(4); i++) {
      const at = 12 + 16 * i;
      if (String.fromCharCode(...font.subarray(at, at + 4)) === tag) return view.getUint32(at + 8);
    }
    throw new Error(`The font has no table "${tag}"`);
  };
  const unitsPerEm = view.getUint16(table("head") + 18);
  const metrics = view.getUint16(table("hhea") + 34);
  const hmtx = table("hmtx");
  const widthOf = (glyph: number) => view.getUint16(hmtx + 4 * Math.min(glyph, metrics - 1)) / unitsPerEm;
  const widths: FontWidths = new Map();
  for (const [char, glyph] of characterMap(view, table("cmap"))) widths.set(char, widthOf(glyph));
  return widths;
}

/** The pairs of a format 4 subtable (segments of the Basic Multilingual Plane), which every TrueType text font has. */
function* characterMap(view: DataView, cmap: number): Generator<[char: number, glyph: number]> {
  const subtables = Array.from(
    { length: view.getUint16(cmap + 2) },
    (_, i) => cmap + view.getUint32(cmap + 4 + 8 * i + 4),
  );
  const at = subtables.find((start) => view.getUint16(start) === 4);
  if (at === undefined) throw new Error("The font has no character map of format 4");
  const segments = view.getUint16(at + 6) / 2;
  const [ends, starts] = [at + 14, at + 16 + 2 * segments];
  const [deltas, offsets] = [starts + 2 * segments, starts + 4 * segments];
  for (let i = 0; i < segments; i++) {
    const [start, end] = [view.getUint16(starts + 2 * i), view.getUint16(ends + 2 * i)];
    const [delta, offset] = [view.getUint16(deltas + 2 * i), view.getUint16(offsets + 2 * i)];
    for (let char = start; char <= end && char < 0xffff; char++) {
      const found = offset === 0 ? char : view.getUint16(offsets + 2 * i + offset + 2 * (char - start));
      const glyph = offset !== 0 && found === 0 ? 0 : (found + delta) & 0xffff;
      if (glyph !== 0) yield [char, glyph];
    }
  }
}
