// The line of the user's code that an error is about.
import { pathToFileURL } from "node:url";

const here = [import.meta.dirname, pathToFileURL(import.meta.dirname).href].map((dir) => `${dir}/`);

/** ` at file:line` of the nearest caller outside the engine and tfjs, or "" when there is none. */
export function userFrame(): string {
  return callSite().frame;
}

/**
 * Where user code called into tfjs: the op that it called (`matMul`), and ` at file:line`.
 * @param stack of an error; without it, of the call itself
 */
export function callSite(stack = longStack()): { op?: string; frame: string } {
  let op: string | undefined;
  for (const line of stack.split("\n").slice(1)) {
    // tfjs names its public functions `matMul__op`; the outermost is what the user wrote.
    op = /(\w+)__op\b/.exec(line)?.[1] ?? op;
    if (isUsers(line)) return { op, frame: ` at ${place(line)}` };
  }
  return { op, frame: "" };
}

/** The places of user code in a stack, `step (file:12)`, innermost first. */
export function userFrames(stack = longStack()): string[] {
  return stack.split("\n").slice(1).filter(isUsers).map(place);
}

function isUsers(line: string): boolean {
  if (!/^\s*at /.test(line) || line.includes("/node_modules/@tensorflow/") || line.includes("node:internal"))
    return false;
  return !/<anonymous>\)?$/.test(line) && !here.some((dir) => line.includes(dir));
}

// Without the column: that of code which a kernel runs is not the user's.
const place = (line: string) =>
  line
    .trim()
    .replace(/^at /, "")
    .replace(/:\d+(\)?)$/, "$1");

function longStack(): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 100;
  const stack = new Error().stack ?? "";
  Error.stackTraceLimit = limit;
  return stack;
}
