// What a run shows while it goes on: one line that is kept up to date in a terminal, plain lines elsewhere.

import { countCells } from "./report.ts";
import type { NotebookResult } from "./result.ts";

export interface Progress {
  start(run: { name: string; cells: number }): void;
  cell(run: { name: string; position: number; label: string }): void;
  done(result: NotebookResult): void;
  /** Removes the live line. */
  stop(): void;
}

interface Row {
  cells: number;
  position: number;
  label: string;
  began: number;
}

/** Without a terminal a notebook that goes on says so this often. */
const plainPauseMs = 10_000;

export function showProgress(total: number, out: NodeJS.WriteStream = process.stderr): Progress {
  const isLive = Boolean(out.isTTY);
  const rows = new Map<string, Row>();
  const began = performance.now();
  let finished = 0;
  const timer = setInterval(isLive ? draw : () => say([...rows].map(line).join("\n")), isLive ? 200 : plainPauseMs);
  timer.unref();

  function line([name, { cells, position, label, began }]: [string, Row]) {
    return `  ${name}  ${position}/${cells}  ${label}  ${seconds(began)}`;
  }

  function draw() {
    const rest = [...rows].map(([name, row]) => `${name} ${row.position}/${row.cells} ${row.label}`).join("   ");
    const text = `${finished}/${total}  ${seconds(began)}   ${rest}`;
    // Longer than the terminal, it would wrap and could not be taken back.
    out.write(`\r\x1b[K${text.slice(0, (out.columns ?? 80) - 1)}`);
  }

  function say(text: string) {
    if (text === "") return;
    out.write(`${isLive ? "\r\x1b[K" : ""}${text}\n`);
  }

  return {
    start({ name, cells }) {
      rows.set(name, { cells, position: 0, label: "kernel starts", began: performance.now() });
      if (isLive) draw();
      else say(`  ${name}  starts, ${cells} cells`);
    },
    cell({ name, position, label }) {
      Object.assign(rows.get(name)!, { position, label });
      if (isLive) draw();
    },
    done(result) {
      rows.delete(result.name);
      finished++;
      const { passed, failed, skipped } = countCells([result]);
      const counts = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
      say(`${result.isPassed ? "✔" : "✘"} ${result.name}  ${counts}  ${result.seconds.toFixed(1)} s`);
      if (isLive && finished < total) draw();
    },
    stop() {
      clearInterval(timer);
      if (isLive) out.write("\r\x1b[K");
    },
  };
}

const seconds = (began: number) => `${Math.round((performance.now() - began) / 1000)} s`;
