// usage_request: how much of the machine the kernel and what its cells have started use.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cpus, freemem, hostname, totalmem } from "node:os";

interface Process {
  pid: number;
  parent: number;
  /** Seconds of processor time. */
  cpu: number;
  /** Bytes. */
  memory: number;
}

/** Of /proc: clock ticks in a second and bytes in a page, the same on all Linux systems that Node runs on. */
const ticks = 100;
const pageSize = 4096;

/** Gives the content of a usage_reply. Percentages are of the time since the last call. */
export function createUsage() {
  let before = { at: performance.now(), cpu: new Map<number, number>(), host: hostTimes() };
  return () => {
    const own = family(processes(), process.pid);
    const now = { at: performance.now(), cpu: new Map(own.map(({ pid, cpu }) => [pid, cpu])), host: hostTimes() };
    const used = own.reduce((sum, { pid, cpu }) => sum + Math.max(0, cpu - (before.cpu.get(pid) ?? 0)), 0);
    const seconds = Math.max(1e-3, (now.at - before.at) / 1e3);
    const busy = (now.host.busy - before.host.busy) / Math.max(1, now.host.all - before.host.all);
    before = now;
    const [total, available] = [totalmem(), availableMemory()];
    return {
      status: "ok",
      hostname: hostname(),
      pid: process.pid,
      kernel_cpu: round((100 * used) / seconds),
      kernel_memory: own.reduce((sum, { memory }) => sum + memory, 0),
      cpu_count: cpus().length,
      host_cpu_percent: round(100 * busy),
      host_virtual_memory: {
        total,
        available,
        used: total - available,
        free: freemem(),
        percent: round((100 * (total - available)) / total),
      },
    };
  };
}

const round = (x: number) => Math.round(10 * x) / 10;

/** A process and all that descend from it. */
function family(all: Process[], pid: number): Process[] {
  const found = all.filter((each) => each.pid === pid);
  for (const member of found) found.push(...all.filter(({ parent }) => parent === member.pid));
  return found;
}

function processes(): Process[] {
  return process.platform === "linux" ? linuxProcesses() : otherProcesses();
}

function linuxProcesses(): Process[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      // The name in parentheses may have spaces and parentheses.
      const fields = readFileSync(`/proc/${name}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ")
        .map(Number);
      const [parent, user, system, pages] = [fields[1]!, fields[11]!, fields[12]!, fields[21]!];
      return [{ pid: Number(name), parent, cpu: (user + system) / ticks, memory: pages * pageSize }];
    } catch {
      return []; // it has just ended
    }
  });
}

function otherProcesses(): Process[] {
  try {
    const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,rss=,time="], { encoding: "utf8" }).trim().split("\n");
    return lines.map((line) => {
      const [pid, parent, kilobytes, time] = line.trim().split(/\s+/);
      const cpu = time!.split(/[-:]/).reduce((sum, part) => sum * 60 + Number(part), 0);
      return { pid: Number(pid), parent: Number(parent), cpu, memory: Number(kilobytes) * 1024 };
    });
  } catch {
    const { user, system } = process.cpuUsage();
    return [{ pid: process.pid, parent: process.ppid, cpu: (user + system) / 1e6, memory: process.memoryUsage.rss() }];
  }
}

function availableMemory(): number {
  try {
    return 1024 * Number(/^MemAvailable:\s*(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))![1]);
  } catch {
    return freemem();
  }
}

function hostTimes() {
  const times = cpus().flatMap((cpu) => Object.entries(cpu.times));
  const sum = (entries: [string, number][]) => entries.reduce((total, [, ms]) => total + ms, 0);
  return { all: sum(times), busy: sum(times.filter(([name]) => name !== "idle")) };
}
