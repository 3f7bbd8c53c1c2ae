// Which claims have moved since a run that was committed: their verdict, their value by more than such values do, how they were measured.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { type ClaimRow, claimsOf, measured, type StoredClaim, targetOf, verdictOf } from "./claims.ts";
import { parseNotebook } from "./notebook.ts";

/** What has become of a claim, from `was` to `is`. */
export interface Moved {
  id: string;
  what: "new" | "gone" | "verdict" | "target" | "value" | "measured otherwise";
  was?: string;
  is?: string;
}

/** So much may a value differ between two runs before it is named, as a share of it, where it has no interval. */
const usual: Record<string, number> = { exact: 0, correctness: 0, quality: 0.01, observed: 0.01, speed: 0.2 };

/** The claims of the notebooks in a folder of the repository at `root`, at a revision. Nothing where there is no repository. */
export function committed(root: string, folder: string, revision: string): ClaimRow[] | undefined {
  const git = (...args: string[]) => spawnSync("git", args, { cwd: root, encoding: "utf8", maxBuffer: 2 ** 30 });
  if (git("rev-parse", "--git-dir").status !== 0) return undefined;
  const known = git("rev-parse", "--verify", "--quiet", `${revision}^{commit}`);
  if (known.status !== 0) throw new Error(`git knows no revision ${revision}; HEAD and HEAD~1 are some`);
  const list = git("ls-tree", "--name-only", revision, `${folder}/`).stdout.split("\n");
  return list
    .filter((path) => path.endsWith(".ipynb"))
    .flatMap((path) => {
      const { stdout, stderr, status } = git("show", `${revision}:${path}`);
      if (status !== 0) throw new Error(`git show ${revision}:${path}: ${stderr.trim()}`);
      return claimsOf(join(root, path), parseNotebook(stdout, `${revision}:${path}`));
    });
}

/** What differs, in the order of the claims that there are now; those that are gone come last. */
export function movedSince(before: readonly ClaimRow[], now: readonly ClaimRow[]): Moved[] {
  const old = new Map(before.map(({ claim }) => [claim.id, claim]));
  const there = new Set(now.map(({ claim }) => claim.id));
  return [
    ...now.flatMap(({ claim }): Moved[] => {
      const was = old.get(claim.id);
      if (was === undefined) return [{ id: claim.id, what: "new", is: stated(claim) }];
      const what = difference(was, claim);
      return what === undefined ? [] : [{ id: claim.id, what, ...both(what, was, claim) }];
    }),
    ...before
      .filter(({ claim }) => !there.has(claim.id))
      .map(({ claim }): Moved => ({ id: claim.id, what: "gone", was: stated(claim) })),
  ];
}

function difference(was: StoredClaim, is: StoredClaim): Moved["what"] | undefined {
  if (was.pass !== is.pass) return "verdict";
  if (was.op !== is.op) return "target";
  // A quick run does less, and another device rounds otherwise: their values say nothing about each other. A claim of old may name no device.
  if (was.mode !== is.mode || (was.device !== undefined && was.device !== is.device)) return "measured otherwise";
  if (hasMoved(was, is)) return "value";
  // Targets of some claims are computed, and differ in their last digit.
  return targetOf(was) === targetOf(is) ? undefined : "target";
}

function hasMoved(was: StoredClaim, is: StoredClaim): boolean {
  if (was.value === is.value) return false;
  if (was.ci !== undefined) return !(is.value >= was.ci[0] && is.value <= was.ci[1]);
  const share = usual[is.kind ?? ""] ?? 0.01;
  return !(Math.abs(is.value - was.value) <= share * Math.abs(was.value));
}

function both(what: Moved["what"], was: StoredClaim, is: StoredClaim): { was: string; is: string } {
  if (what !== "measured otherwise") return { was: stated(was), is: stated(is) };
  const how = (claim: StoredClaim) => `${measured(claim)} (${[claim.mode, claim.device].filter(Boolean).join(", ")})`;
  return { was: how(was), is: how(is) };
}

const stated = (claim: StoredClaim) => `${measured(claim)} ${targetOf(claim)}, ${verdictOf(claim)}`;

/** As lines for the terminal. `revision` is missing where there is no repository. */
export function movedLines(moved: readonly Moved[], revision: string | undefined): string[] {
  if (revision === undefined) return ["Nothing to compare with: this is no git repository."];
  if (moved.length === 0) return [`No claim has moved since ${revision}.`];
  const change = ({ was, is }: Moved) => [was, is].filter((text) => text !== undefined).join(" -> ");
  return [
    `${moved.length} ${moved.length === 1 ? "claim has" : "claims have"} moved since ${revision}:`,
    ...moved.map((each) => `  ${each.id}: ${each.what}: ${change(each)}`),
  ];
}
