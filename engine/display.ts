// How a tensor shows itself in a notebook: Symbol.for("Jupyter.display") gives MIME bundles. Nothing here knows a kernel.
import * as tf from "@tensorflow/tfjs-core";

const GRID = 32; // cells of the heat map, each way
const PREVIEW = 6; // values at the front of the text
const SAMPLE = 2 ** 16; // values that the statistics look at in a larger tensor

interface Statistics {
  min: number;
  max: number;
  mean: number;
  nans: number;
  infinities: number;
  /** how many values were looked at */
  seen: number;
}

/** MIME bundle of a tensor: text/plain with dtype, shape, statistics and first values; text/html with a heat map as well. */
export function display(tensor: tf.Tensor): Record<string, string> {
  const form = `${tensor.dtype}[${tensor.shape}]`;
  if (tensor.isDisposed) {
    return { "text/plain": `Tensor ${form}, disposed`, "text/html": `<span>Tensor ${form}, <i>disposed</i></span>` };
  }
  if (tensor.dtype === "string" || tensor.dtype === "complex64" || tensor.size === 0) {
    const text = `Tensor ${form}${tensor.size ? ` ${tensor.toString(false)}` : ", empty"}`;
    return { "text/plain": text };
  }
  const values = tensor.dataSync();
  const stats = statistics(values);
  const text = [`Tensor ${form}`, summary(stats, tensor.size), preview(values, tensor.dtype)].join("\n");
  const bad = stats.nans + stats.infinities ? `<br><b style="color:#c00">${troubles(stats)}</b>` : "";
  const html =
    `<div><code>Tensor ${form}</code> <small>${escapeHtml(summary(stats, tensor.size))}</small>${bad}` +
    `<br>${heatMap(values, tensor.shape, stats)}</div>`;
  return { "text/plain": text, "text/html": html };
}

/** Gives every tensor of this process the view. */
export function registerDisplay(): void {
  Object.defineProperty(tf.Tensor.prototype, Symbol.for("Jupyter.display"), {
    value(this: tf.Tensor) {
      return display(this);
    },
    configurable: true,
  });
}

function statistics(values: ArrayLike<number>): Statistics {
  const stride = Math.max(1, Math.floor(values.length / SAMPLE));
  const s = { min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY, mean: 0, nans: 0, infinities: 0, seen: 0 };
  let finite = 0;
  for (let i = 0; i < values.length; i += stride) {
    const x = values[i];
    s.seen++;
    if (Number.isNaN(x)) s.nans++;
    else if (!Number.isFinite(x)) s.infinities++;
    else {
      finite++;
      s.mean += (x - s.mean) / finite;
      if (x < s.min) s.min = x;
      if (x > s.max) s.max = x;
    }
  }
  return s;
}

const number = (x: number) => (Number.isInteger(x) ? String(x) : x.toPrecision(4));

function troubles({ nans, infinities }: Statistics): string {
  const parts = [];
  if (nans) parts.push(`${nans} NaN`);
  if (infinities) parts.push(`${infinities} Inf`);
  return parts.join(", ");
}

function summary(stats: Statistics, size: number): string {
  const parts: string[] = [];
  if (stats.min <= stats.max)
    parts.push(`min ${number(stats.min)}, mean ${number(stats.mean)}, max ${number(stats.max)}`);
  if (stats.nans + stats.infinities) parts.push(troubles(stats));
  if (stats.seen < size) parts.push(`sampled ${stats.seen} of ${size}`);
  return parts.join("; ");
}

function preview(values: ArrayLike<number>, dtype: string): string {
  const shown = Array.from({ length: Math.min(PREVIEW, values.length) }, (_, i) =>
    dtype === "bool" ? String(Boolean(values[i])) : number(values[i]),
  );
  return `[${shown.join(", ")}${values.length > PREVIEW ? ", ..." : ""}]`;
}

/** The tensor as rows of its last axis, at most 32 x 32 cells: each cell shows one value of the block it stands for. */
function heatMap(values: ArrayLike<number>, shape: number[], { min, max }: Statistics): string {
  const width = shape.length ? shape[shape.length - 1] : 1;
  const height = values.length / width;
  const [columns, rows] = [Math.min(width, GRID), Math.min(height, GRID)];
  const size = columns > 16 || rows > 16 ? 6 : 10;
  let cells = "";
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const x = values[Math.floor((r * height) / rows) * width + Math.floor((c * width) / columns)];
      cells += `<rect x="${c * size}" y="${r * size}" width="${size}" height="${size}" fill="${colour(x, min, max)}"/>`;
    }
  }
  return `<svg width="${columns * size}" height="${rows * size}" role="img" aria-label="heat map">${cells}</svg>`;
}

// Blue below zero, orange above, white at zero, where both signs occur; else white to blue.
function colour(x: number, min: number, max: number): string {
  if (!Number.isFinite(x)) return "#c00";
  const scale = min < 0 && max > 0 ? Math.max(-min, max) : max - min;
  const t = scale === 0 ? 0 : min < 0 && max > 0 ? x / scale : (x - min) / scale;
  const fade = Math.round(255 * (1 - Math.abs(t)));
  const mix = (to: number) => Math.round(to + ((255 - to) * fade) / 255);
  return t < 0 || !(min < 0 && max > 0)
    ? `rgb(${mix(31)},${mix(119)},${mix(180)})`
    : `rgb(${mix(230)},${mix(97)},${mix(1)})`;
}

const escapeHtml = (text: string) => text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
