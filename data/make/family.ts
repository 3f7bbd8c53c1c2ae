// What training needs to know of an architecture: its first parameters, its batches, its loss, its measure.
import type { tf } from "@whetstone/engine";
import type { Batch } from "../../recipes/core/data.ts";
import type { Params } from "../../recipes/core/params.ts";
import type { Rng } from "../../recipes/core/rng.ts";
import type { Card } from "../load-zoo.ts";

export interface Measured {
  /** nat per id asked for */
  mean: number;
  /** the same of each sequence, or of each task */
  each: number[];
  bitsPerByte?: number;
  /** shares from 0 to 1 */
  scores?: Record<string, number>;
}

/** A recipe together with its text. */
export interface Family {
  init(rng: Rng): Params;
  /** Batches without end, from number `start` on; batch i is a function of the generator and i alone. */
  batches(rng: Rng, start: number): Iterable<Batch>;
  /** ids that a batch has on the mean, without padding */
  tokensPerStep: number;
  /** pure, for valueAndGrad inside jit */
  loss(params: Params, ids: tf.Tensor, targets: tf.Tensor): tf.Scalar;
  /** in words, for the card */
  objective: string;
  /** On fixed pieces of validation data; `scores` only when all of them are asked for. */
  measure(params: Params, options: { sequences: number; scores?: boolean }): Measured;
  /** names as the file has them */
  toFile(params: Params): Params;
  special?: Record<string, number>;
  data: Card["data"];
}
