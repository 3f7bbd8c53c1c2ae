// What is remembered of earlier runs in a folder of reports: how long each notebook took and whether it passed, and the run that was stopped.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { NotebookResult } from "./result.ts";
import { Trouble } from "./trouble.ts";
import { writeWhole } from "./whole.ts";

/** By path of the notebook. */
type Past = Record<string, { isPassed: boolean; seconds: { quick?: number; full?: number } }>;

export function openPast(reports: string) {
  const file = join(reports, "past.json");
  const past = readOr<Past>(file, {});
  return {
    secondsOf: (path: string, mode: "quick" | "full"): number | undefined => past[path]?.seconds[mode],
    /** Those that did not pass when they were run last, and those that were never run. */
    failed: (paths: readonly string[]) => paths.filter((path) => !past[path]?.isPassed),
    remember({ path, isPassed, seconds, isCached }: NotebookResult, mode: "quick" | "full") {
      const before = past[path]?.seconds;
      past[path] = { isPassed, seconds: isPassed && !isCached ? { ...before, [mode]: seconds } : (before ?? {}) };
      writeWhole(file, `${JSON.stringify(past, null, 1)}\n`);
    },
  };
}

/** A run as it stands, so that it can be gone on with. */
export interface Journal {
  /** The options that decide what a run means. */
  quick: boolean;
  set: Record<string, string>;
  kernel?: string;
  write: boolean;
  paths: string[];
  /** Of notebooks that have ended. */
  done: NotebookResult[];
  /** Cells that had passed of those that were running, by path. */
  passed: Record<string, number>;
  isFinished: boolean;
}

const journalOf = (reports: string) => join(reports, "run.json");

export function writeJournal(reports: string, journal: Journal): void {
  writeWhole(journalOf(reports), `${JSON.stringify(journal, null, 1)}\n`);
}

/** The run to go on with. Throws Trouble where there is none. */
export function readJournal(reports: string): Journal {
  const journal = readOr<Journal | undefined>(journalOf(reports), undefined);
  if (journal === undefined)
    throw new Trouble(`no run was stopped: there is no ${journalOf(reports)}`, "start one without --resume");
  if (journal.isFinished)
    throw new Trouble(
      `the last run came to its end: ${journalOf(reports)}`,
      "--from-failed runs again what failed in it",
    );
  return journal;
}

/** A file that is not there, or was cut off, is as good as none. */
function readOr<T>(file: string, none: T): T {
  try {
    return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as T) : none;
  } catch {
    return none;
  }
}
