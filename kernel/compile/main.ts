// The language process: checks cells and answers editors, beside the process that runs the cells. Set-up freezes it into a V8 start-up snapshot
// with TypeScript loaded, its libraries parsed and its checker warm; without one it starts cold, one second later.
import { readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { startupSnapshot } from "node:v8";
import { Worker } from "node:worker_threads";
import { packetOf } from "../worker/packets.ts";
import type { WorkerRequest } from "../worker/protocol.ts";
import { parseCell } from "./cell-file.ts";
import { type Cells, createCells } from "./cells.ts";
import { complete } from "./complete.ts";
import { inspect } from "./inspect.ts";
import { MagicError } from "./magics.ts";
import { declaredNames } from "./names.ts";
import { type Answered, type LanguageReply, type LanguageRequest, languageFd } from "./protocol.ts";
import { rehearse } from "./rehearse.ts";
import { type Wholeness, wholeness } from "./whole.ts";

let cells: Cells | undefined;

if (startupSnapshot.isBuildingSnapshot()) {
  cells = warm(process.cwd());
  startupSnapshot.setDeserializeMainFunction(serve);
} else serve();

/**
 * Work of the kinds that cells bring, so that it is done before the first one comes. Completions are not among it: they sort by `Intl.Collator`,
 * which no snapshot can hold.
 */
function warm(folder: string): Cells {
  const warmed = createCells(folder);
  warmed.check("In[1]", "1 + 1");
  warmed.check(
    "In[2]",
    "const x: number[] = [1].map((y) => y * 2); console.log(x, await Promise.resolve(1)); let s: string = 1",
  );
  inspect(warmed, "console", 7, 0);
  warmed.reset();
  return warmed;
}

function serve() {
  // A signal for the whole terminal is not for this process: it ends with the front.
  process.on("SIGINT", () => {});
  next();
}

const chunk = Buffer.alloc(64 * 1024);
/** The beginning of a request whose end has not come yet. */
let parts: Buffer[] = [];

/** Waits for requests in a read that blocks: there is nothing else to do, and the way over the event loop costs a tenth of a cell's round trip. */
function next() {
  watch();
  let end = -1;
  while (end < 0) {
    const length = read();
    // The front is gone.
    if (length === 0) process.exit(0);
    const part = Buffer.from(chunk.subarray(0, length));
    end = part.lastIndexOf("\n");
    parts.push(end < 0 ? part : part.subarray(0, end));
    if (end < 0) continue;
    const lines = Buffer.concat(parts).toString().split("\n");
    parts = [part.subarray(end + 1)];
    for (const line of lines) serveLine(JSON.parse(line));
  }
  // What V8 and the thread have put off for the loop is done between requests.
  setImmediate(next);
}

function read(): number {
  try {
    return readSync(languageFd, chunk);
  } catch {
    return 0;
  }
}

function write(fd: number, bytes: Buffer) {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

function serveLine(request: LanguageRequest & { id: number }) {
  const told = reply(request);
  const packet = request.type === "check" ? packetToHandOver(request, told) : undefined;
  try {
    write(languageFd, Buffer.from(`${JSON.stringify(told)}\n`));
  } catch {
    process.exit(0);
  }
  try {
    if (packet !== undefined) write(packet.fd, packet.bytes);
  } catch {
    // The user's process has just died. The front hears it, and takes the cell for one that was running.
  }
}

/** Larger ones would fill the channel when the user's process does not read, and editors would wait. */
const maxPacket = 64 * 1024;

/** The cell as its process will get it, if it may run and its process lives. The front is told first, so that it knows whose the first output is. */
function packetToHandOver({ name, code, handover }: LanguageRequest & { type: "check" }, told: LanguageReply) {
  if (handover === undefined || "failed" in told) return undefined;
  const checked = told.answer as Answered;
  if (checked.magic !== undefined || checked.diagnostics.some(({ category }) => category === "error")) return undefined;
  const { fd, ...rest } = handover;
  const { js, isTimed } = checked;
  const run: WorkerRequest = { type: "run", ...rest, name, code, js, isTimed };
  const bytes = packetOf(run);
  if (bytes.length > maxPacket || !isRead(fd)) return undefined;
  told.answer = { ...checked, js: "", isHandedOver: true };
  return { fd, bytes };
}

/** Whether anybody has the other end of a channel. */
function isRead(fd: number): boolean {
  try {
    writeSync(fd, "");
    return true;
  } catch {
    return false;
  }
}

let watcher: Worker | undefined;

/** A check may take minutes, and nothing that the front does, or that happens to it, is heard meanwhile: a thread ends the process with the front. */
function watch() {
  if (watcher !== undefined) return;
  watcher = new Worker(join(import.meta.dirname, "watch.js"), {
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
  });
  watcher.on("error", (error) => console.error(`nobody waits for the end of the front: ${error.message}`));
  watcher.unref();
}

function reply({ id, ...request }: LanguageRequest & { id: number }): LanguageReply {
  try {
    return { id, answer: answer(request as LanguageRequest) };
  } catch (error) {
    return { id, failed: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

function answer(request: LanguageRequest) {
  if (request.type === "open") {
    if (cells === undefined) cells = warm(request.cwd);
    else cells.project.move(request.cwd);
    return null;
  }
  if (cells === undefined) throw new Error(`${request.type} before open`);
  switch (request.type) {
    case "check":
      return cells.check(request.name, request.code);
    case "complete":
      return complete(cells, request.code, request.offset);
    case "inspect":
      return inspect(cells, request.code, request.offset, request.detail) ?? null;
    case "whole":
      return wholenessOf(cells, request.code);
    case "names":
      return declaredNames(cells);
    case "rehearse":
      return rehearse(cells);
    case "reset":
      cells.reset();
      return null;
  }
}

function wholenessOf({ project }: Cells, code: string): Wholeness {
  try {
    return wholeness(parseCell("whole", code, project).file);
  } catch (error) {
    if (error instanceof MagicError) return { status: "invalid" };
    throw error;
  }
}
