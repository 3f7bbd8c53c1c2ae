// Shows something in the notebook, or on the console where there is none (a script, a test).

/** Data by MIME type; every bundle of the kit has `text/plain`. */
export type Bundle = { "text/plain": string } & Record<string, unknown>;

/** An output that can be replaced later. */
export interface Shown {
  update(value: unknown): void;
}

/** Wraps a MIME bundle as a value that the kernel shows as it stands. */
export const asView = (bundle: Bundle): object => ({ [Symbol.for("Jupyter.display")]: () => bundle });

/** Shows a MIME bundle and returns its handle. */
export function show(bundle: Bundle): Shown {
  const { display } = globalThis as { display?: (value: unknown) => Shown };
  if (display !== undefined) return display(asView(bundle));
  console.log(bundle["text/plain"]);
  return { update: () => {} };
}

/** The text with `&`, `<`, `>` and quotes as entities. */
export function escapeHTML(value: unknown): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return String(value).replace(/[&<>"']/g, (char) => entities[char]!);
}

/** A number as people read it: integers whole with thin spaces between thousands, others with 4 digits. */
export function readable(value: unknown): string {
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return Math.abs(value) < 1e15 ? grouped(value) : value.toExponential(3);
  const size = Math.abs(value);
  if (size >= 1e15 || size < 1e-4) return value.toExponential(2);
  return size >= 10_000 ? grouped(Math.round(value)) : String(Number(value.toPrecision(4)));
}

const grouped = (integer: number) => String(integer).replace(/\B(?=(\d{3})+$)/g, "\u202f");
