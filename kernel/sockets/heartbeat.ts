// The heartbeat channel: sends back what it gets, so that a client knows the kernel lives.
import * as zmq from "zeromq";

/** Binds the channel. The process that answers never runs a user's code, so it answers while a cell runs. */
export async function bindHeartbeat(address: string): Promise<{ close(): void }> {
  const socket = new zmq.Router({ linger: 0 });
  await socket.bind(address);
  void echo();
  async function echo() {
    for await (const frames of socket) await socket.send(frames);
  }
  return { close: () => socket.close() };
}
