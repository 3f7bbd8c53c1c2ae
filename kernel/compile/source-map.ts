// Source maps of cells, in the few cases where the JavaScript does not stand where the user wrote it.

/** A line is put before everything: the mappings of the rest move down by one. */
export function shiftByLine(mappings: string): string {
  return `;${mappings}`;
}

/** Mappings of a text that stands unchanged one line below. Its first `shift` characters are not the user's. */
export function identityMap(text: string, shift: number): string {
  let column = 0;
  const lines = text.split("\n").map((line, i) => {
    const columns = i === 0 ? Math.max(1, line.length - shift) : Math.max(1, line.length);
    // Each segment: generated column, source, line, column, as differences to the one before.
    const first = vlq(i === 0 ? shift : 0) + vlq(0) + vlq(i === 0 ? 0 : 1) + vlq(-column);
    column = columns - 1;
    return [first, ...Array<string>(columns - 1).fill("CAAC")].join(",");
  });
  return shiftByLine(lines.join(";"));
}

/** The comment that carries a map in the code itself. */
export function inlineMap(mappings: string, source: string): string {
  const map = JSON.stringify({ version: 3, sources: [source], names: [], mappings });
  return `//# sourceMappingURL=data:application/json;base64,${Buffer.from(map).toString("base64")}`;
}

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** A number as base64 digits of five bits, the sign in the lowest bit. */
function vlq(value: number): string {
  let rest = value < 0 ? (-value << 1) | 1 : value << 1;
  let text = "";
  do {
    const digit = rest & 31;
    rest >>>= 5;
    text += digits[rest > 0 ? digit | 32 : digit];
  } while (rest > 0);
  return text;
}
