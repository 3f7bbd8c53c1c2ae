// `display`, `clearOutput` and `progress` of cells.
import { randomUUID } from "node:crypto";
import { currentRun, currentSink, type Sink } from "./context.ts";
import { displaySymbol, type Formatted, format, type MimeBundle, rawBundle } from "./format.ts";
import { show } from "./output.ts";
import type { View } from "./protocol.ts";

export interface DisplayOptions {
  /** Outputs with the same id are updated together. */
  id?: string;
  /** By MIME type, such as `{ "image/png": { width: 320 } }`. */
  metadata?: Record<string, unknown>;
  /** The value is a MIME bundle, shown as it is. */
  raw?: boolean;
}

export interface DisplayHandle {
  readonly id: string;
  /** Replaces the output. Faster than ten times a second only the last value is shown. */
  update(value: unknown): void;
}

/** Milliseconds between two updates of one output. */
const updateMs = 100;

/** Views that are still being made, by the run they belong to: a run ends after them. */
const unfinished = new Map<number, Set<Promise<void>>>();
/** Updates held back by the limit. */
const heldBack = new Map<string, () => void>();

/** Shows a value in the output of the cell that calls, and returns a handle to replace it. */
export function display(value: unknown, options: DisplayOptions = {}): DisplayHandle {
  const id = options.id ?? randomUUID();
  let shownAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const sink = currentSink();
  showValue(value, id, options, false, sink);
  const handle: DisplayHandle = {
    id,
    update(next) {
      const now = () => {
        clearTimeout(timer);
        timer = undefined;
        heldBack.delete(id);
        shownAt = performance.now();
        showValue(next, id, options, true, sink);
      };
      const wait = shownAt + updateMs - performance.now();
      if (wait <= 0) return now();
      heldBack.set(id, now);
      clearTimeout(timer);
      timer = setTimeout(now, wait);
      timer.unref();
    },
  };
  return Object.defineProperty(handle, displaySymbol, { value: null }); // as the value of a cell it is no second output
}

function showValue(
  value: unknown,
  id: string,
  { metadata, raw }: DisplayOptions,
  update: boolean,
  sink: Sink | undefined,
) {
  const run = currentRun();
  const out = (view: Formatted) => show({ type: "display", run, view: viewOf(view, metadata), id, update }, sink);
  const view = raw ? rawBundle(value) : format(value);
  if (!(view instanceof Promise)) return out(view);
  const set = unfinished.get(run) ?? new Set();
  unfinished.set(run, set);
  const shown = view.then(out).finally(() => set.delete(shown));
  set.add(shown);
}

/** A formatted value as the front wants it. */
export function viewOf({ data, metadata }: Formatted, more?: Record<string, unknown>): View {
  return { data, metadata: { ...metadata, ...more } };
}

/** Whether outputs of a run are still to be made or shown. */
export const hasUnfinished = (run: number) => heldBack.size > 0 || unfinished.has(run);

/** Shows the last state of all outputs and waits for views of this run that are still being made. */
export async function finishDisplays(run: number): Promise<void> {
  for (const showNow of [...heldBack.values()]) showNow();
  await Promise.all(unfinished.get(run) ?? []);
  unfinished.delete(run);
}

/** Removes the outputs of the cell; with `wait` only when the next one comes, which avoids flicker. */
export function clearOutput(wait = false) {
  show({ type: "clear", run: currentRun(), wait }, currentSink());
}

export interface ProgressBar {
  /** Steps done so far. */
  readonly done: number;
  /** Counts `steps` more, 1 unless told; the text stands behind the bar. */
  step(steps?: number, text?: string): void;
  /** Sets how many steps are done. */
  update(done: number, text?: string): void;
}

/**
 * A progress bar: of `total` steps that the caller counts, or of an iterable, whose items are passed on and counted.
 * An iterable without a length gets a count instead of a bar.
 */
export function progress(total: number, label?: string): ProgressBar;
export function progress<T>(items: Iterable<T>, label?: string): Iterable<T>;
export function progress<T>(items: AsyncIterable<T>, label?: string): AsyncIterable<T>;
export function progress(source: number | Iterable<unknown> | AsyncIterable<unknown>, label = ""): unknown {
  if (typeof source === "number") return progressBar(source, label);
  const { length, size } = source as { length?: number; size?: number };
  const total = length ?? size;
  if (Symbol.asyncIterator in source) return passAsync(source, total, label);
  return pass(source, total, label);
}

function* pass<T>(items: Iterable<T>, total: number | undefined, label: string): Generator<T> {
  const bar = progressBar(total, label);
  for (const item of items) {
    yield item;
    bar.step();
  }
}

async function* passAsync<T>(items: AsyncIterable<T>, total: number | undefined, label: string): AsyncGenerator<T> {
  const bar = progressBar(total, label);
  for await (const item of items) {
    yield item;
    bar.step();
  }
}

function progressBar(total: number | undefined, label: string): ProgressBar {
  const began = performance.now();
  let done = 0;
  let note = "";
  const view = () => ({
    [Symbol.for("Jupyter.display")]: () =>
      progressView({ done, total, label, note, seconds: (performance.now() - began) / 1e3 }),
  });
  const handle = display(view());
  const update = (next: number, text = note) => {
    done = next;
    note = text;
    handle.update(view());
  };
  return {
    get done() {
      return done;
    },
    step: (steps = 1, text) => update(done + steps, text),
    update,
  };
}

interface ProgressState {
  done: number;
  total: number | undefined;
  label: string;
  note: string;
  seconds: number;
}

function progressView({ done, total, label, note, seconds }: ProgressState): MimeBundle {
  const share = total === undefined ? undefined : total <= 0 ? 1 : Math.min(1, done / total);
  const left =
    share === undefined || share === 0 || share === 1 ? "" : `, ${duration((seconds * (1 - share)) / share)} left`;
  const count = total === undefined ? `${done}` : `${done}/${total}`;
  const about = `${count} in ${duration(seconds)}${left}${note === "" ? "" : `  ${note}`}`;
  const before = label === "" ? "" : `${label} `;
  const cells = 30;
  const full = Math.round((share ?? 0) * cells);
  const escaped = (text: string) => text.replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`);
  return {
    "text/html":
      `<div style="font-variant-numeric:tabular-nums">${escaped(before)}` +
      (share === undefined ? "" : `<progress max="1" value="${share.toFixed(4)}" style="width:20em"></progress> `) +
      `${escaped(about)}</div>`,
    "text/plain": `${before}${share === undefined ? "" : `[${"#".repeat(full)}${".".repeat(cells - full)}] `}${about}`,
  };
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
