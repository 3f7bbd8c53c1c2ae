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

interface CommMessage {
  data: any;
  metadata: Record<string, any>;
  buffers: Uint8Array<ArrayBuffer>[];
}

interface CommOptions {
  metadata?: Record<string, unknown>;
  /** Bytes that go beside the data, not as text. */
  buffers?: readonly (ArrayBuffer | ArrayBufferView)[];
}

/** A channel to code of the front end. */
interface Comm {
  readonly id: string;
  readonly target: string;
  readonly isClosed: boolean;
  send(data: object, options?: CommOptions): void;
  close(data?: object, options?: CommOptions): void;
  /** Calls the handler with every message of the front end; a promise it returns is waited for. */
  onMessage(handler: (message: CommMessage) => unknown): void;
  /** Calls the handler when the front end closes the comm. */
  onClose(handler: (message: CommMessage) => unknown): void;
}

/** Jupyter's comms: channels between code of the notebook and code of a front end. */
declare namespace comms {
  /** Takes comms that a front end opens for this target, in the place of an earlier handler. */
  function register(target: string, opened: (comm: Comm, message: CommMessage) => unknown): void;
  function unregister(target: string): boolean;
  /** Opens a comm to the front ends; those that know no such target close it. */
  function open(target: string, data?: object, options?: CommOptions & { id?: string }): Comm;
}

/** Imports a module as `import()` does, from the notebook's folder; local files that were edited are loaded anew. */
declare function __import(specifier: string, options?: ImportCallOptions): Promise<any>;
declare namespace __import {
  const meta: ImportMeta;
}
