// The heartbeat channel: sends back what it gets, so that a client knows the kernel lives.
import * as zmq from "zeromq";
import { maxSmallFrame } from "./limits.ts";

/** Binds the channel. The process that answers never runs a user's code, so it answers while a cell runs. */
export async function bindHeartbeat(address: string): Promise<{ close(): void }> {
  const socket = new zmq.Router({ linger: 0, maxMessageSize: maxSmallFrame });
  await socket.bind(address);
  void echo();
  async function echo() {
    for await (const frames of socket) {
      try {
        await socket.send(frames);
      } catch (error) {
        // A client that has gone: the others must still get theirs.
        console.error(`cannot answer a heartbeat: ${(error as Error).message}`);
      }
    }
  }
  return { close: () => socket.close() };
}
