// execute_request: check, run, show, answer.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { FrontMagic } from "../compile/magics.ts";
import type { Handover } from "../compile/protocol.ts";
import type { ErrorContent } from "../worker/protocol.ts";
import { explainMissing } from "../worker/resolve.ts";
import { interruptDeliveries, loseComms } from "./comms.ts";
import type { Diagnostic } from "./compiler.ts";
import type { RequestContext } from "./context.ts";
import type { Done, Kernel, Running } from "./kernel.ts";
import { page } from "./language.ts";
import { textIn } from "./text.ts";

/** How often an interrupt is repeated until the cell has ended: native code, for one, hears nothing. */
const repeatMs = 100;
/** How long a stopped check may take on; longer where the compiler may only just be starting, on a busy machine. */
const giveUpMs = 1_000;
const giveUpStartMs = 10_000;

interface Verdict {
  done: Pick<Done, "view" | "error" | "expressions">;
  warnings: Diagnostic[];
  payload: object[];
}

/** Runs a cell and answers. `failing` is called before anyone hears that the cell has failed, unless the client wants the next ones to run. */
export async function execute(kernel: Kernel, context: RequestContext, failing: () => Promise<void>) {
  const { content } = context.request;
  const code = textIn(content, "code");
  const silent = Boolean(content.silent);
  const isCounted = !silent && content.store_history !== false && code.trim() !== "";
  const started = new Date().toISOString();
  if (isCounted) kernel.count++;
  const count = kernel.count;
  const run = ++kernel.runs;
  // Cells that are not counted have numbers below zero, so that two of them are never taken for one.
  const cell = isCounted ? count : -run;
  kernel.parents.set(run, context.request.header);
  if (silent) kernel.silent.add(run);
  else {
    context.publish("execute_input", { code, execution_count: count });
  }
  const { done, warnings, payload } = await judge(kernel, context, { run, cell, code, silent });
  kernel.output.flush();
  if (done.error !== undefined && content.stop_on_error !== false) await failing();
  if (!silent) {
    if (done.error !== undefined) context.publish("error", done.error);
    else if (done.view !== undefined) {
      context.publish("execute_result", { execution_count: count, ...done.view, transient: {} });
    }
    if (warnings.length > 0) {
      context.publish("stream", { name: "stderr", text: warnings.map((w) => describe(w, cell, "warning")).join("") });
    }
  }
  if (isCounted) kernel.history.add({ line: count, input: code, output: done.view?.data["text/plain"] as string });
  const metadata = { started };
  const reply =
    done.error === undefined
      ? { status: "ok", user_expressions: done.expressions ?? {} }
      : { status: "error", user_expressions: {}, ...done.error };
  context.reply("execute_reply", { ...reply, execution_count: count, payload }, metadata);
}

/** The reply to a request that waited behind a cell that failed. */
export function abort(kernel: Kernel, context: RequestContext) {
  context.reply("execute_reply", {
    status: "aborted",
    execution_count: kernel.count,
    payload: [],
    user_expressions: {},
  });
}

interface Cell {
  run: number;
  cell: number;
  code: string;
  silent: boolean;
}

