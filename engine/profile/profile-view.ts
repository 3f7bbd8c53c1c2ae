// What a profile looks like: a table by op and line, a flame figure by user code, and a file for Perfetto.
import { writeFileSync } from "node:fs";
import type { Pass } from "../scopes.ts";
import type { JitSummary, ProfileEvent, Scope } from "./profile.ts";

export interface Recorded {
  ms: number;
  overheadMs: number;
  events: ProfileEvent[];
  scopes: Scope[];
  jit: JitSummary[];
  notes: string[];
  memory: { before: number; after: number; peak: number };
  /** bytes of all tensors in the course of time */
  levels: { at: number; bytes: number }[];
}

/** All calls of an op from one line, in one pass. */
export interface Row {
  op: string;
  kind: ProfileEvent["kind"];
  pass: Pass;
  /** of what it is the gradient */
  of?: string;
  /** the jitted function that it is in */
  within?: string;
  /** the user's code: `loss (train.ts:12)`, "" where it is not known */
  line: string;
  /** different inputs and outputs, at most four */
  shapes: string[];
  count: number;
  ms: number;
  /** of the time of all rows */
  share: number;
  bytes: number;
}

/** A plotly figure. */
export interface Figure {
  data: Record<string, unknown>[];
  layout: Record<string, unknown>;
}

/** A file in Chrome's trace event format, JSON object form; times in microseconds. */
export interface TraceFile {
  traceEvents: Record<string, unknown>[];
  displayTimeUnit: "ms";
}

const MOST_SHAPES = 4;

/** The events as rows, the slowest first. */
export function rowsOf({ events }: Recorded): Row[] {
  const rows = new Map<string, Row>();
  for (const { op, kind, pass, of, within, frames, shapes, self, bytes } of events) {
    const line = frames[0] ?? "";
    const key = JSON.stringify([op, kind, pass, of, within, line]);
    let row = rows.get(key);
    if (!row) {
      row = { op, kind, pass, of, within, line, shapes: [], count: 0, ms: 0, share: 0, bytes: 0 };
      rows.set(key, row);
    }
    row.count++;
    row.ms += self;
    row.bytes += bytes;
    if (shapes && row.shapes.length < MOST_SHAPES && !row.shapes.includes(shapes)) row.shapes.push(shapes);
  }
  const list = [...rows.values()].sort((a, b) => b.ms - a.ms);
  const all = list.reduce((sum, { ms }) => sum + ms, 0);
  for (const row of list) row.share = all ? row.ms / all : 0;
  return list;
}

/** Time that no event accounts for. */
function rest({ ms, overheadMs, events }: Recorded): number {
  const known = events.filter(({ thread }) => thread === "ops").reduce((sum, event) => sum + event.ms, 0);
  return Math.max(0, ms - overheadMs - known);
}

const fixed = (ms: number) => (ms < 10 ? ms.toFixed(3) : ms.toFixed(1));

