// Turns a value into the MIME bundle that a front end shows: the richest view it has, and always a plain text one.
import { inspect } from "node:util";
import { describeError } from "./errors.ts";
import { formatFigure, isFigure } from "./figure.ts";
import { formatFrame, isFrame } from "./frame.ts";

/** Data by MIME type, as in Jupyter's `display_data`: JSON types hold values, binary types base64 text. */
export type MimeBundle = Record<string, unknown>;

/** What a value looks like: the content of a `display_data` or `execute_result` message. */
export interface Formatted {
  data: MimeBundle;
  metadata?: Record<string, unknown>;
}

/**
 * A value with this method shows itself: it returns a MIME bundle, or a promise of one. A value that has `null` there stands for an output that is
 * shown already, such as a handle of `display`: as the value of a cell it is not shown again.
 */
export const displaySymbol: unique symbol = Symbol.for("Jupyter.display") as never;

/** No text view is longer than this: a front end that gets 50 MB of text stops answering. */
const textLimit = 100_000;

/**
 * The view of a value. A promise is returned only when the value shows itself asynchronously; everything else is done at once, so that the order
 * of outputs is kept. A view that fails never hides the value: its text is shown with a note that says what failed.
 */
export function format(value: unknown): Formatted | Promise<Formatted> {
  try {
    const view = richView(value);
    if (view === undefined) return { data: { "text/plain": textOf(value) } };
    return isPromise(view) ? view.then(withText(value), broken(value)) : withText(value)(view);
  } catch (error) {
    return broken(value)(error);
  }
}

/** The view of a cell's value: `undefined` for one that stands for an output already shown. */
export function formatResult(value: unknown): Formatted | undefined | Promise<Formatted> {
  return isShown(value) ? undefined : format(value);
}

function isShown(value: unknown): boolean {
  try {
    return typeof value === "object" && (value as { [displaySymbol]?: unknown } | null)?.[displaySymbol] === null;
  } catch {
    return false; // a getter that throws, a revoked proxy: format() tells of it
  }
}

/** The text of a value as `util.inspect` writes it, without colours, cut with a note when it is very long. */
export function textOf(value: unknown): string {
  let text: string;
  try {
    if (value instanceof Error) return shortened(describeError(value).traceback.join("\n"));
    text = inspect(value, { colors: false, depth: 4, maxArrayLength: 100, maxStringLength: 20_000, breakLength: 100 });
  } catch (error) {
    text = `[${typeof value} that cannot be inspected: ${messageOf(error)}]`;
  }
  return shortened(text);
}

type View = Formatted | undefined | Promise<Formatted | undefined>;

function richView(value: unknown): View {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return undefined;
  const own = (value as { [displaySymbol]?: unknown })[displaySymbol];
  if (typeof own === "function") return then(own.call(value), (data) => ({ data: data as MimeBundle }));
  if (typeof value === "function") return undefined;
  if (isFigure(value)) return formatFigure(value);
  if (isFrame(value)) return formatFrame(value);
  if (value instanceof Uint8Array) return imageBytes(value);
  return selfRendering(value as Record<string, unknown>);
}

/** Objects of other libraries that can draw themselves: `toHTML()`, `toSVG()`, `toPNG()`. */
function selfRendering(value: Record<string, unknown>): View {
  for (const [method, mime] of [
    ["toHTML", "text/html"],
    ["toSVG", "image/svg+xml"],
    ["toPNG", "image/png"],
  ] as const) {
    const draw = value[method];
    if (typeof draw !== "function") continue;
    return then(draw.call(value), (drawn) => {
      const data = drawn instanceof Uint8Array ? Buffer.from(drawn).toString("base64") : drawn;
      return typeof data === "string" ? { data: { [mime]: data } } : undefined;
    });
  }
  return undefined;
}

function imageBytes(bytes: Uint8Array): Formatted | undefined {
  const mime =
    bytes[0] === 0x89 && bytes[1] === 0x50 && bytes[2] === 0x4e && bytes[3] === 0x47
      ? "image/png"
      : bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff
        ? "image/jpeg"
        : undefined;
  if (mime === undefined) return undefined;
  const kind = mime.slice(6).toUpperCase();
  return {
    data: {
      [mime]: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64"),
      "text/plain": `${kind} image, ${bytes.length} bytes`,
    },
  };
}

/** Adds the text view where the value's own view has none, and refuses what is no MIME bundle. */
function withText(value: unknown): (view: Formatted | undefined) => Formatted {
  return (view) => {
    if (view === undefined) return { data: { "text/plain": textOf(value) } };
    try {
      const data = checkBundle(view.data);
      return { ...view, data: "text/plain" in data ? data : { ...data, "text/plain": textOf(value) } };
    } catch (error) {
      return broken(value)(error);
    }
  };
}

/** A bundle that is shown as it is. Throws a TypeError that names the part that no front end could show. */
export function rawBundle(value: unknown): Formatted {
  const data = checkBundle(value);
  return { data: "text/plain" in data ? data : { ...data, "text/plain": `[${Object.keys(data).join(", ")}]` } };
}

const mimePattern = /^[\w.+-]+\/[\w.+-]+$/;

/** The bundle without parts that are `undefined`, lines of text joined. Throws for what cannot be sent. */
function checkBundle(value: unknown): MimeBundle {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new TypeError(`expected a MIME bundle such as { "text/html": "<b>42</b>" }, got ${briefly(value)}`);
  }
  const parts = Object.entries(value).filter(([, part]) => part !== undefined);
  return Object.fromEntries(parts.map(([mime, part]) => [mime, checkPart(mime, part)]));
}

function checkPart(mime: string, part: unknown): unknown {
  if (!mimePattern.test(mime)) {
    throw new TypeError(`"${mime}" is no MIME type: the keys of a bundle are those, such as "text/html"`);
  }
  if (/[/+]json$/.test(mime)) {
    try {
      if (JSON.stringify(part) !== undefined) return part;
    } catch (error) {
      throw new TypeError(`"${mime}" cannot be written as JSON: ${messageOf(error)}`);
    }
    throw new TypeError(`"${mime}" cannot be written as JSON: it is ${briefly(part)}`);
  }
  if (typeof part === "string") return part;
  if (Array.isArray(part) && part.every((line) => typeof line === "string")) return part.join("");
  throw new TypeError(`"${mime}" has to be a text (pictures as base64), it is ${briefly(part)}`);
}

const briefly = (value: unknown) => shortened(textOf(value), 200);

function broken(value: unknown): (error: unknown) => Formatted {
  return (error) => ({ data: { "text/plain": `${textOf(value)}\n[its own view failed: ${messageOf(error)}]` } });
}

const messageOf = (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error));

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | undefined)?.then === "function";
}

function then<T>(value: unknown, next: (value: unknown) => T): T | Promise<T> {
  return isPromise(value) ? value.then(next) : next(value);
}

function shortened(text: string, limit = textLimit): string {
  if (text.length <= limit) return text;
  const tail = Math.floor(limit / 10);
  return `${text.slice(0, limit - tail)}\n... ${text.length - limit} characters left out ...\n${text.slice(-tail)}`;
}
