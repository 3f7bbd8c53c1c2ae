// Several documents in one sequence, with nothing of one in the other: no attention, no target crosses a border, and the
// positions begin anew, so the loss is that of each document alone (Krell 2021). Beside filling up each document's row, it
// saves what is empty: with documents of L ids on average, a share of 1 - L / ctx of the work.
//   for await (const { ids, targets, positions, mask, next } of pack(read("notes.jsonl"), { batch, ctx, encode }))
//     loss = crossEntropy(forward(params, cfg, ids, { positions }), targets, mask)
import * as tf from "@tensorflow/tfjs-core";
import type { Batch } from "../core/data.ts";
import type { Item, Place } from "./read.ts";

export interface Packed extends Batch {
  /** [batch, ctx] int32: of each id in its own document, 0 where one begins */
  positions: tf.Tensor2D;
  /** [batch, ctx] float32: 1 where the target counts, 0 where a row is filled up */
  mask: tf.Tensor2D;
  /** where a stream starts that gives the next batch first; null after the last */
  next: Place | null;
}

/**
 * Batches of whole documents, several in a row where they fit: each goes where the least room is left, and a batch is
 * given when the next document fits nowhere. What is longer than `ctx` is cut; each id but a document's first is a
 * target once. To go on later, keep `next` beside the parameters: the stream that starts there is packed as it would have been.
 */
export async function* pack<T>(
  documents: AsyncIterable<Item<T>> | Iterable<Item<T>>,
  { batch, ctx, encode }: { batch: number; ctx: number; encode: (value: T) => Int32Array },
): AsyncGenerator<Packed, void> {
  let rows: Int32Array[][] = [];
  let room: number[] = [];
  for await (const { value, place } of documents) {
    const ids = encode(value);
    const done = Number(place.piece ?? 0); // of this document, in the batch before
    for (let piece = done; piece * ctx + 1 < ids.length; piece++) {
      const part = ids.subarray(piece * ctx, (piece + 1) * ctx + 1);
      const fits = room.map((left, row) => ({ left, row })).filter(({ left }) => left >= part.length - 1);
      let row = fits.length ? fits.reduce((a, b) => (b.left < a.left ? b : a)).row : rows.length;
      if (row === batch) {
        yield { ...filled(rows, batch, ctx), next: piece ? { ...place, piece } : place };
        [rows, room, row] = [[], [], 0];
      }
      if (row === rows.length) [rows[row], room[row]] = [[], ctx];
      rows[row].push(part);
      room[row] -= part.length - 1;
    }
  }
  if (rows.length) yield { ...filled(rows, batch, ctx), next: null };
}

function filled(rows: Int32Array[][], batch: number, ctx: number): Omit<Packed, "next"> {
  const [ids, targets, positions] = Array.from({ length: 3 }, () => new Int32Array(batch * ctx));
  const mask = new Float32Array(batch * ctx);
  rows.forEach((parts, row) => {
    let at = row * ctx;
    for (const part of parts)
      for (let i = 0; i + 1 < part.length; i++, at++)
        [ids[at], targets[at], positions[at], mask[at]] = [part[i], part[i + 1], i, 1];
  });
  const [x, y, where] = [ids, targets, positions].map((list) => tf.tensor2d(list, [batch, ctx], "int32"));
  return { ids: x, targets: y, positions: where, mask: tf.tensor2d(mask, [batch, ctx]) };
}
