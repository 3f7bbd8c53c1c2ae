// debug_request: the part of the Debug Adapter Protocol that shows variables. Nothing stops at breakpoints.
import type { RequestContext } from "./context.ts";
import type { Kernel } from "./kernel.ts";
import { textIn } from "./text.ts";
import { askVariables } from "./variables.ts";

interface DebugRequest {
  seq?: number;
  command?: string;
  arguments?: Record<string, any>;
}

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
      return askVariables(kernel, { what: "all", names });
    }
    case "variables":
      return askVariables(kernel, { what: "parts", reference: Number(given.variablesReference) });
    case "richInspectVariables":
      return askVariables(kernel, { what: "view", name: textIn(given, "variableName") });
    default:
      return { failed: `the kernel shows variables and has no debugger: it knows no "${command}"` };
  }
}