function size(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`;
  const unit = bytes < 1e6 ? 1e3 : bytes < 1e9 ? 1e6 : 1e9;
  return `${(bytes / unit).toPrecision(3)} ${{ 1e3: "kB", 1e6: "MB", 1e9: "GB" }[unit]}`;
}

/** `loss (train.ts:12)`: without folders. */
const short = (frame: string) => frame.replace(/(^|\()([^()]*[/\\])(?=[^/\\]+$)/, "$1");

const passOf = ({ pass, of }: { pass: Pass; of?: string }) => (of && pass === "backward" ? `backward of ${of}` : pass);

const where = ({ kind, within }: Row) => (kind === "xla" ? (within ?? "") : kind === "op" ? "eager" : kind);

const HEADS = ["op", "in", "pass", "line", "shapes", "count", "total ms", "share", "memory"];
const NUMBERS = 5;

const cells = (row: Row): string[] => [
  row.op,
  where(row),
  passOf(row),
  short(row.line),
  row.shapes.join("; "),
  String(row.count),
  fixed(row.ms),
  `${(100 * row.share).toFixed(1)} %`,
  row.bytes ? size(row.bytes) : "",
];

function headline(recorded: Recorded): string {
  const { ms, overheadMs, memory } = recorded;
  const backward = recorded.scopes.find(({ name }) => name === "backward");
  return [
    `${fixed(ms)} ms, of which the profiler ${fixed(overheadMs)} ms and code between ops ${fixed(rest(recorded))} ms`,
    `memory ${size(memory.before)} before, ${size(memory.peak)} at the peak, ${size(memory.after)} after`,
    ...(backward ? [`backward begins at ${fixed(backward.start)} ms`] : []),
  ].join("; ");
}

const about = ({ name, calls, programs, traceMs, compileMs, runMs, opsMs }: JitSummary) =>
  `${name}: ${calls} calls, ran in ${fixed(runMs)} ms` +
  (programs ? `, traced in ${fixed(traceMs)} ms and ${programs} programs compiled in ${fixed(compileMs)} ms` : "") +
  (opsMs === undefined
    ? "; profile(f, { unfused: true }) shows its ops, each on its own"
    : `, its ops took ${fixed(opsMs)} ms on all threads`);

const SHOWN = 40;

/** The table as text. */
export function text(recorded: Recorded, rows: Row[]): string {
  const body = rows.slice(0, SHOWN).map(cells);
  // What is long is cut in the text; the rows have it whole.
  const limits = [30, 20, 26, 40, 60];
  const cut = (value: string, i: number) => (value.length > limits[i] ? `${value.slice(0, limits[i] - 3)}...` : value);
  const all = [HEADS, ...body.map((row) => row.map(cut))];
  const widths = HEADS.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  const lines = all.map((row) =>
    row
      .map((value, i) => (i < NUMBERS ? value.padEnd(widths[i]) : value.padStart(widths[i])))
      .join("  ")
      .trimEnd(),
  );
  const more = rows.length > SHOWN ? [`and ${rows.length - SHOWN} more rows`] : [];
  return [`Profile: ${headline(recorded)}`, ...lines, ...more, ...recorded.jit.map(about), ...recorded.notes].join(
    "\n",
  );
}

const escapeHtml = (value: string) => value.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** The table as HTML; a bar behind the share. */
export function table(recorded: Recorded, rows: Row[]): string {
  const align = (i: number) => `text-align:${i < NUMBERS ? "left" : "right"}`;
  const head = HEADS.map((name, i) => `<th style="${align(i)}">${name}</th>`).join("");
  const body = rows.slice(0, SHOWN).map((row) => {
    const filled = (100 * row.share).toFixed(1);
    const bar = `;background:linear-gradient(to left, rgba(31,119,180,.3) ${filled}%, transparent ${filled}%)`;
    const columns = cells(row).map((value, i) => {
      const title = i === 3 && row.line ? ` title="${escapeHtml(row.line)}"` : "";
      return `<td style="${align(i)}${i === 7 ? bar : ""}"${title}>${escapeHtml(value)}</td>`;
    });
    return `<tr>${columns.join("")}</tr>`;
  });
  const more = rows.length > SHOWN ? `<div>and ${rows.length - SHOWN} more rows</div>` : "";
  const below = [...recorded.jit.map(about), ...recorded.notes]
    .map((line) => `<div>${escapeHtml(line)}</div>`)
    .join("");
  return `<div><div>${escapeHtml(headline(recorded))}</div><table><thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table>${more}${below}</div>`;
}

interface Branch {
  label: string;
  ms: number;
  inner: Map<string, Branch>;
}

/** Time by user code, from the outermost call to the op: an icicle whose widths are times. */
export function flame(recorded: Recorded): Figure {
  const root: Branch = { label: "all", ms: 0, inner: new Map() };
  const put = (path: string[], ms: number) => {
    root.ms += ms;
    let at = root;
    for (const label of path) {
      if (!at.inner.has(label)) at.inner.set(label, { label, ms: 0, inner: new Map() });
      at = at.inner.get(label)!;
      at.ms += ms;
    }
  };
  for (const event of recorded.events) {
    const within = event.within ? [event.within] : [];
    const pass = event.pass === "forward" ? [] : [passOf(event)];
    put([...event.frames.map(short).reverse(), ...within, ...pass, event.op], event.self);
  }
  put(["code between ops"], rest(recorded));
  const ids: string[] = [];
  const labels: string[] = [];
  const parents: string[] = [];
  const values: number[] = [];
  const walk = (branch: Branch, parent: string) => {
    const id = String(ids.length);
    ids.push(id);
    labels.push(branch.label);
    parents.push(parent);
    values.push(branch.ms);
    for (const inner of branch.inner.values()) walk(inner, id);
  };
  walk(root, "");
  return {
    data: [
      {
        type: "icicle",
        ids,
        labels,
        parents,
        values,
        branchvalues: "total",
        tiling: { orientation: "v" },
        textinfo: "label+percent root",
        hovertemplate: "%{label}<br>%{value:.3f} ms, %{percentRoot:.1%}<extra></extra>",
        sort: false,
      },
    ],
    layout: {
      title: { text: `Time by code and op, ${fixed(root.ms)} ms` },
      margin: { l: 10, r: 10, t: 40, b: 10 },
      height: 480,
    },
  };
}

/** The events in Chrome's trace event format: complete events ("X") on named threads, and the memory as a counter. */
export function traceFile({ events, scopes, levels }: Recorded): TraceFile {
  const { pid } = process;
  const threads = ["ops", ...new Set(events.map(({ thread }) => thread).filter((thread) => thread !== "ops"))];
  const tid = (thread: string) => 1 + threads.indexOf(thread);
  const us = (ms: number) => Math.round(1e6 * ms) / 1e3;
  return {
    displayTimeUnit: "ms",
    traceEvents: [
      { name: "process_name", ph: "M", pid, tid: 0, args: { name: "profile" } },
      ...threads.map((name) => ({ name: "thread_name", ph: "M", pid, tid: tid(name), args: { name } })),
      ...scopes.map(({ name, start, ms }) => ({ name, cat: "pass", ph: "X", ts: us(start), dur: us(ms), pid, tid: 1 })),
      ...events.map(({ op, kind, start, ms, thread, ...rest }) => ({
        name: op,
        cat: kind,
        ph: "X",
        ts: us(start),
        dur: us(ms),
        pid,
        tid: tid(thread),
        args: { pass: passOf(rest), shapes: rest.shapes, bytes: rest.bytes, at: rest.frames.map(short) },
      })),
      ...levels.map(({ at, bytes }) => ({ name: "memory", ph: "C", ts: us(at), pid, tid: 1, args: { bytes } })),
    ],
  };
}

export function writeTrace(path: string, recorded: Recorded): void {
  writeFileSync(path, JSON.stringify(traceFile(recorded)));
}
