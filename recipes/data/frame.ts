// Rows as a danfojs frame and back. danfojs comes from outside, so that it is the one that your tensors belong to:
//   import { dfd } from "@whetstone/engine/danfojs";  const frame = toFrame(dfd, rows);
import type { Row } from "./read.ts";

/** What is used of danfojs. */
interface Frames<F> {
  DataFrame: new (columns: Record<string, unknown[]>) => F;
}

/** A frame with a column for every field that any row has; null where a row has it not. */
export function toFrame<F>(dfd: Frames<F>, rows: readonly Row[]): F {
  const names = new Set(rows.flatMap((row) => Object.keys(row)));
  if (!names.size) throw new Error(`toFrame: ${rows.length} rows without a field; wanted one row or more.`);
  return new dfd.DataFrame(Object.fromEntries([...names].map((name) => [name, rows.map((row) => row[name] ?? null)])));
}

/** The rows of a frame, as records. */
export function fromFrame(frame: { columns: string[]; values: unknown[] }): Row[] {
  const { columns } = frame;
  return (frame.values as unknown[][]).map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]])));
}
