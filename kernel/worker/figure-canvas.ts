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

/** An 8-bit RGBA PNG. Each pixel is stored as the difference to its left neighbour: half the bytes of resvg's own encoder for a chart. */
export function encodePNG(pixels: Uint8Array, width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 6], 8);
  const row = 4 * width;
  const lines = Buffer.alloc((row + 1) * height);
  for (let y = 0; y < height; y++) {
    const line = lines.subarray((row + 1) * y, (row + 1) * (y + 1));
    line[0] = 1; // filter "sub"
    for (let i = 0; i < row; i++) line[i + 1] = pixels[row * y + i]! - (i < 4 ? 0 : pixels[row * y + i - 4]!);
  }
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(lines, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}
