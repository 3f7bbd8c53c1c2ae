// debug_request: the part of the Debug Adapter Protocol that shows variables. Nothing stops at breakpoints.
import type { VariablesAnswer, VariablesRequest } from "../worker/protocol.ts";
import type { RequestContext } from "./context.ts";
import type { Kernel } from "./kernel.ts";
import { textIn } from "./text.ts";

interface DebugRequest {
  seq?: number;
  command?: string;
  arguments?: Record<string, any>;
}

/** A cell that computes answers nothing: the panel then says so instead of waiting. */
const patienceMs = 3_000;
const noBreakpoints = "this kernel does not stop at breakpoints";

let sequence = 0;

export async function debug(kernel: Kernel, { request, reply }: RequestContext) {
  const { seq = 0, command = "", arguments: given = {} } = request.content as DebugRequest;
  const answer = await respond(kernel, command, given ?? {});
  // JupyterLab's panel breaks where there is no list.
  const nothing = command === "inspectVariables" ? { variables: [] } : {};
  const outcome =
    "failed" in answer ? { success: false, message: answer.failed, body: nothing } : { success: true, body: answer };
  reply("debug_reply", { type: "response", seq: ++sequence, request_seq: seq, command, ...outcome });
}

async function respond(
  kernel: Kernel,
  command: string,
  given: Record<string, any>,
): Promise<object | { failed: string }> {
  switch (command) {
    case "debugInfo":
      return {
        isStarted: kernel.isDebugging,
        hashMethod: "Murmur2",
        hashSeed: 0,
        tmpFilePrefix: "/tmp/whetstone_",
        tmpFileSuffix: ".ts",
        breakpoints: [],
        stoppedThreads: [],
        richRendering: true,
        exceptionPaths: [],
        copyToGlobals: false,
      };
    case "initialize":
      kernel.isDebugging = true;
      return {};
    case "disconnect":
      kernel.isDebugging = false;
      return {};
    case "attach":
    case "configurationDone":
    case "setExceptionBreakpoints":
      return {};
    case "dumpCell":
      return { sourcePath: "" };
    case "setBreakpoints":
      return {
        breakpoints: (given.breakpoints ?? []).map(({ line }: { line?: number }) => ({
          verified: false,
          line,
          message: noBreakpoints,
        })),
      };
    case "modules":
      return { modules: [], totalModules: 0 };
    case "inspectVariables": {
      const names = (await kernel.compiler.names()).filter(({ isValue }) => isValue);
      return ask(kernel, { what: "all", names });
    }
    case "variables":
      return ask(kernel, { what: "parts", reference: Number(given.variablesReference) });
    case "richInspectVariables":
      return ask(kernel, { what: "view", name: textIn(given, "variableName") });
    default:
      return { failed: `the kernel shows variables and has no debugger: it knows no "${command}"` };
  }
}

/**
 * Asks the worker for variables. One that computes does not answer: after `patience` nobody waits for it any more, and a
 * view of the user's own that does not end is stopped.
 */
export async function ask(
  kernel: Kernel,
  question: VariablesRequest["ask"],
  patience = patienceMs,
): Promise<VariablesAnswer> {
  const run = ++kernel.runs;
  const { promise, resolve } = Promise.withResolvers<VariablesAnswer>();
  const timer = setTimeout(() => {
    if (kernel.running === undefined) kernel.worker.interrupt(run);
    resolve({ failed: "the cell that runs leaves no time to look at variables" });
  }, patience);
  kernel.questions.set(run, resolve);
  kernel.worker.inspect({ type: "variables", run, ask: question });
  const answer = await promise;
  clearTimeout(timer);
  kernel.questions.delete(run);
  return answer;
}
