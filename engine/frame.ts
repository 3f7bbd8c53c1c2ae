// The line of the user's code that an error is about.
import { pathToFileURL } from "node:url";

const here = [import.meta.dirname, pathToFileURL(import.meta.dirname).href].map((dir) => `${dir}/`);

/** ` at file:line` of the nearest caller outside the engine and tfjs, or "" when there is none. */
export function userFrame(): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 100;
  const stack = new Error().stack ?? "";
  Error.stackTraceLimit = limit;
  for (const line of stack.split("\n").slice(1)) {
    if (line.includes("/node_modules/@tensorflow/") || line.includes("node:internal")) continue;
    if (/<anonymous>\)?$/.test(line) || here.some((dir) => line.includes(dir))) continue;
    // Without the column: that of code which a kernel runs is not the user's.
    return ` at ${line
      .trim()
      .replace(/^at /, "")
      .replace(/:\d+(\)?)$/, "$1")}`;
  }
  return "";
}
