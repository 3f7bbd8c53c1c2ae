// A request while it is answered: every message it causes carries its header and goes to its sender. There is no global "current request".
import type { Header, Message } from "../wire/message.ts";

/** Where messages of the kernel go; the core knows nothing of sockets. */
export interface Transport {
  /** To everyone. */
  publish(type: string, content: object, parent: Partial<Header>, metadata?: object, buffers?: readonly Buffer[]): void;
  /** To one client, on the channel that its request came from. */
  reply(
    channel: Channel,
    identities: readonly Buffer[],
    type: string,
    content: object,
    parent: Header,
    metadata?: object,
  ): void;
}

export type Channel = "shell" | "control" | "stdin";

export interface Request extends Message {
  channel: Channel;
}

export interface RequestContext {
  request: Request;
  publish(type: string, content: object, metadata?: object): void;
  reply(type: string, content: object, metadata?: object): void;
}

export function createContext(request: Request, transport: Transport): RequestContext {
  const { channel, identities, header } = request;
  return {
    request,
    publish: (type, content, metadata) => transport.publish(type, content, header, metadata),
    reply: (type, content, metadata) => transport.reply(channel, identities, type, content, header, metadata),
  };
}

/** The content of an error reply. */
export function errorContent(ename: string, evalue: string) {
  return { status: "error", ename, evalue, traceback: [`${ename}: ${evalue}`] };
}
