// Puts what a worker writes on three pipes back into the order in which it was written.
//
// Text of the worker itself comes as frames on fds 1 and 2, numbered in one sequence; unmarked bytes between them come from child processes and
// native code. A message on fd 3 has a number of the same sequence and is preceded by an empty frame with that number on 1 and on 2: once
// both have been read, all bytes written before the message have been read too, on whatever pipe.
import { StringDecoder } from "node:string_decoder";
import { createPacketReader } from "./packets.ts";
import { frameHead, stderrFd, stdoutFd, type WorkerMessage } from "./protocol.ts";

type StreamName = "stdout" | "stderr";

export interface Listener {
  text(run: number, name: StreamName, text: string): void;
  message(message: WorkerMessage, buffers: Buffer[]): void;
}

interface Piece {
  /** 0: raw bytes. */
  seq: number;
  run: number;
  bytes: Buffer;
}

interface Pipe {
  name: StreamName;
  rest: Buffer;
  pieces: Piece[];
  /** The number of the last empty frame. */
  passed: number;
  /** Characters may be cut between two chunks. */
  framed: StringDecoder;
  raw: StringDecoder;
}

const nothing = Buffer.alloc(0);

/** Gives text and messages to the listener in the order in which the worker wrote them. */
export function createOrder(mark: Buffer, listener: Listener) {
  const pipe = (name: StreamName): Pipe => ({
    name,
    rest: nothing,
    pieces: [],
    passed: 0,
    framed: new StringDecoder("utf8"),
    raw: new StringDecoder("utf8"),
  });
  const pipes = { [stdoutFd]: pipe("stdout"), [stderrFd]: pipe("stderr") };
  const both = Object.values(pipes);
  let messages: (WorkerMessage & { seq: number; buffers: Buffer[] })[] = [];
  const readMessages = createPacketReader<WorkerMessage & { seq: number }>((message) => messages.push(message));
  let next = 1;
  let lastRun = 0;

  function emit(from: Pipe, piece: Piece) {
    if (piece.seq > 0) lastRun = piece.run;
    const text = (piece.seq > 0 ? from.framed : from.raw).write(piece.bytes);
    if (text !== "") listener.text(piece.seq > 0 ? piece.run : lastRun, from.name, text);
  }

  function deliverText(from: Pipe): boolean {
    let taken = 0;
    for (const piece of from.pieces) {
      const isMarker = piece.seq > 0 && piece.bytes.length === 0;
      if (isMarker) from.passed = piece.seq;
      else {
        // A repeated number comes from an interrupt within a write: harmless. A later one waits for the other pipe.
        if (piece.seq > next) break;
        if (piece.seq > 0) next = Math.max(next, piece.seq + 1);
        emit(from, piece);
      }
      taken++;
    }
    from.pieces.splice(0, taken);
    return taken > 0;
  }

  function deliverMessage(): boolean {
    const [message] = messages;
    if (message === undefined || message.seq > next || both.some(({ passed }) => passed < message.seq)) return false;
    messages.shift();
    next = Math.max(next, message.seq + 1);
    listener.message(message, message.buffers);
    return true;
  }

  function deliver() {
    for (let moved = true; moved; ) moved = [...both.map(deliverText), deliverMessage()].includes(true);
  }

  return {
    /** The run that raw bytes belong to until a frame says otherwise. */
    startRun(run: number) {
      lastRun = run;
    },
    /** Takes what came on fd 1 or 2. */
    text(fd: typeof stdoutFd | typeof stderrFd, chunk: Buffer) {
      const from = pipes[fd];
      const { pieces, rest } = split(from.rest.length > 0 ? Buffer.concat([from.rest, chunk]) : chunk, mark);
      from.rest = rest;
      for (const piece of pieces) from.pieces.push(piece);
      deliver();
    },
    /** Takes what came on fd 3. */
    messages(chunk: Buffer) {
      readMessages(chunk);
      deliver();
    },
    /** The worker has died: gives out what still waits, text first. Messages that are not whole are lost. */
    end() {
      for (const from of both) {
        for (const piece of from.pieces) if (piece.bytes.length > 0) emit(from, piece);
        if (from.rest.length > 0 && !from.rest.subarray(0, 8).equals(mark)) {
          emit(from, { seq: 0, run: 0, bytes: from.rest });
        }
        from.pieces = [];
        from.rest = nothing;
      }
      for (const message of messages) listener.message(message, message.buffers);
      messages = [];
    },
  };
}

/** Cuts bytes into frames and what lies between them; `rest` is what may be the start of a frame. */
function split(bytes: Buffer, mark: Buffer): { pieces: Piece[]; rest: Buffer } {
  const pieces: Piece[] = [];
  const raw = (part: Buffer) => {
    if (part.length > 0) pieces.push({ seq: 0, run: 0, bytes: part });
  };
  let left = bytes;
  for (;;) {
    const at = left.indexOf(mark);
    if (at < 0) {
      const kept = markStart(left, mark);
      raw(left.subarray(0, left.length - kept));
      return { pieces, rest: left.subarray(left.length - kept) };
    }
    raw(left.subarray(0, at));
    left = left.subarray(at);
    const end = left.length < frameHead ? Number.POSITIVE_INFINITY : frameHead + left.readUInt32LE(16);
    if (left.length < end) return { pieces, rest: left };
    pieces.push({ seq: left.readUInt32LE(8), run: left.readUInt32LE(12), bytes: left.subarray(frameHead, end) });
    left = left.subarray(end);
  }
}

/** How many of the last bytes are the beginning of a mark. */
function markStart(bytes: Buffer, mark: Buffer): number {
  for (let n = Math.min(mark.length - 1, bytes.length); n > 0; n--) {
    if (bytes.subarray(bytes.length - n).equals(mark.subarray(0, n))) return n;
  }
  return 0;
}
