// Small checks on the way. Each says what it found; one that fails says where to look.
import { isDeepStrictEqual } from "node:util";
import { readable } from "./show.ts";

export interface Check<T> {
  /** The same value (`Object.is`), or for arrays and records the same content. */
  toBe(expected: T): void;
  toBeLessThan(bound: number): void;
  toBeGreaterThan(bound: number): void;
  /** At most `tolerance` away (1e-6 where none is given). */
  toBeCloseTo(expected: number, tolerance?: number): void;
  toBeWithin(low: number, high: number): void;
}

/** Thrown by a check that fails. */
export class CheckError extends Error {
  override name = "CheckError";
}

/**
 * Starts a check: `check(loss, "lower the learning rate").toBeLessThan(3)`. `look` is what to look at when it fails.
 * Comparisons of size fail for NaN and for anything that is not a number; infinity is a size (decibels of an error that is zero).
 */
export function check<T>(value: T, look?: string): Check<T> {
  const judge = (pass: boolean, words: string) => {
    const line = `${shown(value)} ${words}`;
    if (!pass) throw new CheckError(`expected ${line}${look === undefined ? "" : `. Look at: ${look}`}`);
    console.log(`✔ ${line}`);
  };
  const size = typeof value === "number" ? value : Number.NaN;
  return {
    toBe: (expected) => judge(isDeepStrictEqual(value, expected), `to be ${shown(expected)}`),
    toBeLessThan: (bound) => judge(size < bound, `to be less than ${readable(bound)}`),
    toBeGreaterThan: (bound) => judge(size > bound, `to be greater than ${readable(bound)}`),
    toBeCloseTo: (expected, tolerance = 1e-6) =>
      judge(Math.abs(size - expected) <= tolerance, `to be within ${readable(tolerance)} of ${readable(expected)}`),
    toBeWithin: (low, high) => judge(size >= low && size <= high, `to be from ${readable(low)} to ${readable(high)}`),
  };
}

function shown(value: unknown): string {
  if (typeof value === "number") return readable(value);
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
