// Specs as tensors, results as plain data, and where two results differ.
import { tf } from "@whetstone/engine";
import type { Spec } from "./draw.ts";

/** The tensor of a spec on the active backend. */
export function make({ dtype, shape, values }: Spec): tf.Tensor {
  if (dtype !== "complex64") return tf.tensor(values as number[], shape, dtype);
  const numbers = values as number[];
  const part = (k: number) =>
    tf.tensor(
      numbers.filter((_, i) => i % 2 === k),
      shape,
      "float32",
    );
  return tf.complex(part(0), part(1));
}

export interface Read {
  dtype: string;
  shape: number[];
  values: (number | string)[];
}

export const read = (result: tf.Tensor | tf.Tensor[]): Read[] =>
  [result].flat().map((t) => ({ dtype: t.dtype, shape: t.shape, values: Array.from(t.dataSync()) }));

/** Where two results differ, in words; undefined when they do not. */
export function difference(found: Read[], wanted: Read[], tolerance: number): string | undefined {
  const form = (list: Read[]) => list.map(({ dtype, shape }) => `${dtype}[${shape}]`).join(" ");
  if (form(found) !== form(wanted)) return `${form(found)}, wanted ${form(wanted)}`;
  for (const [k, { values }] of found.entries()) {
    for (const [i, x] of values.entries()) {
      const w = wanted[k].values[i];
      if (x === w || (Number.isNaN(x) && Number.isNaN(w))) continue;
      const close =
        typeof x === "number" && typeof w === "number" && Math.abs(x - w) <= tolerance * Math.max(1, Math.abs(w));
      if (!close) return `output ${k}, value ${i}: ${x}, wanted ${w}`;
    }
  }
  return undefined;
}
