// The V8 start-up snapshot of the language process: TypeScript loaded, its libraries parsed, its checker warm. It fits one Node and one folder.
import { spawnSync } from "node:child_process";
import { renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

/** Freezes the bundle `compile.cjs` of a folder into `check.blob` beside it. Returns what went wrong; the kernel works without, its first cell then waits a second longer. */
export function makeSnapshot(dist: string): string | undefined {
  const blob = join(dist, "check.blob");
  const draft = `${blob}.${process.pid}`;
  const made = spawnSync(process.execPath, ["--snapshot-blob", draft, "--build-snapshot", join(dist, "compile.cjs")], {
    cwd: dirname(dist),
    encoding: "utf8",
  });
  try {
    if (made.status === 0) {
      renameSync(draft, blob);
      return undefined;
    }
    rmSync(draft, { force: true });
    rmSync(blob, { force: true });
  } catch (error) {
    return (error as Error).message;
  }
  return made.error?.message ?? made.stderr;
}