async function judge(kernel: Kernel, context: RequestContext, { run, cell, code, silent }: Cell): Promise<Verdict> {
  const nothing = { done: {}, warnings: [], payload: [] };
  const expressions = expressionsIn(context.request.content);
  if (code.trim() === "" && Object.keys(expressions).length === 0) return nothing;

  const { promise: finished, resolve: finish } = Promise.withResolvers<Done>();
  const { promise: stopping, resolve: stop } = Promise.withResolvers<undefined>();
  const allowStdin = context.request.content.allow_stdin !== false;
  const running: Running = {
    run,
    context,
    silent,
    allowStdin,
    begun: false,
    mayHaveBegun: false,
    finish,
    stop: () => stop(undefined),
  };
  kernel.running = running;
  try {
    const payload = await Promise.race([page(kernel, code), stopping]);
    if (payload !== undefined) return { ...nothing, payload: [payload] };
    if (running.interruptedAt !== undefined) return { ...nothing, done: { error: stopped } };
    const fd = kernel.worker.channelFd();
    running.mayHaveBegun = fd !== undefined;
    const handover = fd === undefined ? undefined : { fd, run, expressions, silent };
    const checked = await check(kernel, { name: nameOf(cell), code, handover }, stopping);
    const isHandedOver = checked?.isHandedOver ?? false;
    running.mayHaveBegun = isHandedOver;
    if (running.death !== undefined && !isHandedOver) kernel.publish(kernel.lastShown, "error", running.death);
    if (checked === undefined) return { ...nothing, done: { error: stopped } };
    const errors = checked.diagnostics.filter(({ category }) => category === "error");
    if (errors.length > 0) return { ...nothing, done: { error: typeError(errors, cell) } };
    if (checked.magic !== undefined) return { ...nothing, ...frontMagic(kernel, checked.magic) };
    const warnings = checked.diagnostics.filter(({ category }) => category === "warning");
    if (running.interruptedAt !== undefined && !isHandedOver) return { ...nothing, warnings, done: { error: stopped } };
    running.begun = true;
    if (!silent) kernel.lastShown = run;
    if (running.death !== undefined && isHandedOver) return { ...nothing, warnings, done: { error: running.death } };
    if (isHandedOver) kernel.worker.expect(run);
    else {
      const { js, isTimed } = checked;
      kernel.worker.run({ run, name: nameOf(cell), js, code, expressions, silent, isTimed });
    }
    // Stopped: the user's process has said that a cell which was handed over never begins.
    const done = await Promise.race([finished, stopping.then(() => ({ error: stopped }))]);
    return { ...nothing, warnings, done };
  } catch (error) {
    // The compiler ended, or could not be started. It may have handed the cell over before.
    if (running.mayHaveBegun && running.death === undefined) {
      running.begun = true;
      kernel.worker.cancel(run);
      await Promise.race([finished, stopping]);
    }
    const { name, message } = error as Error;
    return { ...nothing, done: { error: { ename: name, evalue: message, traceback: [`${name}: ${message}`] } } };
  } finally {
    kernel.running = undefined;
    kernel.asking = undefined;
  }
}

