// What every cell can use without importing it, besides what Node has.

/** The output that `display` has made. */
interface DisplayHandle {
  readonly id: string;
  /** Replaces the output. Faster than ten times a second only the last value is shown. */
  update(value: unknown): void;
}

interface DisplayOptions {
  /** Outputs with the same id are updated together. */
  id?: string;
  /** By MIME type, such as `{ "image/png": { width: 320 } }`. */
  metadata?: Record<string, unknown>;
  /** The value is a MIME bundle, such as `{ "text/html": "<b>42</b>" }`, shown as it is. */
  raw?: boolean;
}

/** A progress bar of steps that the caller counts. */
interface ProgressBar {
  /** Steps done so far. */
  readonly done: number;
  /** Counts `steps` more, 1 unless told; the text stands behind the bar. */
  step(steps?: number, text?: string): void;
  /** Sets how many steps are done. */
  update(done: number, text?: string): void;
}

/** Shows a value in the output of the cell. Returns a handle that can replace it. */
declare function display(value: unknown, options?: DisplayOptions): DisplayHandle;

/** Removes the outputs of the cell; with `wait` only when the next one comes, which avoids flicker. */
declare function clearOutput(wait?: boolean): void;

/** Asks the user for a line of text and waits for it; `password` hides what is typed. */
declare function prompt(text?: string, options?: { password?: boolean }): string;

/** Asks the user a question that is answered by yes or no, and waits for it. */
declare function confirm(text?: string): boolean;

/** A progress bar of `total` steps. */
declare function progress(total: number, label?: string): ProgressBar;
/** Passes the items on and shows how many have been taken. */
declare function progress<T>(items: Iterable<T>, label?: string): Iterable<T>;
declare function progress<T>(items: AsyncIterable<T>, label?: string): AsyncIterable<T>;

/** Imports a module as `import()` does, from the notebook's folder; local files that were edited are loaded anew. */
declare function __import(specifier: string, options?: ImportCallOptions): Promise<any>;
declare namespace __import {
  const meta: ImportMeta;
}
