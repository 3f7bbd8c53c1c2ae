// danfojs data frames and series as HTML tables. Recognised by their shape, so that the kernel does not load danfojs.
import type { Formatted } from "./format.ts";

/** The part of danfojs' DataFrame and Series that a table needs. */
interface Frame {
  columns: string[];
  index: (string | number)[];
  dtypes: string[];
  shape: number[];
  values: unknown[] | unknown[][];
  toString(): string;
}

/** Frames with more rows or columns than these show their first and last halves. */
const rowLimit = 20;
const columnLimit = 20;
const cellLimit = 200;

/** True for a danfojs DataFrame or Series. */
export function isFrame(value: object): value is Frame {
  const frame = value as Partial<Frame> & { $dataIncolumnFormat?: unknown; config?: unknown };
  return (
    Array.isArray(frame.columns) &&
    Array.isArray(frame.index) &&
    Array.isArray(frame.dtypes) &&
    Array.isArray(frame.shape) &&
    Array.isArray(frame.values) &&
    frame.values.length === frame.index.length
  );
}

/** An HTML table with index, column types and the number of rows; every text in it is escaped. */
export function formatFrame(frame: Frame): Formatted {
  const [rows, columns] = [frame.index.length, frame.columns.length];
  const shownRows = ends(rows, rowLimit);
  const shownColumns = ends(columns, columnLimit);
  const cell = (row: number, column: number) => {
    const values = frame.values[row];
    return Array.isArray(values) ? values[column] : values;
  };
  const head = shownColumns.map((c) => (c === undefined ? "<th>…</th>" : `<th>${escapeHTML(frame.columns[c])}</th>`));
  const types = shownColumns.map((c) => (c === undefined ? "<td></td>" : `<td>${escapeHTML(frame.dtypes[c])}</td>`));
  const body = shownRows.map((r) => {
    if (r === undefined) return `<tr><th>…</th>${shownColumns.map(() => "<td>…</td>").join("")}</tr>`;
    const cells = shownColumns.map((c) =>
      c === undefined ? "<td>…</td>" : `<td>${escapeHTML(cellText(cell(r, c)))}</td>`,
    );
    return `<tr><th>${escapeHTML(frame.index[r])}</th>${cells.join("")}</tr>`;
  });
  const size = `${rows} rows x ${columns} columns`;
  const html =
    `<table class="dataframe"><thead><tr><th></th>${head.join("")}</tr><tr style="opacity:.6"><td></td>${types.join("")}</tr></thead>` +
    `<tbody>${body.join("")}</tbody></table><p>${size}</p>`;
  return { data: { "text/html": html, "text/plain": `${plain(frame)}\n${size}` } };
}

/** The text with `&`, `<`, `>` and quotes as entities, so that data can never become markup. */
export function escapeHTML(value: unknown): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return String(value).replace(/[&<>"']/g, (char) => entities[char]!);
}

/** 0..n-1, with `undefined` for the gap in the middle when there are more than `limit`. */
function ends(n: number, limit: number): (number | undefined)[] {
  if (n <= limit) return Array.from({ length: n }, (_, i) => i);
  const half = limit / 2;
  return [
    ...Array.from({ length: half }, (_, i) => i),
    undefined,
    ...Array.from({ length: half }, (_, i) => n - half + i),
  ];
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return String(value ?? "null");
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  const text = value instanceof Date ? value.toISOString() : String(value);
  return text.length > cellLimit ? `${text.slice(0, cellLimit)}…` : text;
}

/** danfojs' own text table; it throws on some frames with nulls, and then the head alone is written. */
function plain(frame: Frame): string {
  try {
    return frame.toString().trimEnd();
  } catch {
    return [
      frame.columns.join("\t"),
      ...frame.values.slice(0, 10).map((row) => [row].flat().map(cellText).join("\t")),
    ].join("\n");
  }
}
