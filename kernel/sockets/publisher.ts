// The iopub channel: what the kernel tells everyone.
import * as zmq from "zeromq";
import { maxSmallFrame } from "./limits.ts";
import { createSendQueue, type SendQueue } from "./queue.ts";

export interface PublisherChannel extends SendQueue {
  /** Settles when the first client listens. */
  subscribed: Promise<void>;
  /** Calls `onSubscribe` with the topic of every subscription, also of those that came before. */
  listen(onSubscribe: (topic: Buffer) => void): void;
  close(): void;
}

/** Binds the channel. Subscriptions wait in the socket until `listen` is called. */
export async function bindPublisher(address: string): Promise<PublisherChannel> {
  // No high-water mark: with libzmq's default of 1 000 the messages of a fast cell are lost, its idle among them.
  const socket = new zmq.XPublisher({
    sendHighWaterMark: 0,
    maxMessageSize: maxSmallFrame,
    verbosity: "allSubs",
    linger: 500,
  } as object);
  await socket.bind(address);
  const { send, drained } = createSendQueue(socket);
  const { promise: subscribed, resolve } = Promise.withResolvers<void>();
  async function greet(onSubscribe: (topic: Buffer) => void) {
    for await (const [frame] of socket) {
      if (frame?.[0] !== 1) continue;
      resolve();
      onSubscribe(frame.subarray(1));
    }
  }
  return {
    send,
    drained,
    subscribed,
    listen: (onSubscribe) => void greet(onSubscribe),
    close: () => socket.close(),
  };
}