/** The expressions to evaluate after a cell, by name; what is no text is none. */
function expressionsIn({ user_expressions: given }: Record<string, any>): Record<string, string> {
  const entries = given !== null && typeof given === "object" ? Object.entries<unknown>(given) : [];
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

/** `%reset` and `%load`. */
function frontMagic(kernel: Kernel, magic: FrontMagic): Pick<Verdict, "done" | "payload"> {
  if (magic.type === "load") {
    const { path } = magic;
    try {
      const text = `// %load ${path}\n${readFileSync(resolve(path), "utf8")}`;
      return { done: {}, payload: [{ source: "set_next_input", text, replace: true }] };
    } catch (error) {
      const { name, message } = error as Error;
      return { done: { error: { ename: name, evalue: message, traceback: [`${name}: ${message}`] } }, payload: [] };
    }
  }
  startAfresh(kernel);
  return { done: {}, payload: [] };
}

interface Asked {
  name: string;
  code: string;
  handover: Handover | undefined;
}

/** Checks a cell; nothing when the user stops it meanwhile. A check that goes on for long after that is given up. */
async function check(kernel: Kernel, { name, code, handover }: Asked, stopping: Promise<undefined>) {
  const { compiler } = kernel;
  const checking = compiler.check(name, code, handover);
  const checked = await Promise.race([checking, stopping]);
  if (checked === undefined) {
    const timer = setTimeout(() => compiler.restart(), kernel.hasChecked ? giveUpMs : giveUpStartMs);
    checking.catch(() => {}).finally(() => clearTimeout(timer));
  } else kernel.hasChecked = true;
  return checked;
}

const stopped: ErrorContent = {
  ename: "KeyboardInterrupt",
  evalue: "the cell was interrupted before it ran",
  traceback: ["KeyboardInterrupt: the cell was interrupted before it ran"],
};

/** Stops the running cell and the handlers of comm messages; harmless when there are none. */
export function interrupt(kernel: Kernel) {
  const { running } = kernel;
  interruptDeliveries(kernel, repeatMs);
  if (running === undefined) return;
  const { interruptedAt } = running;
  if (interruptedAt !== undefined) return insist(kernel, running, interruptedAt);
  running.interruptedAt = performance.now();
  // Before its code has begun only the check has to be left, and a signal would hit what earlier cells have started.
  if (!running.begun && !running.mayHaveBegun) return running.stop();
  // Handed over or not: the user's process knows whether it has begun, and the compiler will have said it by some press.
  if (!running.begun) kernel.worker.cancel(running.run);
  let presses = 0;
  const press = () => {
    if (kernel.running !== running) return;
    setTimeout(press, repeatMs);
    if (!running.begun) return;
    if (kernel.asking === running.run) {
      kernel.asking = undefined;
      kernel.worker.answer({ interrupted: true });
    }
    kernel.worker.interrupt(running.run);
    if (++presses * repeatMs === insistMs && !running.silent) {
      running.context.publish("stream", { name: "stderr", text: nativeNotice });
    }
  };
  press();
}

/** After this long a cell that goes on is taken to be in native code, and a second interrupt ends its process. */
const insistMs = 1_000;
const nativeNotice =
  "The cell is in native code, which an interrupt cannot stop: it ends when that returns. " +
  "Interrupt once more to end it now, with its process and all variables.\n";
const ended =
  "the cell was in native code, so its process was ended. Its variables are gone; the next cell runs in a fresh process.";

/** A second interrupt of the same cell; pressed right after the first one it is only impatience. */
function insist(kernel: Kernel, running: Running, interruptedAt: number) {
  const canEnd = running.begun || running.mayHaveBegun;
  if (!canEnd || performance.now() - interruptedAt < insistMs) return;
  kernel.asking = undefined;
  startAfresh(kernel);
  if (!running.begun) return running.stop();
  const error = { ename: "KeyboardInterrupt", evalue: ended, traceback: [`KeyboardInterrupt: ${ended}`] };
  running.finish({ type: "done", run: running.run, error });
}

/** Ends the user's process; a fresh one knows no names. */
function startAfresh(kernel: Kernel) {
  kernel.worker.restart();
  kernel.compiler.reset();
  loseComms(kernel);
}

const nameOf = (cell: number) => (cell > 0 ? `In[${cell}]` : `Unsaved[${-cell}]`);

/** `TS2322`: the first error names the cell's; all are listed with the lines they are in. */
function typeError(errors: Diagnostic[], cell: number): ErrorContent {
  const [first] = errors;
  return {
    // Without a number it is of a magic line.
    ename: first.code === 0 ? "SyntaxError" : `TS${first.code}`,
    evalue: first.message,
    traceback: errors.flatMap((error) => [describe(error, cell, "error").trimEnd(), ...nextStep(error)]),
  };
}

/** For a module that is not found (TS2307, TS2882): where it was looked for, and how to get it. */
function nextStep({ code, message, file = "cell.ts" }: Diagnostic): string[] {
  const isMissing = code === 2307 || code === 2882;
  const specifier = isMissing ? /(?:module|import of) '([^']+)'/.exec(message)?.[1] : undefined;
  return specifier === undefined ? [] : [`  ${explainMissing(specifier, resolve(file))}`];
}

function describe(diagnostic: Diagnostic, cell: number, word: string): string {
  const { file = nameOf(cell), line, column, code, message, excerpt } = diagnostic;
  const head = `${file}:${line}:${column} - ${word}${code === 0 ? "" : ` TS${code}`}: ${message}`;
  return excerpt === "" ? `${head}\n` : `${head}\n${excerpt.trimEnd()}\n`;
}
