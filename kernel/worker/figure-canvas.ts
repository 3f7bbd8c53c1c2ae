// The part of a 2D canvas that plotly's heat maps and images use: filled rectangles and raw pixels, read back as a PNG.
import { crc32, deflateSync } from "node:zlib";

type RGBA = [red: number, green: number, blue: number, alpha: number];

/** A drawing context for an element with a width and a height in pixels. */
export function pixelCanvas({ width, height }: { width: number; height: number }) {
  const [columns, rows] = [Math.max(1, Math.round(width)), Math.max(1, Math.round(height))];
  const pixels = new Uint8Array(4 * columns * rows);
  const clamp = (value: number, max: number) => Math.max(0, Math.min(max, Math.round(value)));
  return {
    fillStyle: "rgba(0,0,0,1)",
    fillRect(x: number, y: number, w: number, h: number) {
      const color = parseColor(this.fillStyle);
      const [left, right] = [clamp(x, columns), clamp(x + w, columns)];
      for (let row = clamp(y, rows); row < clamp(y + h, rows); row++) {
        for (let column = left; column < right; column++) pixels.set(color, 4 * (row * columns + column));
      }
    },
    createImageData: (w: number, h: number) => ({ width: w, height: h, data: new Uint8ClampedArray(4 * w * h) }),
    putImageData(image: { width: number; height: number; data: Uint8ClampedArray }, x: number, y: number) {
      for (let row = 0; row < Math.min(image.height, rows - y); row++) {
        const line = image.data.subarray(
          4 * row * image.width,
          4 * (row * image.width + Math.min(image.width, columns - x)),
        );
        pixels.set(line, 4 * ((row + y) * columns + x));
      }
    },
    toDataURL: () => `data:image/png;base64,${encodePNG(pixels, columns, rows).toString("base64")}`,
  };
}

/** `rgb(1, 2, 3)` or `rgba(1, 2, 3, 0.5)`, the two forms that plotly's colour scales write. */
function parseColor(text: string): RGBA {
  const [red = 0, green = 0, blue = 0, alpha = 1] = (text.match(/[\d.]+/g) ?? []).map(Number);
  return [red, green, blue, Math.round(255 * alpha)];
}

/**
 * The pixels as a PNG. A chart has few colours: where 256 are enough to come within 8 or 16 levels (of 256) of each channel, a palette is used, a quarter of
 * the bytes; notebooks with figures stay small enough for git.
 */
export function encodePNG(pixels: Uint8Array, width: number, height: number): Buffer {
  const counts = histogram(pixels);
  const bits = palette(counts, 5) === undefined ? 4 : 5;
  const colors = palette(counts, bits);
  const channels = colors === undefined ? 4 : 1;
  const bytes = colors === undefined ? pixels : indexed(pixels, colors, bits);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, colors === undefined ? 6 : 3], 8);
  const row = channels * width;
  const lines = Buffer.alloc((row + 1) * height); // each row begins with its filter: 0, none
  for (let y = 0; y < height; y++) lines.set(bytes.subarray(row * y, row * (y + 1)), (row + 1) * y + 1);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    ...(colors === undefined ? [] : [chunk("PLTE", Buffer.from(colors.flatMap((color) => [...color.subarray(0, 3)])))]),
    chunk("IDAT", deflateSync(lines, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** The high bits of each colour channel: colours of one bucket look the same. */
function bucket(color: Uint8Array, at: number, bits: number): number {
  const drop = 8 - bits;
  return ((color[at]! >> drop) << (2 * bits)) | ((color[at + 1]! >> drop) << bits) | (color[at + 2]! >> drop);
}

/** The most frequent colour of each bucket, or nothing when there are more than 256 of them or something is transparent. */
function palette(counts: Map<number, number>, bits: number): Uint8Array[] | undefined {
  const colors = new Map<number, Uint8Array>();
  for (const [word] of counts) {
    const color = new Uint8Array(Uint32Array.of(word).buffer);
    if (color[3] !== 255) return undefined;
    const key = bucket(color, 0, bits);
    if (!colors.has(key)) colors.set(key, color);
    if (colors.size > 256) return undefined;
  }
  return [...colors.values()];
}

/** How often each colour occurs, the most frequent first; the keys are the four bytes of a pixel as one word. */
function histogram(pixels: Uint8Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const word of new Uint32Array(pixels.buffer, pixels.byteOffset, pixels.length / 4))
    counts.set(word, (counts.get(word) ?? 0) + 1);
  return new Map([...counts].toSorted(([, a], [, b]) => b - a));
}

function indexed(pixels: Uint8Array, colors: Uint8Array[], bits: number): Uint8Array {
  const indexOf = new Map(colors.map((color, i) => [bucket(color, 0, bits), i]));
  return Uint8Array.from({ length: pixels.length / 4 }, (_, i) => indexOf.get(bucket(pixels, 4 * i, bits))!);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}
