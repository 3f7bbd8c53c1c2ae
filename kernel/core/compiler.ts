// The front's side of the language process (compile/main.ts): starts it, asks it, starts it again when it has died.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { Completions } from "../compile/complete.ts";
import type { Inspected } from "../compile/inspect.ts";
import type { DeclaredName } from "../compile/names.ts";
import {
  type Answered,
  channels,
  firstChannelFd,
  type Handover,
  type LanguageAnswers,
  type LanguageReply,
  type LanguageRequest,
  languageFd,
} from "../compile/protocol.ts";
import type { Wholeness } from "../compile/whole.ts";
import type { Channel } from "../worker/process.ts";

export type { Diagnostic } from "../compile/diagnostics.ts";

export interface Compiler {
  /** Checks a cell and makes JavaScript of it, which it may hand over. `name` is what tracebacks call it: `In[3]`. */
  check(name: string, code: string, handover?: Handover): Promise<Answered>;
  /** A way for JavaScript to a process of the user that is about to start; nothing when there is none left. */
  channel(): Channel | undefined;
  complete(code: string, offset: number): Promise<Completions>;
  inspect(code: string, offset: number, detail: 0 | 1): Promise<Inspected | undefined>;
  isComplete(code: string): Promise<Wholeness>;
  /** The names that cells have declared. */
  names(): Promise<DeclaredName[]>;
  /** Has the process prepare for cells, for half a millisecond. Resolves to whether more of it is of use. */
  rehearse(): Promise<boolean>;
  /** Forgets all names: the process that had them is gone. */
  reset(): void;
  /** Gives up a check that takes too long for the user: the process starts anew and knows the earlier cells again. */
  restart(): void;
  stop(): void;
}

/** The compiler's process ended while it worked on the request. */
export class CompilerEnded extends Error {
  override name = "CompilerEnded";
}

interface Pending {
  request: LanguageRequest;
  resolve(answer: any): void;
  reject(error: Error): void;
}

/** So many processes in a row may end before they answer anything: then it is of no use to start another. */
const maxFailedStarts = 3;

/** For requests that nobody waits for. */
const report = (error: Error) => {
  if (!(error instanceof CompilerEnded)) console.error(error.message);
};

