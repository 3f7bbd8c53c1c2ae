// Runs one part of the tests as a process of its own, and ends everything that it started.
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
  /** it ran longer than it may */
  late: boolean;
  /** command lines of the processes that were still there when it had ended */
  left: string[];
}

/** Every process of this run carries this in its environment, whatever session or group it moved to. */
const mark = `run-${process.pid}-${Date.now()}`;
const running = new Set<ChildProcess>();

/** Runs a program to its end, at most `seconds` long. */
export async function runPart(
  command: string,
  args: string[],
  { env = {}, cwd, seconds }: { env?: NodeJS.ProcessEnv; cwd: string; seconds: number },
): Promise<Ended> {
  const own = `${mark}-${Math.random().toString(36).slice(2)}`;
  const outer = process.env.WHETSTONE_TEST_RUN;
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env, WHETSTONE_TEST_RUN: outer ? `${outer} ${own}` : own },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, so that one signal reaches all of it and a terminal's Ctrl-C comes here first.
    detached: process.platform !== "win32",
  });
  running.add(child);
  let output = "";
  const keep = (chunk: Buffer) => {
    output += chunk;
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    endGroup(child, "SIGTERM");
    setTimeout(() => endGroup(child, "SIGKILL"), 5000).unref();
  }, seconds * 1000);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.on("error", (error) => {
      output += `${command}: ${error.message}\n`;
      resolve([1, null]);
    });
    child.on("close", (code, signal) => resolve([code, signal]));
    // A process left behind may hold the pipe open for ever.
    child.on("exit", (code, signal) => setTimeout(() => resolve([code, signal]), 500));
  });
  clearTimeout(limit);
  running.delete(child);
  const left = await endLeft(own);
  child.stdout.destroy();
  child.stderr.destroy();
  return { code, signal, output, late, left };
}

function endGroup(child: ChildProcess, signal: NodeJS.Signals) {
  try {
    if (process.platform === "win32") child.kill(signal);
    else process.kill(-child.pid!, signal);
  } catch {
    // It ended by itself meanwhile.
  }
}

/** Processes with `own` in their environment (Linux only; elsewhere the groups have to do). */
function carriers(own: string): { pid: number; line: string }[] {
  if (process.platform !== "linux") return [];
  const found = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${entry}/environ`, "latin1").includes(own)) continue;
      const line = readFileSync(`/proc/${entry}/cmdline`, "latin1").replaceAll("\0", " ").trim();
      // A zombie has no command line any more.
      if (line) found.push({ pid: Number(entry), line });
    } catch {
      // It ended, or it is another user's.
    }
  }
  return found;
}

async function endLeft(own: string): Promise<string[]> {
  // Processes that were told to stop get the time to do so.
  for (let tries = 0; tries < 50; tries++) {
    if (carriers(own).length === 0) return [];
    await sleep(100);
  }
  const left = carriers(own);
  for (const { pid } of left) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself meanwhile.
    }
  }
  return left.map(({ line }) => line);
}

/** Ends all parts that run and whatever they started. */
export async function endParts(): Promise<void> {
  for (const child of running) endGroup(child, "SIGTERM");
  for (let tries = 0; tries < 20 && carriers(mark).length > 0; tries++) await sleep(100);
  for (const child of running) endGroup(child, "SIGKILL");
  for (const { pid } of carriers(mark)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself meanwhile.
    }
  }
}
