// The user's process as the front sees it: started, watched, replaced when it dies.
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { createOrder, type Listener } from "./frames.ts";
import { packetOf } from "./packets.ts";
import {
  type CommRequest,
  channelVariable,
  type ErrorContent,
  type InputAnswer,
  inputFd,
  interruptFd,
  markVariable,
  messageFd,
  type RunRequest,
  requestFd,
  stderrFd,
  stdoutFd,
  type VariablesRequest,
  type WorkerRequest,
} from "./protocol.ts";

export interface UserProcessOptions {
  /** The bundled `worker/main.ts`. */
  file: string;
  cwd: string;
  /** A way for cells that does not lead through the front, for each process. */
  channel(): Channel | undefined;
  listener: Listener & {
    /** The process has died, with the reason as an error for the user; a fresh one is on its way. */
    died(error: ErrorContent): void;
  };
}

/** Leads from the compiler to one process of the user. */
export interface Channel {
  /** The end of the user's process. */
  end: Socket;
  /** The descriptor that the compiler has of it; nothing when another process has taken the compiler's place. */
  fd(): number | undefined;
}

export interface UserProcess {
  run(request: RunRequest): void;
  /** The compiler's descriptor of the channel to the process, when there is one and the process takes cells. */
  channelFd(): number | undefined;
  /** Says that a run comes on the channel. */
  expect(run: number): void;
  /** A run that may come on the channel must not begin; the worker answers `cancelled` unless it has. */
  cancel(run: number): void;
  /** Ends the process and starts a fresh one. */
  restart(): void;
  /** Gives a comm message to the code of the cells, which answers `delivered`. */
  deliver(request: CommRequest, buffers: readonly Buffer[]): void;
  /** Asks for the values of variables; the worker answers `inspected`. */
  inspect(request: VariablesRequest): void;
  /** Asks once; a worker that has not begun or is in native code does not hear it, so callers repeat it. */
  interrupt(run: number): void;
  answer(answer: InputAnswer): void;
  stop(): void;
  readonly pid: number | undefined;
}

/** A grandchild that holds the worker's stdout keeps the pipe open: after this many milliseconds its output is no longer waited for. */
const lastOutputMs = 200;
/** So many deaths before the first cell could run, and no new process is tried. */
const maxFailedStarts = 3;

const nodeOptions = [
  // Warnings that say nothing to the author of a cell: that stripping types is new, that a folder has no package.json.
  "--disable-warning=ExperimentalWarning",
  "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON",
  // An interrupt may strike within Node's own timers. Node then ends the process ("async hook stack has become corrupted"), 3 of 1000 times on
  // a busy machine. Our contexts do not lie on that stack.
  "--no-force-async-hooks-checks",
];

