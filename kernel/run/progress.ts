// What a run shows while it goes on: one line that is kept up to date in a terminal, plain lines elsewhere.
import { roughly, secondsLeft } from "./remaining.ts";
import { countCells } from "./report.ts";
import type { NotebookResult } from "./result.ts";

export interface Progress {
  start(run: { name: string; cells: number }): void;
  cell(run: { name: string; position: number; label: string }): void;
  done(result: NotebookResult): void;
  /** Shows a line of its own. */
  note(text: string): void;
  /** Removes the live line. */
  stop(): void;
}

export interface ProgressOptions {
  /** Seconds that each notebook took the last time, by name. */
  expected: ReadonlyMap<string, number | undefined>;
  workers: number;
  out?: NodeJS.WriteStream;
}

interface Row {
  cells: number;
  position: number;
  label: string;
  began: number;
}

/** Without a terminal a notebook that goes on says so this often. */
const plainPauseMs = 10_000;

export function showProgress({ expected, workers, out = process.stderr }: ProgressOptions): Progress {
  const total = expected.size;
  const isLive = Boolean(out.isTTY);
  const rows = new Map<string, Row>();
  const waiting = new Map(expected);
  const began = performance.now();
  let finished = 0;
  const timer = setInterval(isLive ? draw : tell, isLive ? 200 : plainPauseMs);
  timer.unref();

  function left(): string {
    const running = [...rows].map(([name, row]) => ({ elapsed: since(row.began), expected: expected.get(name) }));
    const seconds = secondsLeft([...waiting.values()], running, Math.min(workers, total));
    return seconds === undefined ? "" : `, about ${roughly(seconds)} left`;
  }

  function tell() {
    if (rows.size === 0) return;
    const lines = [...rows].map(
      ([name, { cells, position, label, began }]) => `  ${name}  ${position}/${cells}  ${label}  ${round(began)}`,
    );
    say([...lines, `  ${finished} of ${total} notebooks${left()}`].join("\n"));
  }

  function draw() {
    const rest = [...rows].map(([name, row]) => `${name} ${row.position}/${row.cells} ${row.label}`).join("   ");
    const text = `${finished}/${total}  ${round(began)}${left()}   ${rest}`;
    // Longer than the terminal, it would wrap and could not be taken back.
    out.write(`\r\x1b[K${text.slice(0, (out.columns ?? 80) - 1)}`);
  }

  function say(text: string) {
    out.write(`${isLive ? "\r\x1b[K" : ""}${text}\n`);
  }

  return {
    start({ name, cells }) {
      waiting.delete(name);
      rows.set(name, { cells, position: 0, label: "kernel starts", began: performance.now() });
      if (isLive) draw();
      else say(`  ${name}  starts, ${cells} cells`);
    },
    cell({ name, position, label }) {
      Object.assign(rows.get(name)!, { position, label });
      if (isLive) draw();
    },
    done(result) {
      waiting.delete(result.name);
      rows.delete(result.name);
      finished++;
      const { passed, failed, skipped } = countCells([result]);
      const counts = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
      const time = result.isCached ? "unchanged since it passed" : `${result.seconds.toFixed(1)} s`;
      say(`${result.isPassed ? "✔" : "✘"} ${result.name}  ${counts}  ${time}`);
      if (isLive && finished < total) draw();
    },
    note: say,
    stop() {
      clearInterval(timer);
      if (isLive) out.write("\r\x1b[K");
    },
  };
}

const since = (began: number) => (performance.now() - began) / 1000;
const round = (began: number) => `${Math.round(since(began))} s`;
