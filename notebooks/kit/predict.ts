// Guess before you measure: what surprises is what is remembered.
import { escapeHTML, readable, show } from "./show.ts";

export interface Prediction {
  question: string;
  guess: number;
  /** Shows guess and result side by side, and how many times the guess the result is. */
  reveal(measured: number): void;
}

/** Asks a question and keeps the reader's guess until `reveal`. */
export function predict(question: string, guess: number, { unit = "" } = {}): Prediction {
  if (!Number.isFinite(guess)) throw new TypeError(`predict("${question}"): the guess must be a number, got ${guess}`);
  const withUnit = (value: number) => `${readable(value)}${unit === "" ? "" : ` ${unit}`}`;
  present(`${question} Guess: ${withUnit(guess)}`, [["your guess", withUnit(guess)]], question);
  return {
    question,
    guess,
    reveal(measured) {
      if (!Number.isFinite(measured)) throw new TypeError(`predict("${question}"): what was measured is ${measured}`);
      const ratio = measured === guess ? 1 : measured / guess;
      const verdict =
        ratio === 1
          ? "exactly right"
          : guess === 0
            ? `the result is ${withUnit(measured)} away`
            : `the result is ${readable(ratio)} times the guess`;
      const rows = [
        ["your guess", withUnit(guess)],
        ["measured", withUnit(measured)],
      ];
      present(
        `${question} Guess: ${withUnit(guess)}. Measured: ${withUnit(measured)} (${verdict})`,
        rows,
        question,
        verdict,
      );
    },
  };
}

function present(text: string, rows: string[][], question: string, verdict = ""): void {
  const cells = rows.map(
    ([name, value]) => `<tr><th style="text-align:left">${name}</th><td>${escapeHTML(value)}</td></tr>`,
  );
  show({
    "text/html": `<b>${escapeHTML(question)}</b><table>${cells.join("")}</table>${escapeHTML(verdict)}`,
    "text/plain": text,
  });
}