export function startUserProcess({ file, cwd, channel: nextChannel, listener }: UserProcessOptions): UserProcess {
  let child: ChildProcess;
  let order: ReturnType<typeof createOrder>;
  let waiting: Buffer[] = [];
  let ready = false;
  let channel: Channel | undefined;
  let failedStarts = 0;
  let stopped = false;
  let restart = () => {};

  start();
  function start() {
    const mark = randomBytes(8);
    ready = false;
    channel = nextChannel();
    const own = spawn(process.execPath, [...process.execArgv, ...nodeOptions, file], {
      cwd,
      // Fds 0 to 7, see protocol.ts. Its own process group: an interrupt for the kernel's group must not kill it, and its children end with it.
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe", "pipe", "pipe", channel?.end ?? "ignore"],
      detached: true,
      env: { ...process.env, [markVariable]: mark.toString("hex"), ...(channel && { [channelVariable]: "" }) },
    });
    child = own;
    // Only while the process itself holds this end the compiler sees that it lives.
    channel?.end.destroy();
    let outOfMemory = false;
    order = createOrder(mark, {
      text: (run, name, text) => {
        outOfMemory ||= name === "stderr" && text.includes("JavaScript heap out of memory");
        listener.text(run, name, text);
      },
      message: (message, buffers) => {
        if (message.type !== "ready") return listener.message(message, buffers);
        ready = true;
        failedStarts = 0;
        for (const packet of waiting) write(requestFd, packet);
        waiting = [];
      },
    });
    const ownOrder = order;
    const read = (fd: number, take: (chunk: Buffer) => void) => (own.stdio[fd] as Readable).on("data", take);
    read(stdoutFd, (chunk) => ownOrder.text(stdoutFd, chunk));
    read(stderrFd, (chunk) => ownOrder.text(stderrFd, chunk));
    read(messageFd, (chunk) => ownOrder.messages(chunk));
    // A write to a process that has just died: its exit is reported anyway.
    for (const fd of [requestFd, interruptFd, inputFd]) (own.stdio[fd] as Writable).on("error", () => {});

    let over = false;
    /** Without a cause nobody is told: it was asked for. */
    const end = (cause?: ErrorContent) => {
      if (over || stopped) return;
      over = true;
      ownOrder.end();
      for (const pipe of own.stdio) pipe?.destroy();
      killGroup(own.pid);
      const wasReady = ready;
      waiting = [];
      failedStarts += wasReady || cause === undefined ? 0 : 1;
      if (failedStarts < maxFailedStarts) start();
      if (cause !== undefined) listener.died(cause);
    };
    restart = () => end();
    own.on("error", (error) => end({ ename: "ProcessExit", evalue: error.message, traceback: [error.message] }));
    own.on("exit", (code, signal) => {
      const report = () => end(causeOfDeath(code, signal, outOfMemory));
      setTimeout(report, lastOutputMs);
      own.on("close", report);
    });
  }

  function write(fd: number, data: string | Buffer) {
    (child.stdio[fd] as Writable).write(data);
  }

  function ask(request: WorkerRequest, buffers: readonly Buffer[] = []) {
    if (failedStarts >= maxFailedStarts) {
      failedStarts = 0;
      start();
    }
    const packet = packetOf(request, buffers);
    if (ready) write(requestFd, packet);
    else waiting.push(packet);
  }

  return {
    get pid() {
      return child.pid;
    },
    run(request) {
      ask({ type: "run", ...request });
      order.startRun(request.run);
    },
    channelFd: () => (ready ? channel?.fd() : undefined),
    expect: (run) => order.startRun(run),
    cancel: (run) => ask({ type: "cancel", run }),
    restart: () => restart(),
    deliver: ask,
    inspect: ask,
    interrupt(run) {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(run);
      write(interruptFd, bytes);
      // For child processes that the cell waits for. The worker itself ignores it; before it is ready it would die of it.
      if (ready) signalGroup(child.pid, "SIGINT");
    },
    answer: (answer) => write(inputFd, `${JSON.stringify(answer)}\n`),
    stop() {
      stopped = true;
      killGroup(child.pid);
    },
  };
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals) {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === "win32" ? pid : -pid, signal);
  } catch {
    // all of its processes have ended
  }
}

const killGroup = (pid: number | undefined) => signalGroup(pid, "SIGKILL");

function causeOfDeath(code: number | null, signal: NodeJS.Signals | null, outOfMemory: boolean): ErrorContent {
  const [ename, what] = outOfMemory
    ? ["OutOfMemory", "the cell filled the JavaScript heap, and its process ended"]
    : signal === "SIGKILL"
      ? ["ProcessExit", "the process of the cells was killed (SIGKILL); the system does this when memory runs out"]
      : signal !== null
        ? ["ProcessExit", `the process of the cells was ended by ${signal}`]
        : ["ProcessExit", `the process of the cells ended with exit code ${code}`];
  const evalue = `${what}. Its variables are gone; the next cell runs in a fresh process.`;
  return { ename, evalue, traceback: [`${ename}: ${evalue}`] };
}
