// The process of a kernel: its connection file, its process group, and the certainty that it ends when this process does.
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomInt, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connection } from "../wire/connection.ts";
import type { Kernelspec } from "./kernelspec.ts";

/** How a kernel's process ended. */
export interface Death {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** The end of what the process itself wrote: not output of cells, but why it could not go on. */
  log: string;
}

export interface KernelProcess {
  readonly pid: number;
  connection: Connection;
  /** Settles as soon as the process has ended, for whatever reason. */
  exited: Promise<Death>;
  /** Sends a signal to the process and all it has started in its group. */
  signal(signal: NodeJS.Signals): void;
  /** Ends the group at once and removes the connection file. */
  kill(): Promise<Death>;
}

/** Bytes of a kernel's own output that are kept. */
const logSize = 8192;
const channels = ["shell_port", "control_port", "stdin_port", "iopub_port", "hb_port"] as const;
/** Ports handed out to kernels that live, so that two that start together never get the same. */
const taken = new Set<number>();
const living = new Set<KernelProcess>();

// A runner that ends in any way that runs code leaves no kernel; for `kill -9` there is the guard.
process.on("exit", () => {
  for (const kernel of living) kernel.signal("SIGKILL");
});

/** Starts the command of a kernelspec with a fresh connection file (mode 0600, in a folder of mode 0700). */
export async function launch(spec: Kernelspec, { cwd = process.cwd(), env = {} } = {}): Promise<KernelProcess> {
  const ports = await freePorts(channels.length);
  const connection: Connection = {
    transport: "tcp",
    ip: "127.0.0.1",
    ...(Object.fromEntries(channels.map((channel, i) => [channel, ports[i]])) as Record<
      (typeof channels)[number],
      number
    >),
    key: randomBytes(32).toString("hex"),
    signature_scheme: "hmac-sha256",
  };
  const folder = mkdtempSync(join(tmpdir(), "whetstone-kernel-"));
  const file = join(folder, `kernel-${randomUUID()}.json`);
  writeFileSync(file, JSON.stringify({ ...connection, kernel_name: spec.name }, null, 2), { mode: 0o600, flag: "wx" });

  const [command, ...args] = spec.argv.map((part) =>
    part.replaceAll("{connection_file}", file).replaceAll("{resource_dir}", spec.folder ?? ""),
  );
  const child = spawn(command, args, {
    cwd,
    // JPY_PARENT_PID is how Jupyter tells a kernel whom not to outlive.
    env: { ...process.env, JPY_PARENT_PID: String(process.pid), ...spec.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-logSize);
    });
  }
  const guard = child.pid === undefined ? undefined : startGuard(child.pid);
  const exited = new Promise<Death>((resolve) => {
    const end = (code: number | null, signal: NodeJS.Signals | null) => {
      living.delete(own);
      signalGroup(child, "SIGKILL"); // what the kernel started ends with it
      guard?.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
      for (const port of ports) taken.delete(port);
      // Its last words may still be in the pipe; a grandchild that holds the pipe open is not waited for.
      const tell = () => resolve({ code, signal, log: log.trim() });
      const late = setTimeout(tell, 50);
      child.once("close", () => {
        clearTimeout(late);
        tell();
      });
    };
    child.once("exit", end);
    child.once("error", (error) => {
      if (child.pid !== undefined) return;
      log = `cannot start ${command}: ${error.message}`;
      end(null, null);
    });
  });
  const own: KernelProcess = {
    pid: child.pid ?? 0,
    connection,
    exited,
    signal: (signal) => signalGroup(child, signal),
    kill() {
      signalGroup(child, "SIGKILL");
      return exited;
    },
  };
  if (child.pid !== undefined) living.add(own);
  return own;
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals) {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === "win32" ? pid : -pid, signal);
  } catch {
    // all of its processes have ended
  }
}

/**
 * A shell that waits on a pipe of this process and ends the kernel's group when the pipe closes: that happens also when this process is killed
 * with -9 and can do nothing itself, and it works for kernels that do not watch their parent.
 */
function startGuard(group: number): ChildProcess | undefined {
  if (process.platform === "win32") return undefined;
  const guard = spawn("/bin/sh", ["-c", 'read -r _; kill -KILL -- "-$0"', String(group)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  guard.on("error", () => {});
  guard.stdin?.on("error", () => {});
  guard.unref();
  (guard.stdin as unknown as { unref?(): void })?.unref?.();
  return guard;
}

/**
 * Ports of 127.0.0.1 that are free. They lie below those that systems give to outgoing connections (from 32768 on, elsewhere from 49152):
 * between the moment we look and the moment the kernel binds nobody is given one of them by chance.
 */
async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(10_000, 32_768);
    if (taken.has(port) || !(await isFree(port))) continue;
    taken.add(port);
    ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(false);
      else reject(error);
    });
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
