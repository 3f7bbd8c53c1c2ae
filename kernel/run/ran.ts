// Whether the outputs in a notebook are those of its code: what was run is kept as a hash in its metadata.
import { createHash } from "node:crypto";
import { isCode, type Notebook } from "./notebook.ts";

const key = "whetstone";

/** Marks the notebook as run with the code that it has. */
export function markRan(notebook: Notebook): Notebook {
  const own = notebook.metadata[key] as object | undefined;
  return { ...notebook, metadata: { ...notebook.metadata, [key]: { ...own, ran: codeHash(notebook) } } };
}

/** True when its code has changed since `markRan`, or it was never marked. */
export function isStale(notebook: Notebook): boolean {
  const mark = notebook.metadata[key] as { ran?: unknown } | undefined;
  return mark?.ran !== codeHash(notebook);
}

function codeHash({ cells }: Notebook): string {
  const sources = cells.filter(isCode).map(({ source }) => source);
  return createHash("sha256").update(JSON.stringify(sources)).digest("hex").slice(0, 16);
}
