// The user's process: runs cells one after the other, shows what they give, tells what went wrong.
import { Socket } from "node:net";
import * as widgets from "../widgets/index.ts";
import { flushWidgets } from "../widgets/model.ts";
import { comms, receive } from "./comms.ts";
import { inRun } from "./context.ts";
import { clearOutput, display, finishDisplays, hasUnfinished, progress, viewOf } from "./display.ts";
import { describeError, interruptError, rememberCell } from "./errors.ts";
import { formatResult } from "./format.ts";
import {
  callBeside,
  callGuarded,
  callWith,
  evaluate,
  guarded,
  interrupted,
  plainValue,
  releaseObjects,
  startInterrupts,
} from "./guard.ts";
import { confirm, prompt } from "./input.ts";
import { catchLateErrors, reportLate } from "./late-errors.ts";
import { clock, elapsed, magics } from "./magics.ts";
import { createModules, forgetStopped } from "./modules.ts";
import { captureOutput, send } from "./output.ts";
import { createPacketReader } from "./packets.ts";
import {
  type CommRequest,
  channelFd,
  channelVariable,
  type ErrorContent,
  type ExpressionResult,
  type RunRequest,
  requestFd,
  type VariablesAnswer,
  type VariablesRequest,
  type View,
  type WorkerRequest,
} from "./protocol.ts";
import { beginTimers, endTimers, watchTimers } from "./timers.ts";
import { answerOf, gettersOf } from "./variables.ts";

/** What a cell gives: the view of its value, if it has one, or an error. */
interface Given {
  view?: View;
  error?: ErrorContent;
  expressions?: Record<string, ExpressionResult>;
}
type Outcome = Given | typeof interrupted;

captureOutput();
watchTimers();
const modules = createModules(process.cwd());
provide({
  display,
  clearOutput,
  progress,
  comms,
  widgets: { ...widgets },
  prompt,
  confirm,
  require: modules.require,
  __import: modules.import,
  __magics: magics,
  __dirname: modules.import.meta.dirname,
  __filename: modules.import.meta.filename,
});
// Packages are deep: with V8's ten frames the cell that called them is often not among them.
Error.stackTraceLimit = 50;
catchLateErrors(reportLate);
// An interrupt of the whole process group is for the front and for child processes.
process.on("SIGINT", () => {});
// The front is gone.
new Socket({ fd: requestFd, readable: true, writable: false })
  .on("close", () => process.exit())
  .on("data", createPacketReader<WorkerRequest>(take));
// What the compiler hands over; the front lives on when that ends.
if (process.env[channelVariable] !== undefined) {
  new Socket({ fd: channelFd, readable: true, writable: false })
    .on("error", () => {})
    .on("data", createPacketReader<WorkerRequest>(take));
}
delete process.env[channelVariable];
/** The last run that has come, and the one that must not begin. */
let lastRun = 0;
let cancelled = 0;
/** Settles when the cell or message whose turn it is has been served. */
let turn: Promise<void> | undefined;
send({ type: "ready" });
setTimeout(startInterrupts, 0);

/** Gives cells their globals: no listing shows them, and a cell may declare their names again. */
function provide(globals: Record<string, unknown>) {
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
  }
}

function take(request: WorkerRequest & { buffers: Buffer[] }) {
  if (request.type === "cancel") cancel(request.run);
  else if (request.type === "run") begin(request);
  else if (turn === undefined) void inTurn(() => handle(request, callGuarded));
  // A front end does not wait for the cell: what it says is heard as soon as the cell awaits something.
  else void handle(request, (...call) => Promise.race([callBeside(...call), turn]));
}

function begin(request: RunRequest) {
  lastRun = request.run;
  if (request.run !== cancelled) void inTurn(() => serve(request));
}

/** One that has come is stopped in other ways. */
function cancel(run: number) {
  if (run <= lastRun) return;
  cancelled = run;
  send({ type: "cancelled", run });
}

type Calling = (run: number, call: (given: any) => unknown, given?: string) => Promise<unknown>;

const handle = (request: (CommRequest | VariablesRequest) & { buffers: Buffer[] }, call: Calling) =>
  request.type === "comm" ? deliver(request, call) : inspectVariables(request, call);

