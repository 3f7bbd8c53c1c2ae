// The state of a kernel and what the parts of the core share; the sockets are outside (front.ts).

import type { Header } from "../wire/message.ts";
import { startUserProcess, type UserProcess } from "../worker/process.ts";
import type { ErrorContent, VariablesAnswer, WorkerMessage } from "../worker/protocol.ts";
import { loseComms, publishComm } from "./comms.ts";
import { type Compiler, startCompiler } from "./compiler.ts";
import type { RequestContext, Transport } from "./context.ts";
import { createHistory, type History } from "./history.ts";
import { createOutput } from "./output.ts";

export type Done = Extract<WorkerMessage, { type: "done" }>;

/** The execute request that runs now. */
export interface Running {
  run: number;
  context: RequestContext;
  silent: boolean;
  allowStdin: boolean;
  /** Whether the cell's code has begun to run. Before that the cell is being checked. */
  begun: boolean;
  /** Whether the compiler is to hand it over: it may have begun before that is known. */
  mayHaveBegun: boolean;
  /** The end of the process that it was to be handed over to, before it was known whether it had been. */
  death?: ErrorContent;
  /** When it was interrupted, by performance.now(); that may be before the cell's code has begun to run. */
  interruptedAt?: number;
  finish(done: Done): void;
  /** Ends the wait for the compiler. */
  stop(): void;
}

export interface Delivery {
  finish(): void;
  /** Set by an interrupt. */
  interrupted: boolean;
}

export interface Kernel {
  transport: Transport;
  compiler: Compiler;
  /** Whether the compiler has checked a cell. */
  hasChecked: boolean;
  worker: UserProcess;
  history: History;
  output: ReturnType<typeof createOutput>;
  /** The number of the last counted cell. */
  count: number;
  /** Executions of all kinds: each has a number of its own, to which its output belongs. */
  runs: number;
  /** The last run that has begun and is not silent: what happens between cells is told there. */
  lastShown: number;
  /** The requests that what runs send belongs to, also when it comes late. */
  parents: Map<number, Header>;
  /** Runs of which nothing is shown. */
  silent: Set<number>;
  /** Open comms with their targets. */
  comms: Map<string, string>;
  /** Comm messages that the code of the cells is handling. */
  deliveries: Map<number, Delivery>;
  /** Questions for variables that the worker has not answered. */
  questions: Map<number, (answer: VariablesAnswer) => void>;
  /** Whether a front end has begun to debug: it then shows variables after each cell. */
  isDebugging: boolean;
  /** The runs of past comm messages whose headers are kept. */
  delivered: number[];
  /** Tells something that belongs to a run. */
  publish(run: number, type: string, content: object): void;
  running?: Running;
  /** The run whose `prompt` waits for an answer. */
  asking?: number;
}

/** Starts the compiler and the user's process, which is given a channel from it: the first cell needs both, a client's first question neither. */
export function createKernel(transport: Transport, { dist, cwd }: { dist: string; cwd: string }): Kernel {
  const publish = (run: number, type: string, content: object) => {
    const parent = kernel.parents.get(run);
    if (parent !== undefined && !kernel.silent.has(run)) transport.publish(type, content, parent);
  };
  const output = createOutput((run, name, text) => publish(run, "stream", { name, text }));
  const compiler = startCompiler({ cwd, dist });
  const worker = startUserProcess({
    file: `${dist}/worker.js`,
    cwd,
    channel: compiler.channel,
    listener: { text: output.write, message: take, died },
  });
  const kernel: Kernel = {
    transport,
    compiler,
    hasChecked: false,
    worker,
    history: createHistory(),
    output,
    count: 0,
    runs: 0,
    lastShown: 0,
    parents: new Map(),
    silent: new Set(),
    comms: new Map(),
    deliveries: new Map(),
    delivered: [],
    questions: new Map(),
    isDebugging: false,
    publish,
  };
  return kernel;

  function take(message: WorkerMessage, buffers: Buffer[]) {
    output.flush();
    switch (message.type) {
      case "display": {
        const { view, id, run, update } = message;
        const transient = id === undefined ? {} : { display_id: id };
        return publish(run, update ? "update_display_data" : "display_data", { ...view, transient });
      }
      case "clear":
        return publish(message.run, "clear_output", { wait: message.wait });
      case "late-error":
        return publish(message.run, "error", message.error);
      case "input":
        return ask(kernel, message);
      case "comm":
        return publishComm(kernel, message, buffers);
      case "delivered":
        return kernel.deliveries.get(message.run)?.finish();
      case "cancelled":
        if (kernel.running?.run === message.run) kernel.running.stop();
        return;
      case "inspected":
        return kernel.questions.get(message.run)?.(message.answer);
      case "done":
        if (kernel.running?.run === message.run) kernel.running.finish(message);
        return;
      default:
        message satisfies { type: "ready" };
    }
  }

  function died(error: ErrorContent) {
    output.flush();
    kernel.asking = undefined;
    kernel.compiler.reset();
    loseComms(kernel);
    const { running } = kernel;
    // A cell that is still being checked will run in the fresh process.
    if (running?.begun) running.finish({ type: "done", run: running.run, error });
    else if (running?.mayHaveBegun) {
      running.death = error;
      if (running.interruptedAt !== undefined) running.stop();
    } else publish(kernel.lastShown, "error", error);
  }
}

/** Passes a question of the running cell on to the client that ran it. */
function ask(kernel: Kernel, { run, prompt, password }: Extract<WorkerMessage, { type: "input" }>) {
  const { running, worker, transport } = kernel;
  if (running?.run !== run) {
    return worker.answer({ refused: "prompt() asks only while its cell runs, and this one has ended" });
  }
  if (running.interruptedAt !== undefined) return worker.answer({ interrupted: true });
  if (!running.allowStdin) {
    return worker.answer({ refused: "prompt() cannot ask: the program that runs this notebook takes no input" });
  }
  kernel.asking = run;
  const { identities, header } = running.context.request;
  transport.reply("stdin", identities, "input_request", { prompt, password }, header);
}
