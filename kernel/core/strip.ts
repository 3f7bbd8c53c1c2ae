import { stripTypeScriptTypes } from "node:module";
export interface Diagnostic {
  code: number;
  category: "error" | "warning";
  message: string;
  line: number;
  column: number;
  endLine: number;
  endColumn: number;
  excerpt: string;
  file?: string;
}
export interface Checked {
  js: string;
  diagnostics: Diagnostic[];
  names: string[];
}
export interface Completion {
  text: string;
  type: string;
  signature?: string;
  start: number;
  end: number;
}
export interface Compiler {
  check(cell: number, code: string): Promise<Checked>;
  complete(
    code: string,
    offset: number,
  ): Promise<{ matches: string[]; start: number; end: number; items: Completion[] }>;
  inspect(code: string, offset: number, detail: 0 | 1): Promise<{ text: string; markdown: string } | undefined>;
  isComplete(code: string): Promise<{ status: "complete" | "incomplete" | "invalid"; indent?: string }>;
  reset(): Promise<void>;
  stop(): void;
}
export function startCompiler(_options: { cwd: string; dist: string }): Compiler {
  return {
    async check(_cell, code) {
      try {
        let js = stripTypeScriptTypes(code, { mode: "strip" });
        js = js
          .replace(/^\s*import\s+\*\s+as\s+(\w+)\s+from\s+("[^"]+")/gm, "const $1 = await __import($2)")
          .replace(
            /^\s*import\s+(\{[^}]*\})\s+from\s+("[^"]+")/gm,
            (_m, a, b) => `const ${a.replace(/ as /g, ": ")} = await __import(${b})`,
          );
        return { js, diagnostics: [], names: [] };
      } catch (e: any) {
        return {
          js: "",
          names: [],
          diagnostics: [
            {
              code: 1005,
              category: "error",
              message: e.message,
              line: 1,
              column: 1,
              endLine: 1,
              endColumn: 1,
              excerpt: code.split("\n")[0],
            },
          ],
        };
      }
    },
    complete: async (_c, o) => ({ matches: [], start: o, end: o, items: [] }),
    inspect: async () => undefined,
    isComplete: async () => ({ status: "complete" }),
    reset: async () => {},
    stop() {},
  };
}