/** One thing at a time can be stopped by the user. */
async function inTurn(work: () => Promise<void>) {
  while (turn !== undefined) await turn;
  turn = work().finally(() => {
    turn = undefined;
  });
}

async function inspectVariables({ run, ask }: VariablesRequest, call: Calling): Promise<void> {
  let answer: VariablesAnswer;
  try {
    const found = await call(run, (values) => answerOf(ask, values), gettersOf(ask));
    // The cell beside which it was asked has ended first.
    if (found === undefined) return inTurn(() => inspectVariables({ type: "variables", run, ask }, callGuarded));
    answer = found === interrupted ? { failed: "the question was interrupted" } : (found as VariablesAnswer);
  } catch (error) {
    answer = { failed: describeError(error).evalue };
  }
  send({ type: "inspected", run, answer });
}

async function deliver(request: CommRequest & { buffers: Buffer[] }, call: Calling) {
  const { run } = request;
  const failed = (error: ErrorContent) => send({ type: "late-error", run, error });
  try {
    if ((await call(run, () => receive(request, request.buffers))) === interrupted) failed(interruptError);
  } catch (error) {
    failed(describeError(error));
  }
  send({ type: "delivered", run });
}

async function serve(request: RunRequest) {
  const { run, name, code, js } = request;
  rememberCell(name, code, js);
  beginTimers(run);
  let done: Outcome;
  try {
    done = await runCell(request);
  } catch (error) {
    // A defect of the kernel: the cell must end all the same.
    done = { error: describeError(error) };
  }
  endTimers(done === interrupted);
  if (done === interrupted) forgetStopped();
  try {
    send({ type: "done", run, ...(done === interrupted ? { error: interruptError } : done) });
  } catch (error) {
    // Something in it cannot be written as JSON, or is too large for one text.
    send({ type: "done", run, error: describeError(error) });
  }
  // The front need not wait for it.
  releaseObjects();
}

async function runCell(request: RunRequest): Promise<Outcome> {
  const { run, name, js } = request;
  const began = request.isTimed ? clock() : undefined;
  const outcome = await runScript(request, `${js}\n//# sourceURL=${name}`, !request.silent);
  const failed = outcome === interrupted || outcome.error !== undefined;
  const expressions = failed ? undefined : await evaluateExpressions(request);
  if (began !== undefined && !failed) inRun(run, () => console.log(elapsed(began)));
  flushWidgets();
  const shown = hasUnfinished(run) ? await guarded<void>(run, (resolve) => resolve(finishDisplays(run))) : undefined;
  return outcome === interrupted || shown === interrupted ? interrupted : { ...outcome, expressions };
}

/** Runs a script and makes the view of its value, if it has one. */
async function runScript({ run }: RunRequest, js: string, show: boolean): Promise<Outcome> {
  const evaluated = await evaluate(run, js);
  if (evaluated === interrupted) return interrupted;
  const { result, exceptionDetails } = evaluated;
  if (exceptionDetails !== undefined) {
    const { exception, text } = exceptionDetails;
    if (exception === undefined) return { error: { ename: "Uncaught", evalue: text, traceback: [text] } };
    const error = await callWith(run, describeError, exception);
    return error === interrupted ? interrupted : { error };
  }
  if (!show || result.type === "undefined") return {};
  // What is no object has no code of the user's own, so that nothing has to be guarded.
  const plain = plainValue(result);
  const view = plain ? await formatResult(plain.value) : await callWith(run, formatResult, result);
  if (view === interrupted) return interrupted;
  return view === undefined ? {} : { view: viewOf(view) };
}

async function evaluateExpressions(request: RunRequest): Promise<Record<string, ExpressionResult>> {
  const results: Record<string, ExpressionResult> = {};
  for (const [name, js] of Object.entries(request.expressions)) {
    const outcome = await runScript(request, js, true);
    if (outcome === interrupted) results[name] = { status: "error", ...interruptError };
    else if (outcome.error !== undefined) results[name] = { status: "error", ...outcome.error };
    else results[name] = { status: "ok", ...(outcome.view ?? { data: { "text/plain": "undefined" }, metadata: {} }) };
  }
  return results;
}
