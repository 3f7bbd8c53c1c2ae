// Claims: sentences that a cell measures. A claim that does not hold stops the notebook; an effect that is merely looked at does not.
import { escapeHTML, readable, show } from "./show.ts";

/** How a value is compared with its target; "within" takes `[low, high]`, both ends included. */
export type Op = "<" | "<=" | ">" | ">=" | "==" | "within";
export type Target = number | readonly [low: number, high: number];

export interface ClaimOptions {
  /** The sentence in words. */
  title?: string;
  unit?: string;
  /** 95 % interval of the value. The claim must hold for all of it. */
  ci?: readonly [low: number, high: number];
  /** How many seeds, or runs, the value was made from. */
  seeds?: number;
  /** "cpu", "cuda", "webgpu", "wasm"; the engine's own where it is not given and the engine is there. */
  device?: string;
  /** "quick" or "full"; read from WHETSTONE_QUICK where it is not given. */
  mode?: string;
  /** What sort of statement this is: decides what may be expected of another machine. */
  kind?: "exact" | "correctness" | "quality" | "speed" | "observed";
  note?: string;
}

/** What a claim leaves in the notebook, under `application/vnd.claim+json`. */
export interface Claim extends ClaimOptions {
  id: string;
  value: number;
  op: Op;
  target: Target;
  pass: boolean;
}

/** Thrown by a claim that does not hold. */
export class ClaimError extends Error {
  override name = "ClaimError";
  readonly claim: Claim;
  constructor(claim: Claim) {
    const hint = claim.note === undefined ? "" : `. ${claim.note}`;
    super(`${claim.id} does not hold: ${sentence(claim)}${hint}`);
    this.claim = claim;
  }
}

/**
 * States that `value op target`, shows it as a row and stores it in the output. With `ci` the whole interval must satisfy the bound.
 * NaN and infinity never pass: they are what a division by zero leaves. Throws ClaimError when false.
 */
export function claim(id: string, value: number, op: Op, target: Target, options: ClaimOptions = {}): Claim {
  const made = judge(id, value, op, target, options);
  present(made, made.pass ? "✔" : "✘", made.pass ? "" : "does not hold");
  if (!made.pass) throw new ClaimError(made);
  return made;
}

/**
 * Looks whether an effect that the literature reports shows at this size. It is stored like a claim, with its interval, but never throws: an effect
 * that is absent is shown as "does not hold here", with `seenAt`, the scale at which others saw it.
 */
export function observed(
  id: string,
  value: number,
  op: Op,
  target: Target,
  { seenAt, ...options }: ClaimOptions & { seenAt: string },
): Claim {
  const made = judge(id, value, op, target, { ...options, kind: "observed" });
  const seen: Claim = { ...made, note: [options.note, `Seen at: ${seenAt}`].filter(Boolean).join(". ") };
  present(seen, seen.pass ? "✔" : "○", seen.pass ? "holds here" : "does not hold here");
  return seen;
}

function judge(id: string, value: number, op: Op, target: Target, options: ClaimOptions): Claim {
  if (!/^[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)*$/.test(id))
    throw new TypeError(`claim id "${id}": use small letters, digits, "-" and ".", such as "pruning.bytes-at-50"`);
  if (!isBound(op, target))
    throw new TypeError(
      op === "within"
        ? `claim ${id}: "within" takes a target of two numbers, [low, high], got ${readable(target)}`
        : `claim ${id}: "${op}" takes a target of one number, got ${readable(target)}`,
    );
  if (options.ci !== undefined && options.ci[0] > options.ci[1])
    throw new TypeError(`claim ${id}: the interval [${options.ci}] has its ends the wrong way round`);
  const points = options.ci === undefined ? [value] : [value, ...options.ci];
  const pass = points.every((point) => Number.isFinite(point) && holds(point, op, target));
  const mode = options.mode ?? (process.env.WHETSTONE_QUICK ? "quick" : "full");
  const device = options.device ?? (globalThis as Record<symbol, unknown>)[Symbol.for("whetstone.device")];
  return { id, value, op, target, ...options, ...(typeof device === "string" ? { device } : {}), mode, pass };
}

/** Whether there is something to compare with: a bound that is no number, or infinite, could not fail or could not hold. */
function isBound(op: Op, target: Target): boolean {
  if (typeof target === "number") return op !== "within" && Number.isFinite(target);
  return op === "within" && target.length === 2 && target.every(Number.isFinite) && target[0] <= target[1];
}

function holds(value: number, op: Op, target: Target): boolean {
  if (typeof target !== "number") return value >= target[0] && value <= target[1];
  if (op === "<") return value < target;
  if (op === "<=") return value <= target;
  if (op === ">") return value > target;
  if (op === ">=") return value >= target;
  if (op === "==") return value === target;
  throw new TypeError(`claim: no comparison "${op}"; there are <, <=, >, >=, == and within`);
}

function sentence({ value, op, target, unit, ci, seeds }: Claim): string {
  const interval = ci === undefined ? "" : ` (95 % interval ${readable(ci[0])} to ${readable(ci[1])})`;
  const bound = typeof target === "number" ? readable(target) : `${readable(target[0])} to ${readable(target[1])}`;
  const runs = seeds === undefined ? "" : `, ${seeds} runs`;
  return `${readable(value)}${unit === undefined ? "" : ` ${unit}`}${interval} ${op === "within" ? "within" : op} ${bound}${runs}`;
}

function present(made: Claim, mark: string, verdict: string): void {
  const words = `${sentence(made)}${verdict === "" ? "" : `: ${verdict}`}`;
  const title = made.title === undefined ? "" : ` ${made.title}:`;
  const color = mark === "✔" ? "#009E73" : mark === "✘" ? "#D55E00" : "#767676";
  const note = made.note === undefined ? "" : `<br><small>${escapeHTML(made.note)}</small>`;
  show({
    "application/vnd.claim+json": made,
    "text/html":
      `<div style="border-left:4px solid ${color};padding:2px 8px"><b style="color:${color}">${mark}</b> ` +
      `<code>${escapeHTML(made.id)}</code>${escapeHTML(title)} <b>${escapeHTML(words)}</b>${note}</div>`,
    "text/plain": `${mark} ${made.id}${title} ${words}`,
  });
  Object.defineProperty(made, Symbol.for("Jupyter.display"), { value: null }); // as the value of a cell it is not shown again
}
