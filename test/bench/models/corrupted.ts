// 500 structurally damaged files of each format: all must be refused by a typed error, without a crash, and without memory that
// the file cannot fill. test/fixtures/damaged.ts makes them, damaged.py has checked by other programs that they are damaged.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Outcome } from "../../fixtures/damaged_child.ts";
import type { Row } from "../run.ts";

const fixtures = join(import.meta.dirname, "../../fixtures");

/** What came of the files of a format; a crash of its process counts for all of them. */
export function outcome(name: string): Outcome & { crash?: string } {
  const folder = mkdtempSync(join(tmpdir(), "damaged-"));
  try {
    const args = ["--expose-gc", join(fixtures, "damaged_child.ts"), name, folder];
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    if (status === 0) return JSON.parse(stdout.trim().split("\n").at(-1)!);
    const crash = `${name}: ${signal ?? `code ${status}`}\n${stderr.slice(-2000)}`;
    return { files: 500, typed: 0, others: [], extra: 0, sha256: "", tensors: 0, crash };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function* rows(): AsyncGenerator<Row> {
  const names = Object.keys(JSON.parse(readFileSync(join(fixtures, "damaged.json"), "utf8")));
  let [typed, files, extra, crashes] = [0, 0, 0, 0];
  for (const name of names) {
    const one = outcome(name);
    [typed, files] = [typed + one.typed, files + one.files];
    extra = Math.max(extra, one.extra);
    crashes += one.crash ? 1 : 0;
    const note = `${name}: ${one.typed} typed errors of ${one.files} files; ${one.crash ?? one.others.join("\n")}`;
    yield { id: `corrupted-${name.toLowerCase().replace(/\W/g, "-")}`, value: one.extra / 1e6, unit: "MB", note };
  }
  yield {
    id: "corrupted",
    value: typed / files,
    unit: "of all",
    note: `${typed} typed errors of ${files} files, ${crashes} crashes`,
  };
  yield { id: "corrupted-memory", value: extra / 1e6, unit: "MB", note: "the most beyond what was taken before" };
}
