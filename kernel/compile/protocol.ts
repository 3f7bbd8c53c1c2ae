// What the front and the language process say to each other: lines of JSON over one file descriptor.
import type { RunRequest } from "../worker/protocol.ts";
import type { Checked } from "./cells.ts";
import type { Completions } from "./complete.ts";
import type { Inspected } from "./inspect.ts";
import type { DeclaredName } from "./names.ts";
import type { Wholeness } from "./whole.ts";

/** The descriptor of both directions, seen by the language process. */
export const languageFd = 3;
/** A pipe on which nothing comes: a thread of the language process waits for its end, which is that of the front. */
export const watchFd = 4;

/**
 * The first of the descriptors that lead to users' processes, each to one of them: the JavaScript of a cell need not go through the front. The
 * front gives one to every process of the user that it starts. Once they are used up, cells go through the front.
 */
export const firstChannelFd = 5;
export const channels = 8;

/** Where a cell is to be handed over if it may run, and what the user's process has to know besides its code. */
export interface Handover extends Pick<RunRequest, "run" | "expressions" | "silent"> {
  fd: number;
}

export type LanguageRequest =
  /** The folder of the notebook; the first request. */
  | { type: "open"; cwd: string }
  | { type: "check"; name: string; code: string; handover?: Handover }
  | { type: "complete"; code: string; offset: number }
  | { type: "inspect"; code: string; offset: number; detail: 0 | 1 }
  | { type: "whole"; code: string }
  | { type: "names" }
  /** To be sent when nothing else is to do, until the answer is false. */
  | { type: "rehearse" }
  | { type: "reset" };

/** Answers by the type of their request. */
export interface LanguageAnswers {
  open: null;
  check: Answered;
  complete: Completions;
  inspect: Inspected | null;
  whole: Wholeness;
  names: DeclaredName[];
  rehearse: boolean;
  reset: null;
}

/** A cell that was checked. `isHandedOver`: the user's process gets it, and `js` is not told. */
export type Answered = Checked & { isHandedOver?: boolean };

export type LanguageReply = { id: number } & ({ answer: LanguageAnswers[keyof LanguageAnswers] } | { failed: string });
