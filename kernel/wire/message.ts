// Messages of the Jupyter protocol 5.4 and their frames: identities, delimiter, signature, header, parent header, metadata, content, buffers.
import { randomUUID } from "node:crypto";
import type { Signer } from "./sign.ts";

export const protocolVersion = "5.4";

export interface Header {
  msg_id: string;
  msg_type: string;
  session: string;
  username: string;
  /** ISO 8601 */
  date: string;
  version: string;
}

/** A message as it came. The content is what the client sent: handlers read its fields with defaults. */
export interface Message {
  identities: Buffer[];
  header: Header;
  parent: Partial<Header>;
  metadata: Record<string, unknown>;
  content: Record<string, any>;
  buffers: Buffer[];
}

/** What is needed to make a message; `parent` is the header of the request that it belongs to, empty when there is none. */
export interface Outgoing {
  type: string;
  content: object;
  parent: Partial<Header>;
  metadata?: object;
  buffers?: readonly Buffer[];
}

const delimiter = Buffer.from("<IDS|MSG>");

type Identities = readonly (Buffer | string)[];

/** Makes the frames of messages of one session. */
export function createEncoder(session: string, signer: Signer) {
  const prepare = createPreparer(session, signer);
  return (identities: Identities, message: Outgoing) => prepare(identities, message)();
}

/** The same in two steps. Whatever cannot be written fails in the first one; the second, which takes longer, can wait. */
export function createPreparer(session: string, signer: Signer) {
  const run = randomUUID();
  let serial = 0;
  return (identities: Identities, message: Outgoing) => {
    const body = [message.parent, message.metadata ?? {}, message.content].map((part) => JSON.stringify(part));
    return () => seal(identities, message, body);
  };

  function seal(identities: Identities, message: Outgoing, body: string[]): (Buffer | string)[] {
    const header: Header = {
      msg_id: `${run}_${serial++}`,
      msg_type: message.type,
      session,
      username: "kernel",
      date: new Date().toISOString(),
      version: protocolVersion,
    };
    const frames = [JSON.stringify(header), ...body];
    return [...identities, delimiter, signer.sign(frames), ...frames, ...(message.buffers ?? [])];
  }
}

/** Thrown for frames that are no message; the kernel drops them. */
export class MalformedMessage extends Error {
  override name = "MalformedMessage";
}

/** Bytes of a header; every message that a request causes carries it along. */
const maxHeader = 64 * 2 ** 10;
/** Lists and objects within each other. V8 reads any number of them and fails to write some thousands. */
const maxDepth = 500;

/**
 * Reads the frames of a message. Throws `MalformedMessage` that says what is wrong: delimiter, signature, JSON, header. `isNew` is asked about
 * signatures that are right, and refuses those of messages that came before.
 */
export function decode(
  frames: readonly Buffer[],
  signer: Signer,
  isNew: (signature: Buffer) => boolean = () => true,
): Message {
  const at = frames.findIndex((frame) => frame.equals(delimiter));
  if (at < 0) throw new MalformedMessage("no delimiter <IDS|MSG>");
  const body = frames.slice(at + 2, at + 6);
  if (body.length < 4)
    throw new MalformedMessage(`${frames.length - at - 1} frames after the delimiter, at least 5 wanted`);
  const signature = frames[at + 1]!;
  if (!signer.verify(body, signature)) throw new MalformedMessage("wrong signature");
  if (signature.length > 0 && !isNew(signature)) throw new MalformedMessage("it came before: a replay");
  if (body[0]!.length > maxHeader) throw new MalformedMessage(`a header of ${body[0]!.length} bytes`);
  const [header, parent, metadata, content] = body.map((frame, i) => {
    const name = ["header", "parent_header", "metadata", "content"][i];
    let value: unknown;
    try {
      value = JSON.parse(frame.toString());
    } catch (error) {
      throw new MalformedMessage(`${name} is not JSON: ${(error as Error).message}`);
    }
    if (value === null || typeof value !== "object" || Array.isArray(value)) {
      throw new MalformedMessage(`${name} is not an object`);
    }
    if (frame.length > 2 * maxDepth && isDeeper(value, maxDepth)) {
      throw new MalformedMessage(`${name} has more than ${maxDepth} lists and objects within each other`);
    }
    return value as Record<string, any>;
  });
  for (const field of ["msg_id", "msg_type", "session"]) {
    if (typeof header[field] !== "string") throw new MalformedMessage(`the header's ${field} is no text`);
  }
  return {
    identities: frames.slice(0, at),
    header: header as Header,
    parent,
    metadata,
    content,
    buffers: frames.slice(at + 6),
  };
}

function isDeeper(value: unknown, depth: number): boolean {
  if (value === null || typeof value !== "object") return false;
  if (depth === 0) return true;
  return Object.values(value).some((part) => isDeeper(part, depth - 1));
}
