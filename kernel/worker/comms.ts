// Comms of cells: channels between code of the notebook and code of a front end, as widgets use them.
import { randomUUID } from "node:crypto";
import { currentRun } from "./context.ts";
import { send } from "./output.ts";
import type { CommKind, CommRequest } from "./protocol.ts";

export interface CommMessage {
  data: any;
  metadata: Record<string, unknown>;
  buffers: Uint8Array[];
}

export interface CommOptions {
  metadata?: Record<string, unknown>;
  /** Bytes that go beside the data, not as text. */
  buffers?: readonly (ArrayBuffer | ArrayBufferView)[];
}

export interface Comm {
  readonly id: string;
  readonly target: string;
  readonly isClosed: boolean;
  send(data: unknown, options?: CommOptions): void;
  close(data?: unknown, options?: CommOptions): void;
  /** Calls the handler with every message of the front end; a promise it returns is waited for. */
  onMessage(handler: (message: CommMessage) => unknown): void;
  /** Calls the handler when the front end closes the comm. */
  onClose(handler: (message: CommMessage) => unknown): void;
}

type Opened = (comm: Comm, message: CommMessage) => unknown;

interface OpenComm {
  comm: Comm;
  handlers: { comm_msg: ((message: CommMessage) => unknown)[]; comm_close: ((message: CommMessage) => unknown)[] };
  forget(): void;
}

const targets = new Map<string, Opened>();
const openComms = new Map<string, OpenComm>();

export const comms = {
  /** Takes comms that a front end opens for this target, in the place of an earlier handler. */
  register(target: string, opened: Opened) {
    if (typeof opened !== "function")
      throw new TypeError(`comms.register("${target}", handler): the handler is no function`);
    targets.set(target, opened);
  },
  unregister: (target: string) => targets.delete(target),
  /** Opens a comm to the front ends; those that know no such target close it. */
  open(target: string, data: unknown = {}, options: CommOptions & { id?: string } = {}): Comm {
    const { comm } = addComm(options.id ?? randomUUID(), target);
    try {
      tell("comm_open", { comm_id: comm.id, target_name: target, data }, options);
    } catch (error) {
      openComms.delete(comm.id);
      throw error;
    }
    return comm;
  },
};

/** What a client says, for the code that listens: returns what the handlers promise. */
export function receive({ kind, content, metadata }: CommRequest, parts: readonly Buffer[]): unknown {
  const { comm_id: id, target_name = "", data = {} } = content;
  // Copies: views of numbers need memory of their own, rightly aligned.
  const message: CommMessage = { data, metadata, buffers: parts.map((part) => new Uint8Array(part)) };
  if (kind === "comm_open") {
    const opened = targets.get(target_name);
    if (opened === undefined) return tell("comm_close", { comm_id: id, data: {} });
    const { comm } = addComm(id, target_name);
    return orClose(comm, () => opened(comm, message));
  }
  const known = openComms.get(id);
  if (known === undefined) return undefined;
  if (kind === "comm_close") known.forget();
  return Promise.all(known.handlers[kind].map((handle) => handle(message)));
}

function addComm(id: string, target: string): OpenComm {
  const handlers: OpenComm["handlers"] = { comm_msg: [], comm_close: [] };
  let isClosed = false;
  const forget = () => {
    isClosed = true;
    openComms.delete(id);
  };
  const comm: Comm = {
    id,
    target,
    get isClosed() {
      return isClosed;
    },
    send(data, options) {
      if (isClosed) throw new Error(`the comm ${id} (${target}) is closed`);
      tell("comm_msg", { comm_id: id, data }, options);
    },
    close(data = {}, options) {
      if (isClosed) return;
      tell("comm_close", { comm_id: id, data }, options);
      forget();
    },
    onMessage: (handler) => void handlers.comm_msg.push(handler),
    onClose: (handler) => void handlers.comm_close.push(handler),
  };
  const added = { comm, handlers, forget };
  openComms.set(id, added);
  return added;
}

/** A comm whose handler fails at its opening is closed, as nobody listens to it. */
async function orClose(comm: Comm, open: () => unknown) {
  try {
    await open();
  } catch (error) {
    comm.close();
    throw error;
  }
}

function tell(kind: CommKind, content: CommRequest["content"], { metadata = {}, buffers = [] }: CommOptions = {}) {
  if (content.data === null || typeof content.data !== "object") {
    throw new TypeError(`the data of a comm message is an object, such as { method: "update" }, not ${content.data}`);
  }
  const parts = buffers.map((buffer) =>
    ArrayBuffer.isView(buffer)
      ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
      : new Uint8Array(buffer),
  );
  send({ type: "comm", run: currentRun(), kind, content, metadata }, parts);
}