export function startCompiler({ cwd, dist }: { cwd: string; dist: string }): Compiler {
  const script = join(dist, "compile.cjs");
  const blob = join(dist, "check.blob");
  let useBlob = existsSync(blob);
  let child: ChildProcess;
  let serial = 0;
  let failedStarts = 0;
  let stopped = false;
  let spare: Channel[] = [];
  /** Whether the process has done what makes it fast. */
  let rehearsed = false;
  let pending = new Map<number, Pending>();
  /** Cells that were accepted, for the next process. */
  let accepted: { name: string; code: string }[] = [];
  start();

  function start() {
    const args = useBlob ? ["--snapshot-blob", blob] : [script];
    // Its own process group: neither an interrupt nor the end of the user's process concerns it.
    const own = spawn(process.execPath, ["--max-old-space-size=2048", ...args], {
      cwd,
      // Fds 3 and above, see protocol.ts.
      stdio: ["ignore", "ignore", "pipe", "pipe", "pipe", ...Array<"pipe">(channels).fill("pipe")],
      detached: true,
    });
    child = own;
    rehearsed = false;
    spare = Array.from({ length: channels }, (_, i) => {
      const end = own.stdio[firstChannelFd + i] as Socket;
      end.on("error", () => {});
      return { end, fd: () => (child === own ? firstChannelFd + i : undefined) };
    });
    const waiting = new Map<number, Pending>();
    pending = waiting;
    let answered = false;
    let complaints = "";
    let rest = "";
    own.stderr!.setEncoding("utf8").on("data", (text: string) => {
      complaints = (complaints + text).slice(-4000);
    });
    const socket = own.stdio[languageFd] as Socket;
    socket.setEncoding("utf8").on("data", (chunk) => {
      const lines = (rest + String(chunk)).split("\n");
      rest = lines.pop()!;
      for (const line of lines) settle(JSON.parse(line) as LanguageReply);
    });
    // A write to a process that has just ended: its end is reported anyway.
    socket.on("error", () => {});
    own.on("error", (error) => end(error.message));
    own.on("exit", (code, signal) => end(signal === null ? `exit code ${code}` : signal));

    function settle(reply: LanguageReply) {
      answered = true;
      failedStarts = 0;
      const asked = waiting.get(reply.id);
      waiting.delete(reply.id);
      if ("failed" in reply) asked?.reject(new Error(`the compiler failed: ${reply.failed}`));
      else asked?.resolve(reply.answer);
    }

    function end(how: string) {
      if (stopped || child !== own) return;
      // A snapshot is of one Node and one folder: where it does not fit, the compiler starts without.
      const isMisfit = useBlob && !answered;
      if (isMisfit) useBlob = false;
      else failedStarts += answered ? 0 : 1;
      if (complaints !== "") console.error(`compiler: ${complaints.trimEnd()}`);
      const outOfMemory = complaints.includes("heap out of memory") ? ", its memory was full" : "";
      const again = `The process that checks types ended (${how}${outOfMemory}). It has been started again and knows the earlier cells: run the cell once more.`;
      const left = [...waiting.values()];
      // Requests are served in order, so it is the first that the process ended of; the others are asked again.
      if (!isMisfit) left.shift()?.reject(new CompilerEnded(again));
      if (failedStarts >= maxFailedStarts) {
        for (const { reject } of left) reject(new CompilerEnded(again));
        return;
      }
      start();
      for (const { request, resolve, reject } of left) {
        // To the new process the channels of the old one mean nothing.
        const asked = request.type === "check" ? { ...request, handover: undefined } : request;
        if (request.type !== "open") send(asked).then(resolve, reject);
      }
    }

    send({ type: "open", cwd }).catch(report);
    for (const cell of accepted) {
      send({ type: "check", ...cell }).catch((error) => {
        accepted = accepted.filter((each) => each !== cell);
        report(error);
      });
    }
  }

  function send<T extends LanguageRequest>(request: T): Promise<LanguageAnswers[T["type"]]> {
    return new Promise((resolve, reject) => {
      const id = ++serial;
      pending.set(id, { request, resolve, reject });
      (child.stdio[languageFd] as Socket).write(`${JSON.stringify({ id, ...request })}\n`);
    });
  }

  /** Sends a request; a process that could not be started is tried again. */
  function ask<T extends LanguageRequest>(request: T): Promise<LanguageAnswers[T["type"]]> {
    if (failedStarts >= maxFailedStarts) {
      failedStarts = maxFailedStarts - 1;
      start();
    }
    return send(request);
  }

  return {
    async check(name, code, handover) {
      const checked = await ask({ type: "check", name, code, handover });
      if (checked.isRebuilt) rehearsed = false;
      if (!checked.diagnostics.some(({ category }) => category === "error")) accepted.push({ name, code });
      return checked;
    },
    channel: () => spare.shift(),
    complete: (code, offset) => ask({ type: "complete", code, offset }),
    inspect: async (code, offset, detail) => (await ask({ type: "inspect", code, offset, detail })) ?? undefined,
    isComplete: (code) => ask({ type: "whole", code }),
    names: () => ask({ type: "names" }),
    async rehearse() {
      if (rehearsed) return false;
      rehearsed = !(await send({ type: "rehearse" }));
      return !rehearsed;
    },
    reset() {
      accepted = [];
      rehearsed = false;
      ask({ type: "reset" }).catch(report);
    },
    restart() {
      child.kill("SIGKILL");
    },
    stop() {
      stopped = true;
      child.kill("SIGKILL");
    },
  };
}
