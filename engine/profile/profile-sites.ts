// Where ops come from: the op as it was written, its pass and the user's lines, of ops that run and of nodes that are traced.
import { userFrames } from "../frame.ts";
import { asWritten, type Call, currentCall, type Pass } from "../scopes.ts";
import { type Trace, watchTraces } from "../trace.ts";

export interface Site {
  op: string;
  pass: Pass;
  of?: string;
  frames: string[];
}

// Stacks repeat: a loop's body is one place.
const parsed = new Map<string, string[]>();

// All that an op does has one place.
let last: { scope: object; frames: string[] } | undefined;

/** The user's lines that led here, innermost first. */
export function framesNow({ scope }: Call): string[] {
  if (scope && scope === last?.scope) return last.frames;
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 60;
  // No error is made: while an op runs, those are watched for the one that it throws.
  const here: { stack?: string } = {};
  Error.captureStackTrace(here, framesNow);
  const { stack = "" } = here;
  Error.stackTraceLimit = limit;
  let frames = parsed.get(stack);
  if (!frames) {
    frames = userFrames(stack);
    if (parsed.size > 10_000) parsed.clear();
    parsed.set(stack, frames);
  }
  last = scope && { scope, frames };
  return frames;
}

/** Of the op that is running; outside of ops the kernel tells. */
export function siteNow(fallback: string): Site {
  const call = currentCall();
  const { op = asWritten(fallback), pass, of } = call;
  // What a gradient does belongs to the line of what it is the gradient of.
  const frames = pass === "backward" && of?.frames ? of.frames : framesNow(call);
  return { op, pass, of: of?.op, frames };
}

/** Forgets what is held of the last op. */
export function forgetLast(): void {
  last = undefined;
}

// Sites of the nodes of programs, by the program's name: kept for later profiles of the same program.
const sites = new Map<string, Map<string, Site>>();

const MOST_PROGRAMS = 1000;

// Who called the program is not where its nodes come from: another call may come from elsewhere.
function keep(program: string, nodes: Map<string, Site>): void {
  const outside = framesNow({ pass: "forward" });
  const inside = (frames: string[]) => {
    const rest = frames.length - outside.length;
    return rest > 0 && outside.every((frame, i) => frames[rest + i] === frame) ? frames.slice(0, rest) : frames;
  };
  for (const site of nodes.values()) site.frames = inside(site.frames);
  sites.set(program, nodes);
  for (const oldest of sites.keys()) {
    if (sites.size <= MOST_PROGRAMS) break;
    sites.delete(oldest);
  }
}

/** Notes where the nodes of traces come from. */
export function recordTraces(): () => void {
  const open = new Map<Trace, Map<string, Site>>();
  return watchTraces((added) => {
    let root = added.trace;
    while (root.parent) root = root.parent;
    if ("compiled" in added) {
      keep(added.compiled, open.get(root) ?? new Map());
      open.delete(root);
      return;
    }
    const nodes = open.get(root) ?? new Map<string, Site>();
    open.set(root, nodes);
    nodes.set(added.node, siteNow(added.op));
  });
}

/** Where an instruction comes from. A fusion of several ops has all their names: `relu+softmax`. */
export function siteOfNodes(program: string, nodes: string[], instruction: string): Site {
  const known = sites.get(program);
  const all = nodes.map((node) => known?.get(node) ?? siteInName(node));
  if (!all.length) return { op: instruction.replace(/[.\d]+$/, ""), pass: "forward", frames: [] };
  const [first] = all;
  const ops = [...new Set(all.map(({ op }) => op))];
  return { ...first, op: ops.length > 4 ? `${ops.slice(0, 3).join("+")}+${ops.length - 3} more` : ops.join("+") };
}

/** What a node's name tells by itself: `gradient-of-softmax/mul/Mul_20`. */
function siteInName(node: string): Site {
  const parts = node.split("/");
  const kernel = asWritten((parts.pop() as string).replace(/(_\d+)+$/, ""));
  const about = /^gradient-of-(.*)$/.exec(parts[0])?.[1];
  const pass: Pass = about ? "backward" : parts[0] === "recomputed" ? "recomputed" : "forward";
  if (pass !== "forward") parts.shift();
  return { op: parts[0] ?? kernel, pass, of: about, frames: [] };
}
