// Runs in the process of the cells, before the first of them: V8 counts what is executed of the files that are loaded from now on.
import { writeFileSync } from "node:fs";
import { type Profiler, Session } from "node:inspector";

const session = new Session();

export function begin(): void {
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
}

/** Writes the counts of the TypeScript files into a file, as JSON. */
export function end(file: string): void {
  let found: Profiler.ScriptCoverage[] = [];
  session.post("Profiler.takePreciseCoverage", (_error, answer) => {
    found = answer.result;
  });
  const scripts = found
    .filter(({ url }) => /^file:.*\.[cm]?tsx?(\?|$)/.test(url) && !url.includes("/node_modules/"))
    .map(({ url, functions }) => ({ url, ranges: functions.flatMap(({ ranges }) => ranges) }));
  writeFileSync(file, JSON.stringify(scripts));
  session.disconnect();
}
