// Small notebooks in a temporary folder, and the processes that a run of them left.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Cell, type Notebook, writeNotebook } from "../kernel/run/notebook.ts";

/** A code cell; a text cell begins with "# ". */
export type Made = string | { source: string; tags?: string[]; id?: string };

/** A folder that is removed when the tests of this `describe` have ended. */
export function temporaryFolder(): { path: string; make(name: string, cells: Made[], kernel?: object): string } {
  const path = mkdtempSync(join(tmpdir(), "whetstone-run-"));
  after(() => rmSync(path, { recursive: true, force: true }));
  return {
    path,
    make(name, cells, kernel = { name: "whetstone", language: "typescript" }) {
      const file = join(path, `${name}.ipynb`);
      writeNotebook(file, notebookOf(cells, kernel));
      return file;
    },
  };
}

export function notebookOf(
  cells: Made[],
  kernelspec: object = { name: "whetstone", language: "typescript" },
): Notebook {
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: { kernelspec } as Notebook["metadata"],
    cells: cells.map((cell, i): Cell => {
      const {
        source,
        tags,
        id = `c${i + 1}`,
      } = typeof cell === "string" ? ({ source: cell } as Exclude<Made, string>) : cell;
      if (source.startsWith("# ")) return { cell_type: "markdown", id, metadata: {}, source };
      return { cell_type: "code", id, metadata: tags ? { tags } : {}, source, outputs: [], execution_count: null };
    }),
  };
}

/** Waits until `get` gives something; fails after `seconds`. */
export async function until<T>(what: string, get: () => T | undefined | false, seconds = 20): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const value = get();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await sleep(20);
  }
}

/** Command lines of the processes whose environment holds `mark` (Linux). */
export function processesWith(mark: string): string[] {
  return readdirSync("/proc").flatMap((entry) => {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) return [];
    try {
      if (!readFileSync(`/proc/${entry}/environ`, "latin1").includes(mark)) return [];
      // Those that have ended and are not yet reaped have no command line.
      return readFileSync(`/proc/${entry}/cmdline`, "latin1").replaceAll("\0", " ").trim() || [];
    } catch {
      return []; // it has ended, or is another user's
    }
  });
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return process.platform !== "linux" || !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
}
