// Whether what stands in a console is a whole cell, or goes on, or never will be one.
import type ts from "typescript";

export interface Wholeness {
  status: "complete" | "incomplete" | "invalid";
  /** What the next line of an incomplete cell begins with. */
  indent?: string;
}

/** A template or a comment without its end. */
const openEnded = new Set([1160, 1010]);
/** A string that the end of its line cuts off. */
const cutString = 1002;

/** Judges code by its syntax alone. Code that breaks off is incomplete; code that no more text could mend is invalid. */
export function wholeness(file: ts.SourceFile & { parseDiagnostics: ts.DiagnosticWithLocation[] }): Wholeness {
  const [first] = file.parseDiagnostics;
  if (first === undefined) return { status: "complete" };
  const end = file.text.trimEnd().length;
  if (first.code === cutString || (first.start < end && !openEnded.has(first.code))) return { status: "invalid" };
  return { status: "incomplete", indent: indentAfter(file.text) };
}

function indentAfter(text: string): string {
  const line = text.trimEnd().split("\n").at(-1) ?? "";
  const indent = /^\s*/.exec(line)![0];
  return /[{([]$/.test(line) ? `${indent}  ` : indent;
}
