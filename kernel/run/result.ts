// What a run says of notebooks and their cells.

/** "dead": the kernel, or the process of its cells, ended. "not reached": an earlier cell failed. */
export type Verdict = "ok" | "error" | "timeout" | "dead" | "skipped" | "not reached";

export interface CellResult {
  /** Among all cells, from 1. */
  position: number;
  id?: string;
  verdict: Verdict;
  seconds: number;
  /** Why the verdict is what it is, unless it is "ok". */
  reason?: string;
  /** What to do about it. */
  next?: string;
  traceback?: string[];
  /** The line of the cell where it failed, from 1, and its text. */
  line?: number;
  source?: string;
}

export interface NotebookResult {
  name: string;
  path: string;
  isPassed: boolean;
  seconds: number;
  /** From the start of the kernel's process to its first answer. */
  startSeconds: number;
  cells: CellResult[];
  /** Why no cell could be run, or no further one, where that is not the doing of a cell. */
  problem?: string;
  /** What to do about the problem. */
  next?: string;
  /** Nothing that it depends on has changed since it passed: it was not run again, `seconds` are those of then. */
  isCached?: boolean;
  /** An earlier run had been stopped after so many of its cells; they were run again to bring back their variables. */
  resumedAfter?: number;
}

export const labelOf = ({ id, position }: { id?: string; position: number }) =>
  id === undefined ? `cell ${position}` : `cell ${position} (${id})`;

/** Verdicts that make a notebook fail. */
export const isFailure = ({ verdict }: CellResult) =>
  verdict === "error" || verdict === "timeout" || verdict === "dead";

/** Without the escape codes of terminals. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape codes begin with a control character
export const plain = (text: string) => text.replaceAll(/\x1b\[[0-9;?]*[A-Za-z]/g, "");
