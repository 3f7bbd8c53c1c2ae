// What the front and the language process say to each other: lines of JSON over one file descriptor.
import type { Checked } from "./cells.ts";
import type { Completions } from "./complete.ts";
import type { Inspected } from "./inspect.ts";
import type { DeclaredName } from "./names.ts";
import type { Wholeness } from "./whole.ts";

/** The descriptor of both directions, seen by the language process. */
export const languageFd = 3;
/** A pipe on which nothing comes: a thread of the language process waits for its end, which is that of the front. */
export const watchFd = 4;

export type LanguageRequest =
  /** The folder of the notebook; the first request. */
  | { type: "open"; cwd: string }
  | { type: "check"; name: string; code: string }
  | { type: "complete"; code: string; offset: number }
  | { type: "inspect"; code: string; offset: number; detail: 0 | 1 }
  | { type: "whole"; code: string }
  | { type: "names" }
  | { type: "reset" };

/** Answers by the type of their request. */
export interface LanguageAnswers {
  open: null;
  check: Checked;
  complete: Completions;
  inspect: Inspected | null;
  whole: Wholeness;
  names: DeclaredName[];
  reset: null;
}

export type LanguageReply = { id: number } & ({ answer: LanguageAnswers[keyof LanguageAnswers] } | { failed: string });
