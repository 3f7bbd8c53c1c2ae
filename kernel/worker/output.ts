// Everything that leaves the user's process: text as frames on stdout and stderr, messages to the front. See frames.ts for how order is kept.
import { Console } from "node:console";
import { writeSync } from "node:fs";
import { Writable } from "node:stream";
import { currentRun, currentSink, type Sink } from "./context.ts";
import { packetOf } from "./packets.ts";
import { frameHead, markVariable, messageFd, stderrFd, stdoutFd, type WorkerMessage } from "./protocol.ts";

/** A frame goes out in one write that the system does not split, so that no child's write falls inside it. */
const maxText = 8192;

const mark = Buffer.from(process.env[markVariable] ?? "", "hex");
if (mark.length !== 8) throw new Error("this program is the kernel's worker: it is started by the kernel, not by hand");
delete process.env[markVariable];

const scratch = Buffer.alloc(frameHead + maxText);
mark.copy(scratch);
const sleeper = new Int32Array(new SharedArrayBuffer(4));
let seq = 0;

function write(fd: number, bytes: Buffer) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      // A child that shares the pipe may have made it non-blocking.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(sleeper, 0, 0, 1);
    }
  }
}

function writeFrame(fd: number, number: number, run: number, text: string | Buffer) {
  const length = typeof text === "string" ? scratch.write(text, frameHead, "utf8") : text.copy(scratch, frameHead);
  scratch.writeUInt32LE(number, 8);
  scratch.writeUInt32LE(run, 12);
  scratch.writeUInt32LE(length, 16);
  write(fd, scratch.subarray(0, frameHead + length));
}

// The number is raised after the write: an interrupt between the two then repeats a number, which the front takes;
// the other way round would leave a gap, and the front would wait for ever.

function writeText(fd: number, text: string | Buffer) {
  const run = currentRun();
  const put = (part: string | Buffer) => {
    writeFrame(fd, seq + 1, run, part);
    seq++;
  };
  if (typeof text === "string" && text.length * 3 <= maxText) {
    if (text !== "") put(text);
    return;
  }
  const bytes = Buffer.from(text as string);
  for (let at = 0; at < bytes.length; at += maxText) put(bytes.subarray(at, at + maxText));
}

/** Tells the front something, in order with all text written before. */
export function send(message: WorkerMessage, buffers: readonly Uint8Array[] = []) {
  const number = seq + 1;
  // Before anything is written: it may throw.
  const body = packetOf({ ...message, seq: number }, buffers);
  writeFrame(stdoutFd, number, 0, "");
  writeFrame(stderrFd, number, 0, "");
  write(messageFd, body);
  seq++;
}

/** Shows something in a sink, or, where there is none, in the cell. */
export function show(
  message: Extract<WorkerMessage, { type: "display" | "clear" | "late-error" }>,
  sink: Sink | undefined,
) {
  if (sink === undefined) return send(message);
  if (message.type === "display") sink.display(message.view, message.id ?? "", message.update);
  else if (message.type === "clear") sink.clear(message.wait);
  else sink.error(message.error);
}

/** Takes over `process.stdout`, `process.stderr` and the console. */
export function captureOutput() {
  capture("stdout", stdoutFd);
  capture("stderr", stderrFd);
  // Node's own console methods also call those of the inspector, which keeps the last thousand arguments alive: tensors among them.
  Object.assign(console, new Console(process.stdout, process.stderr));
}

function capture(name: "stdout" | "stderr", fd: number) {
  const stream = new Writable({ write: (_chunk, _encoding, done) => done() });
  // Not by `_write`: a stream that is interrupted there would stay "writing" for ever. And not Node's own stream: it makes the pipe
  // non-blocking for child processes too.
  stream.write = (chunk: any, encoding?: any, done?: any) => {
    const text =
      typeof chunk === "string" && (typeof encoding !== "string" || /^utf-?8$/i.test(encoding))
        ? chunk
        : Buffer.from(chunk, encoding);
    const sink = currentSink();
    if (sink === undefined) writeText(fd, text);
    else sink.text(name, String(text));
    const callback = typeof encoding === "function" ? encoding : done;
    if (callback !== undefined) process.nextTick(callback);
    return true;
  };
  stream.end = () => stream;
  Object.defineProperty(stream, "fd", { value: fd });
  Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
}
