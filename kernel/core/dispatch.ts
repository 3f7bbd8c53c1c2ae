// Which handler answers which message, one shell request after the other, control requests beside them.
import type { Connection } from "../wire/connection.ts";
import type { InputAnswer } from "../worker/protocol.ts";
import { deliver } from "./comms.ts";
import type { Complain } from "./complaints.ts";
import { createContext, errorContent, type Request, type RequestContext } from "./context.ts";
import { debug } from "./debug.ts";
import { abort, execute, interrupt } from "./execute.ts";
import type { HistoryQuery } from "./history.ts";
import { kernelInfo, type Versions } from "./info.ts";
import type { Kernel } from "./kernel.ts";
import { complete, inspect, isComplete } from "./language.ts";
import { createRehearsal } from "./rehearsal.ts";
import { textIn } from "./text.ts";
import { createUsage } from "./usage.ts";

export interface DispatchOptions {
  connection: Connection;
  versions: Versions;
  /** Awaited before the first kernel_info is answered. */
  subscribed: Promise<unknown>;
  /** Ends the kernel, after the last message has gone out. */
  shutdown(): void;
  /** Told of requests that failed by a defect, or by what the client sent. */
  complain: Complain;
}

type Handler = (context: RequestContext) => unknown;

/** Questions to the compiler, which is free while a cell runs: an editor is answered at once. */
const besides = new Set(["complete_request", "inspect_request", "is_complete_request"]);

export function createDispatch(kernel: Kernel, options: DispatchOptions) {
  const { transport } = kernel;
  const usage = createUsage();
  const rehearse = createRehearsal(kernel);
  const handlers: Record<string, Handler> = {
    kernel_info_request: ({ reply }) => reply("kernel_info_reply", kernelInfo(options.versions)),
    connect_request({ reply }) {
      const { key, ...places } = options.connection;
      reply("connect_reply", { status: "ok", ...places });
    },
    complete_request: (context) => complete(kernel, context),
    inspect_request: (context) => inspect(kernel, context),
    is_complete_request: (context) => isComplete(kernel, context),
    history_request({ request, reply }) {
      reply("history_reply", { status: "ok", history: kernel.history.find(request.content as HistoryQuery) });
    },
    comm_info_request({ request, reply }) {
      const { target_name: wanted } = request.content;
      const found = [...kernel.comms].filter(([, target]) => wanted == null || target === wanted);
      const comms = Object.fromEntries(found.map(([id, target_name]) => [id, { target_name }]));
      reply("comm_info_reply", { status: "ok", comms });
    },
    comm_open: (context) => deliver(kernel, context),
    comm_msg: (context) => deliver(kernel, context),
    comm_close: (context) => deliver(kernel, context),
    debug_request: (context) => debug(kernel, context),
    usage_request: ({ reply }) => reply("usage_reply", usage()),
    interrupt_request({ reply }) {
      interrupt(kernel);
      reply("interrupt_reply", { status: "ok" });
    },
    shutdown_request({ request, reply, publish }) {
      const content = { status: "ok", restart: Boolean(request.content.restart) };
      reply("shutdown_reply", content);
      publish("shutdown_reply", content);
      setImmediate(options.shutdown);
    },
  };

  /** Shell requests that wait for their turn. */
  let waiting: Request[] = [];
  /** Those among them that a failed cell takes along. */
  const doomed = new Set<Request>();
  let serving = false;
  let informed = false;

  async function serve(request: Request, handle: Handler) {
    const type = request.header.msg_type;
    if (type === "kernel_info_request" && !informed) {
      // A client whose subscription is still on its way would miss this request's busy, wait 0.2 s for it and ask again.
      await Promise.race([options.subscribed, new Promise((resolve) => setTimeout(resolve, 300))]);
      informed = true;
    }
    const context = createContext(request, transport);
    context.publish("status", { execution_state: "busy" });
    try {
      await handle(context);
    } catch (error) {
      const { name, message, stack } = error as Error;
      const fields =
        type === "execute_request" ? { execution_count: kernel.count, payload: [], user_expressions: {} } : {};
      context.reply(replyType(type), { ...fields, ...errorContent(name, message) });
      options.complain(`${type} failed: ${stack}`);
    }
    context.publish("status", { execution_state: "idle" });
  }

  /** The idle of a request that was served beside a cell must not leave a front end with a kernel that looks idle. */
  function repeatBusy() {
    kernel.running?.context.publish("status", { execution_state: "busy" });
  }

  function handlerOf(type: string): Handler {
    const handler = Object.hasOwn(handlers, type) ? handlers[type] : undefined;
    if (handler !== undefined) return handler;
    return ({ reply }) => {
      // Only requests have a reply.
      if (type.endsWith("_request")) {
        reply(replyType(type), errorContent("NotImplemented", `the kernel knows no message ${type}`));
      }
    };
  }

  async function serveShell() {
    if (serving) return;
    serving = true;
    for (let request = waiting.shift(); request !== undefined; request = waiting.shift()) {
      if (request.header.msg_type !== "execute_request") {
        await serve(request, handlerOf(request.header.msg_type));
        continue;
      }
      await serve(request, (context) => execute(kernel, context, doomWaiting));
      for (const each of takeDoomed()) await serve(each, (context) => abort(kernel, context));
    }
    serving = false;
    rehearse();
  }

  /**
   * A cell has failed, and its client is about to hear it: the execute requests that are here by now were sent without knowing. What comes later
   * is meant to run.
   */
  async function doomWaiting() {
    // What the sockets hold is read first.
    await new Promise((resolve) => setImmediate(resolve));
    for (const each of waiting) if (each.header.msg_type === "execute_request") doomed.add(each);
  }

  function takeDoomed(): Request[] {
    const taken = [...doomed];
    waiting = waiting.filter((each) => !doomed.has(each));
    doomed.clear();
    return taken;
  }

  /** Messages of an open comm are handled while a cell runs, in their order. */
  function isBeside({ header, content }: Request): boolean {
    if (besides.has(header.msg_type)) return true;
    if (header.msg_type !== "comm_msg" && header.msg_type !== "comm_close") return false;
    const { comm_id: id } = content;
    return serving && kernel.comms.has(id) && !waiting.some((request) => request.content.comm_id === id);
  }

  return (request: Request) => {
    const type = request.header.msg_type;
    if (request.channel === "stdin") {
      if (type === "input_reply" && kernel.asking !== undefined) {
        kernel.asking = undefined;
        kernel.worker.answer(answerIn(request.content));
      }
    } else if (request.channel === "control") void serve(request, handlerOf(type));
    else if (isBeside(request)) void serve(request, handlerOf(type)).then(repeatBusy);
    else {
      waiting.push(request);
      void serveShell();
    }
  };
}

function answerIn(content: Record<string, any>): InputAnswer {
  try {
    return { value: textIn(content, "value") };
  } catch (error) {
    return { refused: `the front end answered with no text: ${(error as Error).message}` };
  }
}

const replyType = (type: string) => `${type.replace(/_request$/, "")}_reply`;
