// A Jupyter client: starts any kernel, asks it, hears what it says, and notices at once when it dies.
import { randomUUID } from "node:crypto";
import { basename } from "node:path";
import * as zmq from "zeromq";
import { createSendQueue } from "../sockets/queue.ts";
import { address } from "../wire/connection.ts";
import { createEncoder, decode, type Header, MalformedMessage, type Message } from "../wire/message.ts";
import { createSigner } from "../wire/sign.ts";
import { findKernelspec, type Kernelspec } from "./kernelspec.ts";
import { type Death, type KernelProcess, launch } from "./launch.ts";
import { type Collector, collectOutputs, type Displays, type Output } from "./outputs.ts";

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

export interface ExecuteOptions {
  silent?: boolean;
  storeHistory?: boolean;
  /** Drop the requests that wait behind this one when it fails. */
  stopOnError?: boolean;
  userExpressions?: Record<string, string>;
  /** Answers `prompt` and its like; without it the kernel is told that nobody can be asked. When it fails, `execute` does. */
  onInput?(prompt: string, isPassword: boolean): string | Promise<string>;
  /** Filled while the code runs; what it holds stays when the kernel dies. It becomes `Execution.outputs`. */
  outputs?: Output[];
  /** Every message of iopub that belongs to this request, as it comes. */
  onOutput?(message: Message): void;
}

export interface Execution {
  /** The content of the execute_reply: status, execution_count, ename... */
  reply: Record<string, any>;
  /** In order. Later messages, such as updates of a display or output of a timer, still change this list. */
  outputs: Output[];
}

