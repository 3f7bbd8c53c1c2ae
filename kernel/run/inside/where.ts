// The line at which a cell hangs. An interrupt of a loop leaves no trace, so V8 is asked first: SIGUSR1 has Node open its inspector, also while
// the main thread computes. A cell that waits for a promise is at no line.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Kernel } from "../client.ts";
import type { Output } from "../outputs.ts";
import { isOurs } from "./ask.ts";

/** How long the inspector has to open and to answer on a busy machine, and a program that runs to stop once it has answered. */
const openMs = 5000;
const answerMs = 5000;
const pauseMs = 400;

const canBeAsked = (kernel: Kernel) => process.platform === "linux" && isOurs(kernel);

/** To be called before the first cell: the inspector takes any port that is free, as several kernels may be asked at a time. */
export async function prepare(kernel: Kernel): Promise<void> {
  if (canBeAsked(kernel)) await kernel.execute("process.debugPort = 0", { silent: true }).catch(() => {});
}

/** The line of the running cell, from 1, or "none" when none of it runs: it waits. `outputs` are those of the cell, in which Node names the address of its inspector. */
export async function lineOfHang(kernel: Kernel, outputs: Output[]): Promise<number | "none" | undefined> {
  if (!canBeAsked(kernel)) return undefined;
  try {
    const pid = processOfCells(kernel.pid);
    if (pid === undefined) return undefined;
    process.kill(pid, "SIGUSR1");
    const address = await addressIn(outputs);
    return address === undefined ? undefined : ((await pausedLine(address)) ?? "none");
  } catch {
    return undefined; // it has ended meanwhile
  } finally {
    forget(outputs);
  }
}

function processOfCells(front: number): number | undefined {
  const children = readFileSync(`/proc/${front}/task/${front}/children`, "utf8").trim().split(" ").map(Number);
  return children.find((pid) => /worker\.js/.test(readFileSync(`/proc/${pid}/cmdline`, "latin1")));
}

async function addressIn(outputs: readonly Output[]): Promise<string | undefined> {
  for (const end = performance.now() + openMs; performance.now() < end; await sleep(20)) {
    for (const output of outputs) {
      const address =
        output.output_type === "stream" ? /^Debugger listening on (ws:\S+)/m.exec(output.text)?.[1] : undefined;
      if (address !== undefined) return address;
    }
  }
  return undefined;
}

/** What Node says of its inspector is no output of the cell. */
export function forget(outputs: Output[]): void {
  for (const [i, output] of [...outputs.entries()].reverse()) {
    if (output.output_type !== "stream" || output.name !== "stderr") continue;
    output.text = output.text.replaceAll(
      /^(Debugger (listening on|ending on) ws:.*|Debugger attached\.|For help, see: https:\/\/nodejs\.org.*|Waiting for the debugger to disconnect\.\.\.)\n/gm,
      "",
    );
    if (output.text === "") outputs.splice(i, 1);
  }
}

interface Frame {
  location: { scriptId: string; lineNumber: number };
}

async function pausedLine(address: string): Promise<number | undefined> {
  const socket = new WebSocket(address);
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  let timer = setTimeout(resolve, answerMs, undefined);
  /** Scripts of Node itself, of the kernel and of packages; those of cells have no address. */
  const files = new Set<string>();
  socket.onerror = () => resolve(undefined);
  socket.onopen = () => {
    for (const [id, method] of ["Debugger.enable", "Debugger.pause"].entries())
      socket.send(JSON.stringify({ id, method }));
  };
  socket.onmessage = ({ data }) => {
    const { id, method, params } = JSON.parse(String(data));
    if (id === 1) {
      clearTimeout(timer);
      timer = setTimeout(resolve, pauseMs, undefined);
    }
    if (method === "Debugger.scriptParsed" && /^(node|file):/.test(params.url)) files.add(params.scriptId);
    if (method === "Debugger.paused") resolve(lineIn(params.callFrames, files));
  };
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.close(); // which lets it run on
  }
}

/** The innermost line of the cell: of the frames of no file, the outermost is the cell's own; functions of earlier cells may lie within. */
function lineIn(frames: readonly Frame[], files: ReadonlySet<string>): number | undefined {
  const cell = frames.findLast(({ location }) => !files.has(location.scriptId))?.location.scriptId;
  const at = frames.find(({ location }) => location.scriptId === cell);
  return cell === undefined || at === undefined ? undefined : at.location.lineNumber + 1;
}
