// @ts-check
// One line a step: redrawn in place on a terminal, printed at its start and end elsewhere.
import { stripVTControlCharacters } from "node:util";

/** @typedef {{ title: string, begin: number, state: "runs" | "done" | "failed", note: string, end?: number }} Row */

const marks = { runs: "·", done: "✓", failed: "✗" };
const seconds = (/** @type {Row} */ row) => `${(((row.end ?? Date.now()) - row.begin) / 1000).toFixed(0)} s`;

/** @param {NodeJS.WriteStream} [out] */
export function startProgress(out = process.stdout) {
  /** @type {Row[]} */
  const rows = [];
  let drawn = 0;
  const draw = () => {
    const width = out.columns ?? 80;
    const lines = rows.map((row) => {
      const line = `${marks[row.state]} ${row.title.padEnd(38)} ${seconds(row).padStart(6)}`;
      return row.state === "runs" ? `${line}  ${row.note}`.slice(0, width - 1) : line;
    });
    out.write(`${drawn ? `\x1b[${drawn}A` : ""}${lines.map((line) => `\x1b[2K${line}\n`).join("")}`);
    drawn = lines.length;
  };
  const timer = out.isTTY ? setInterval(draw, 200) : undefined;
  return {
    /**
     * Starts a row.
     * @param {string} title
     */
    step(title) {
      const row = /** @type {Row} */ ({ title, begin: Date.now(), state: "runs", note: "" });
      rows.push(row);
      if (!out.isTTY) out.write(`${marks.runs} ${title} ...\n`);
      return {
        /**
         * Shows the last line of what runs now.
         * @param {string} text
         */
        note(text) {
          row.note = stripVTControlCharacters(text).trim();
        },
        /** @param {"done" | "failed"} state */
        finish(state) {
          row.state = state;
          row.end = Date.now();
          if (out.isTTY) draw();
          else out.write(`${marks[state]} ${title} (${seconds(row)})\n`);
        },
      };
    },
    stop() {
      if (timer) clearInterval(timer);
    },
  };
}
