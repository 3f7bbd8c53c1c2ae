// A Jupyter client: starts any kernel, asks it, hears what it says, and notices at once when it dies.
import { basename } from "node:path";
import { findKernelspec, type Kernelspec } from "./kernelspec.ts";
import type { Death } from "./launch.ts";
import { connect, type ExecuteOptions, type Execution, type KernelDied, type Session } from "./session.ts";

export { type ExecuteOptions, type Execution, KernelDied } from "./session.ts";

export interface KernelOptions {
  /** The folder that the kernel runs in. */
  cwd?: string;
  /** Variables added to the environment. */
  env?: Record<string, string>;
  /** Milliseconds until the kernel must have answered. */
  startTimeout?: number;
  /** Milliseconds without a heartbeat after which a kernel that once had one counts as dead. */
  heartbeatTimeout?: number;
  /** Gives up waiting for a kernel that starts. */
  abort?: AbortSignal;
}

export interface Kernel {
  readonly spec: Kernelspec;
  readonly pid: number;
  /** The content of the kernel_info_reply. */
  readonly info: Record<string, any>;
  /** Settles when the kernel has died or was shut down; every request that waits is rejected with the same error. */
  readonly died: Promise<KernelDied>;
  /** How often the kernel has said on iopub that it starts over, since it was ready: its state is then gone. */
  readonly restarts: number;
  /** Runs code; settles when both the reply and `idle` have come. Rejects with KernelDied. */
  execute(code: string, options?: ExecuteOptions): Promise<Execution>;
  /** `cursor` counts Unicode code points, as Jupyter does. Resolves to the content of the reply, as do the next ones. */
  complete(code: string, cursor?: number): Promise<Record<string, any>>;
  inspect(code: string, cursor?: number, detail?: 0 | 1): Promise<Record<string, any>>;
  isComplete(code: string): Promise<Record<string, any>>;
  history(query?: object): Promise<Record<string, any>>;
  /** Any other request, on the shell channel or on control. */
  request(type: string, content: object, channel?: "shell" | "control"): Promise<Record<string, any>>;
  /** Interrupts by message or by signal, as the kernelspec says. */
  interrupt(): Promise<void>;
  /** Ends the process and starts another; names and displays are forgotten. */
  restart(): Promise<void>;
  /** Asks the kernel to end, after `grace` ms ends its process group. Never rejects. */
  shutdown(grace?: number): Promise<Death>;
  /** Ends the process group at once. */
  kill(): Promise<Death>;
}

/**
 * Starts a kernel and waits until it answers and its output can be heard. `kernel` is the name of a kernelspec, a kernelspec, or a command
 * with `{connection_file}` in it. Throws an error that says why the kernel did not start, with what it wrote.
 */
export async function startKernel(
  kernel: string | readonly string[] | Kernelspec,
  { cwd, env, startTimeout = 60_000, heartbeatTimeout = 15_000, abort }: KernelOptions = {},
): Promise<Kernel> {
  const spec =
    typeof kernel === "string"
      ? findKernelspec(kernel)
      : "argv" in kernel
        ? kernel
        : { name: basename(kernel[0]), argv: [...kernel] };
  const start = () => connect(spec, { cwd, env, startTimeout, heartbeatTimeout, abort });
  let live = await start();
  let restarting = false;
  const { promise: died, resolve: tellDeath } = Promise.withResolvers<KernelDied>();
  const watch = (session: Session) =>
    void session.died.then((error) => {
      if (session === live && !restarting) tellDeath(error);
    });
  watch(live);

  return {
    spec,
    died,
    get pid() {
      return live.process.pid;
    },
    get info() {
      return live.info;
    },
    get restarts() {
      return live.restarts();
    },
    execute: (code, options) => live.execute(code, options),
    complete: (code, cursor = [...code].length) =>
      live.request("complete_request", { code, cursor_pos: cursor }, "shell"),
    inspect: (code, cursor = [...code].length, detail = 0) =>
      live.request("inspect_request", { code, cursor_pos: cursor, detail_level: detail }, "shell"),
    isComplete: (code) => live.request("is_complete_request", { code }, "shell"),
    history: (query) =>
      live.request(
        "history_request",
        { hist_access_type: "tail", n: 100, raw: true, output: false, ...query },
        "shell",
      ),
    request: (type, content, channel = "shell") => live.request(type, content, channel),
    async interrupt() {
      if (spec.interrupt_mode === "message") await live.request("interrupt_request", {}, "control");
      else live.process.signal("SIGINT");
    },
    async restart() {
      restarting = true;
      try {
        await live.shutdown(5000, true);
        live = await start();
        watch(live);
      } finally {
        restarting = false;
      }
    },
    shutdown: (grace = 5000) => live.shutdown(grace, false),
    kill: () => live.process.kill(),
  };
}
