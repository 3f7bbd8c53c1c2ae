// The shell, control and stdin channels: ROUTER sockets with requests in and replies out.
import * as zmq from "zeromq";
import { maxFrame } from "./limits.ts";
import { createSendQueue, type SendQueue } from "./queue.ts";

export interface RouterChannel extends SendQueue {
  close(): void;
}

/** Binds the channel; every multipart message that comes goes to `receive` at once. */
export async function bindRouter(address: string, receive: (frames: Buffer[]) => void): Promise<RouterChannel> {
  // No high-water mark for what is sent: beyond it libzmq would drop replies. For what comes it holds senders back, and loses nothing. Handover:
  // a client that reconnects keeps its identity.
  const socket = new zmq.Router({ sendHighWaterMark: 0, maxMessageSize: maxFrame, handover: true, linger: 500 });
  await socket.bind(address);
  const { send, drained } = createSendQueue(socket);
  void listen();
  async function listen() {
    for await (const frames of socket) receive(frames);
  }
  return { send, drained, close: () => socket.close() };
}
