// Tables of measurements: one row a variant, one column a quantity with its unit in the name.
import { asView, type Bundle, escapeHTML, readable } from "./show.ts";

export type Row = Record<string, string | number>;

/** A table that shows itself. Numbers stand right and have four digits; the columns are those of the first row. */
export function table(rows: readonly Row[], { caption = "" } = {}): object {
  return asView(tableBundle(rows, caption));
}

/** The HTML and text of a table. Throws on a row that lacks a column. */
export function tableBundle(rows: readonly Row[], caption = ""): Bundle {
  if (rows.length === 0) throw new TypeError("table: there are no rows");
  const columns = Object.keys(rows[0]!);
  const cells = rows.map((row, i) =>
    columns.map((column) => {
      if (row[column] === undefined)
        throw new TypeError(`table: row ${i} has no "${column}"; it has ${Object.keys(row).join(", ")}`);
      return row[column];
    }),
  );
  const align = (cell: string | number) => (typeof cell === "number" ? "right" : "left");
  const head = columns.map((column, i) => `<th style="text-align:${align(cells[0]![i]!)}">${escapeHTML(column)}</th>`);
  const body = cells.map(
    (row) =>
      `<tr>${row.map((cell) => `<td style="text-align:${align(cell)}">${escapeHTML(readable(cell))}</td>`).join("")}</tr>`,
  );
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((row) => readable(row[i]).length)));
  const line = (row: readonly (string | number)[]) =>
    row
      .map((cell, i) => (typeof cell === "number" ? readable(cell).padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  const text = [line(columns), ...cells.map(line), ...(caption === "" ? [] : [caption])];
  return {
    "text/html":
      `<table>${caption === "" ? "" : `<caption style="caption-side:bottom">${escapeHTML(caption)}</caption>`}` +
      `<thead><tr>${head.join("")}</tr></thead><tbody>${body.join("")}</tbody></table>`,
    "text/plain": text.join("\n"),
  };
}
