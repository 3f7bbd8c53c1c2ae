// One process of a kernel and the sockets to it: questions, answers, output, heartbeat, and the end of it, seen at once.
import type { Message } from "../wire/message.ts";
import { openChannels } from "./channels.ts";
import { greet } from "./greeting.ts";
import type { Kernelspec } from "./kernelspec.ts";
import { type Death, type KernelProcess, launch } from "./launch.ts";
import { type Collector, collectOutputs, type Displays, type Output } from "./outputs.ts";

export interface SessionOptions {
  cwd?: string;
  env?: Record<string, string>;
  startTimeout: number;
  heartbeatTimeout: number;
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
  /** Every message of iopub that belongs to this request, as it comes. What it shows is not kept where this returns false. */
  onOutput?(message: Message): unknown;
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

interface Pending {
  resolve(content: Record<string, any>): void;
  reject(error: Error): void;
}

interface Run {
  collector: Collector;
  onOutput?(message: Message): unknown;
  onInput?(prompt: string, isPassword: boolean): string | Promise<string>;
  /** Settles on this request's `idle`. */
  idle(): void;
}

/** A kernel that sends no `idle` after its reply is given so long before the cell counts as done. */
const idleGraceMs = 5000;
/** Messages that a dead kernel had sent are read until none came for so long. */
const lastMessagesMs = 30;
const beatMs = 1000;
/** What a kernel that starts over still has to say of the old requests comes within this time. */
const restartGraceMs = 300;

export type Session = Awaited<ReturnType<typeof connect>>;

/** One process of a kernel and the sockets to it. */
export async function connect(spec: Kernelspec, { cwd, env, startTimeout, heartbeatTimeout, abort }: SessionOptions) {
  abort?.throwIfAborted();
  // What is run headlessly is not for the history of whoever runs it.
  const history = process.env.WHETSTONE_HISTORY ?? ":memory:";
  const kernelProcess: KernelProcess = await launch(spec, { cwd, env: { WHETSTONE_HISTORY: history, ...env } });
  const { connection } = kernelProcess;
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

  // Beats that nobody answered; undefined before the first answer. Counted, not timed: when this process was held up, the kernel is not to blame.
  let missed: number | undefined;
  const channels = openChannels(connection, {
    output: takeOutput,
    reply: takeReply,
    question: (message) => void takeQuestion(message),
    beat: () => {
      missed = 0;
    },
  });
  const { promise: died, resolve: tellDeath } = Promise.withResolvers<KernelDied>();
  void kernelProcess.exited.then((death) => {
    setTimeout(function endWhenQuiet() {
      const quiet = performance.now() - channels.lastMessage;
      if (quiet >= lastMessagesMs) end(reasonOf(death), death);
      else setTimeout(endWhenQuiet, lastMessagesMs - quiet);
    }, lastMessagesMs);
  });
  const beats = setInterval(beat, beatMs);
  beats.unref();

  try {
    info = await greet({
      name: spec.name,
      ask() {
        const { promise, resolve, reject } = Promise.withResolvers<Record<string, any>>();
        const id = channels.send("shell", "kernel_info_request", {});
        pending.set(id, { resolve, reject });
        return { id, info: promise };
      },
      onIdle(take) {
        heard = take;
      },
      died,
      startTimeout,
      abort,
    });
  } catch (error) {
    isEnding = true;
    await kernelProcess.kill();
    throw error;
  }
  isReady = true;
  return { process: kernelProcess, info, died, execute, request, shutdown, restarts: () => starts };

  function request(type: string, content: object, channel: "shell" | "control"): Promise<Record<string, any>> {
    if (isOver !== undefined) return Promise.reject(isOver);
    return new Promise((resolve, reject) => {
      pending.set(channels.send(channel, type, content), { resolve, reject });
    });
  }

  async function execute(code: string, options: ExecuteOptions = {}): Promise<Execution> {
    if (isOver !== undefined) throw isOver;
    const { silent = false, storeHistory = !silent, stopOnError = false, userExpressions = {}, onInput } = options;
    const collector = collectOutputs(displays, options.outputs);
    const idle = Promise.withResolvers<void>();
    const replied = Promise.withResolvers<Record<string, any>>();
    const id = channels.send("shell", "execute_request", {
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
    if (isReady && (state === "restarting" || state === "starting")) noteRestart();
    const run = runs.get(id);
    if (run?.onOutput?.(message) !== false) run?.collector.take(message);
    if (state !== "idle") return;
    run?.idle();
    heard(id);
  }

  /** A kernel that something else starts again knows nothing of what it was asked: nobody would ever answer. */
  function noteRestart() {
    starts++;
    const lost = [...pending];
    setTimeout(() => {
      for (const [id, { resolve }] of lost) {
        if (!pending.delete(id)) continue;
        resolve({ status: "error", ename: "KernelRestarted", evalue: "the kernel has started over", traceback: [] });
        runs.get(id)?.idle();
      }
    }, restartGraceMs).unref();
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
    channels.send("stdin", "input_reply", { value, status: "ok" }, header);
  }

  function beat() {
    if (missed !== undefined && missed++ * beatMs > heartbeatTimeout) {
      end(`no heartbeat for ${heartbeatTimeout / 1000} s`, { code: null, signal: null, log: "" });
      void kernelProcess.kill();
      return;
    }
    channels.beat();
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
    channels.close();
    tellDeath(isOver);
  }

  async function shutdown(grace: number, restart: boolean): Promise<Death> {
    isEnding = true;
    if (isOver === undefined) channels.send("control", "shutdown_request", { restart });
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
