// Diagnostics of TypeScript as the kernel shows them.
import { relative } from "node:path";
import ts from "typescript";

/** One finding of the compiler. Lines and columns count from 1; `file` is missing when it is the cell's own. */
export interface Diagnostic {
  code: number;
  category: "error" | "warning";
  message: string;
  line: number;
  column: number;
  endLine: number;
  endColumn: number;
  /** The source line with carets below it, ready to print. */
  excerpt: string;
  file?: string;
}

/** Longer lines are cut around the place in question. */
const maxExcerpt = 160;

/** Restates a diagnostic. `shift`: characters that stand before the user's text on its first line. */
export function restate(found: ts.Diagnostic, category: "error" | "warning", shift = 0): Diagnostic {
  const { file, start = 0, length = 1, code } = found;
  const message = ts.flattenDiagnosticMessageText(found.messageText, "\n");
  if (file === undefined) return { code, category, message, line: 1, column: 1, endLine: 1, endColumn: 1, excerpt: "" };
  const place = (position: number) => {
    const { line, character } = file.getLineAndCharacterOfPosition(Math.min(position, file.text.length));
    return { line, character: line === 0 ? Math.max(0, character - shift) : character };
  };
  const [from, to] = [place(start), place(start + length)];
  const text = file.text.slice(shift).split(/\r?\n/)[from.line] ?? "";
  const end = to.line === from.line ? to.character : text.length;
  return {
    code,
    category,
    message,
    line: from.line + 1,
    column: from.character + 1,
    endLine: to.line + 1,
    endColumn: to.character + 1,
    excerpt: excerpt(text, from.line + 1, from.character, end),
  };
}

/** The path of a file as people name it: relative to the notebook's folder when it is near. */
export function nearPath(path: string, folder: string): string {
  const near = relative(folder, path);
  return near.startsWith("../../../") ? path : near;
}

function excerpt(text: string, line: number, from: number, to: number): string {
  const cut = text.length > maxExcerpt ? Math.max(0, from - maxExcerpt / 2) : 0;
  const shown = text.slice(cut, cut + maxExcerpt);
  const gutter = `${line} | `;
  const indent = shown.slice(0, from - cut).replace(/[^\t]/g, " ");
  const carets = "^".repeat(Math.max(1, Math.min(to, cut + maxExcerpt) - from));
  return `  ${gutter}${shown}\n  ${" ".repeat(gutter.length - 2)}| ${indent}${carets}`;
}