/** Why a kernel can no longer be asked. */
export class KernelDied extends Error {
  override name = "KernelDied";
  readonly death: Death;
  constructor(reason: string, death: Death) {
    super(death.log === "" ? reason : `${reason}. Its last words:\n${death.log}`);
    this.death = death;
  }
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

interface Pending {
  resolve(content: Record<string, any>): void;
  reject(error: Error): void;
}

interface Run {
  collector: Collector;
  onOutput?(message: Message): void;
  onInput?(prompt: string, isPassword: boolean): string | Promise<string>;
  /** Settles on this request's `idle`. */
  idle(): void;
}

/** A kernel that sends no `idle` after its reply is given so long before the cell counts as done. */
const idleGraceMs = 5000;
/** Messages that a dead kernel had sent are read until none came for so long. */
const lastMessagesMs = 30;
const beatMs = 1000;

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

type Session = Awaited<ReturnType<typeof connect>>;

/** One process of a kernel and the sockets to it. */
async function connect(
  spec: Kernelspec,
  {
    cwd,
    env,
    startTimeout,
    heartbeatTimeout,
    abort,
  }: KernelOptions & { startTimeout: number; heartbeatTimeout: number },
) {
  abort?.throwIfAborted();
  // What is run headlessly is not for the history of whoever runs it.
  const history = process.env.WHETSTONE_HISTORY ?? ":memory:";
  const kernelProcess: KernelProcess = await launch(spec, { cwd, env: { WHETSTONE_HISTORY: history, ...env } });
  const { connection } = kernelProcess;
  const sessionId = randomUUID();
  const signer = createSigner(connection.key);
  const encode = createEncoder(sessionId, signer);
  const pending = new Map<string, Pending>();
  const runs = new Map<string, Run>();
  const displays: Displays = new Map();
  let info: Record<string, any> = {};
  let isOver: KernelDied | undefined;
  let isEnding = false;
  let isReady = false;
  let starts = 0;
  /** Called with the id of the request whose `idle` was heard, until the kernel is ready. */
  let heard: (id: string) => void = () => {};

  // libzmq waits 100 ms and more before it tries a refused connection again, which is most of a fast kernel's start.
  const dealer = () =>
    new zmq.Dealer({ routingId: sessionId, linger: 0, reconnectInterval: 20, sendHighWaterMark: 0 } as object);
  const shell = dealer();
  const control = dealer();
  const stdin = dealer();
  const heartbeat = new zmq.Dealer({ linger: 0 });
  const iopub = new zmq.Subscriber({ linger: 0, reconnectInterval: 20, receiveHighWaterMark: 0 });
  const sockets = [shell, control, stdin, heartbeat, iopub];
  iopub.subscribe("");
  iopub.connect(address(connection, connection.iopub_port));
  shell.connect(address(connection, connection.shell_port));
  control.connect(address(connection, connection.control_port));
  stdin.connect(address(connection, connection.stdin_port));
  heartbeat.connect(address(connection, connection.hb_port));
  const queues = { shell: createSendQueue(shell), control: createSendQueue(control), stdin: createSendQueue(stdin) };
  void read(iopub, takeOutput);
  void read(shell, takeReply);
  void read(control, takeReply);
  void read(stdin, takeQuestion);

  const { promise: died, resolve: tellDeath } = Promise.withResolvers<KernelDied>();
  let lastMessage = 0;
  void kernelProcess.exited.then((death) => {
    setTimeout(function endWhenQuiet() {
      const quiet = performance.now() - lastMessage;
      if (quiet >= lastMessagesMs) end(reasonOf(death), death);
      else setTimeout(endWhenQuiet, lastMessagesMs - quiet);
    }, lastMessagesMs);
  });
  // Beats that nobody answered; undefined before the first answer. Counted, not timed: when this process was held up, the kernel is not to blame.
  let missed: number | undefined;
  const beats = setInterval(beat, beatMs);
  beats.unref();
  void readHeartbeat();

  try {
    await ready();
  } catch (error) {
    isEnding = true;
    await kernelProcess.kill();
    throw error;
  }
  isReady = true;
  return { process: kernelProcess, info, died, execute, request, shutdown, restarts: () => starts };

  async function readHeartbeat() {
    for await (const _ of heartbeat) missed = 0;
  }

  async function read(socket: AsyncIterable<Buffer[]>, take: (message: Message) => void) {
    for await (const frames of socket) {
      lastMessage = performance.now();
      try {
        take(decode(frames, signer));
      } catch (error) {
        // What others on this machine send to the port, unsigned, is none of ours.
        if (!(error instanceof MalformedMessage)) throw error;
      }
    }
  }

  function send(channel: "shell" | "control" | "stdin", type: string, content: object, parent: Partial<Header> = {}) {
    const frames = encode([], { type, content, parent });
    queues[channel].send(frames);
    // After the delimiter and the signature.
    return (JSON.parse(frames[2] as string) as Header).msg_id;
  }

  function request(type: string, content: object, channel: "shell" | "control"): Promise<Record<string, any>> {
    if (isOver !== undefined) return Promise.reject(isOver);
    return new Promise((resolve, reject) => {
      pending.set(send(channel, type, content), { resolve, reject });
    });
  }

  async function execute(code: string, options: ExecuteOptions = {}): Promise<Execution> {
    if (isOver !== undefined) throw isOver;
    const { silent = false, storeHistory = !silent, stopOnError = false, userExpressions = {}, onInput } = options;
    const collector = collectOutputs(displays, options.outputs);
    const idle = Promise.withResolvers<void>();
    const replied = Promise.withResolvers<Record<string, any>>();
    const id = send("shell", "execute_request", {
      code,
      silent,
      store_history: storeHistory,
      user_expressions: userExpressions,
      allow_stdin: onInput !== undefined,
      stop_on_error: stopOnError,
    });
    pending.set(id, replied);
    runs.set(id, { collector, onOutput: options.onOutput, onInput, idle: idle.resolve });
    const reply = await replied.promise;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, idleGraceMs);
    });
    await Promise.race([idle.promise, died, late]);
    clearTimeout(timer);
    return { reply, outputs: collector.outputs };
  }

  function takeReply({ parent, content }: Message) {
    const waiting = pending.get(parent.msg_id ?? "");
    if (waiting === undefined) return;
    pending.delete(parent.msg_id!);
    waiting.resolve(content);
  }

  function takeOutput(message: Message) {
    const { header, parent, content } = message;
    const id = parent.msg_id ?? "";
    const state = header.msg_type === "status" ? content.execution_state : undefined;
    // The first "starting" is that of the start itself; a client that listens late does not hear it at all.
    if (state === "restarting" || (state === "starting" && isReady)) starts++;
    const run = runs.get(id);
    run?.onOutput?.(message);
    run?.collector.take(message);
    if (state !== "idle") return;
    run?.idle();
    heard(id);
  }

  async function takeQuestion({ header, parent, content }: Message) {
    if (header.msg_type !== "input_request") return;
    const id = parent.msg_id ?? "";
    let value = "";
    try {
      value = (await runs.get(id)?.onInput?.(String(content.prompt ?? ""), Boolean(content.password))) ?? "";
    } catch (error) {
      pending.get(id)?.reject(error as Error);
    }
    send("stdin", "input_reply", { value, status: "ok" }, header);
  }

  /** Asks until an answer came and its `idle` was heard: output of earlier requests may have been sent before the subscription was there. */
  async function ready() {
    const { promise: audible, resolve } = Promise.withResolvers<void>();
    const asked = new Set<string>();
    heard = (id) => asked.has(id) && resolve();
    const failed = died.then((error) => {
      throw error;
    });
    failed.catch(() => {});
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`kernel ${spec.name} did not answer within ${startTimeout / 1000} s of its start`)),
        startTimeout,
      );
    });
    const stopped = Promise.withResolvers<never>();
    const stop = () => stopped.reject(abort!.reason);
    abort?.addEventListener("abort", stop);
    let again: NodeJS.Timeout | undefined;
    const ask = (pause: number) => {
      const id = send("shell", "kernel_info_request", {});
      asked.add(id);
      again = setTimeout(ask, pause, pause * 2);
      return new Promise<Record<string, any>>((answer, reject) => {
        pending.set(id, { resolve: answer, reject });
      });
    };
    try {
      // The later questions are only there for their `idle`; a kernel answers all of them, in order.
      info = await Promise.race([ask(500), failed, late, stopped.promise]);
      await Promise.race([audible, failed, late, stopped.promise]);
    } finally {
      abort?.removeEventListener("abort", stop);
      clearTimeout(timer);
      clearTimeout(again);
      heard = () => {};
    }
  }

  function beat() {
    if (missed !== undefined && missed++ * beatMs > heartbeatTimeout) {
      end(`no heartbeat for ${heartbeatTimeout / 1000} s`, { code: null, signal: null, log: "" });
      void kernelProcess.kill();
      return;
    }
    // An empty frame first: kernels that answer with a REP socket want it, the others send it back.
    heartbeat.send(["", "ping"]).catch(() => {});
  }

  function end(reason: string, death: Death) {
    if (isOver !== undefined) return;
    isOver = new KernelDied(
      isEnding ? `kernel ${spec.name} was shut down` : `kernel ${spec.name} died: ${reason}`,
      death,
    );
    clearInterval(beats);
    for (const { reject } of pending.values()) reject(isOver);
    pending.clear();
    for (const socket of sockets) socket.close();
    tellDeath(isOver);
  }

  async function shutdown(grace: number, restart: boolean): Promise<Death> {
    isEnding = true;
    if (isOver === undefined) send("control", "shutdown_request", { restart });
    const steps: [NodeJS.Signals, number][] = [
      ["SIGTERM", grace],
      ["SIGKILL", Math.min(grace, 1000)],
    ];
    for (const [signal, pause] of steps) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<"late">((resolve) => {
        timer = setTimeout(resolve, pause, "late");
      });
      const outcome = await Promise.race([kernelProcess.exited, late]);
      clearTimeout(timer);
      if (outcome !== "late") break;
      kernelProcess.signal(signal);
    }
    const death = await kernelProcess.exited;
    end("shut down", death);
    return death;
  }
}

function reasonOf({ code, signal }: Death): string {
  if (signal !== null) return `its process was ended by ${signal}`;
  return code === null ? "its process could not be started" : `its process ended with exit code ${code}`;
}
