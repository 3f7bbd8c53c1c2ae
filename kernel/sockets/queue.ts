// Sends one message after the other: a ZeroMQ socket of Node refuses a second send while one is under way (EBUSY).

interface Sender {
  send(frames: any): Promise<void>;
}

export interface SendQueue {
  send(frames: readonly (Buffer | string)[]): void;
  /** Settles when everything handed over so far has been sent. */
  drained(): Promise<void>;
}

export function createSendQueue(socket: Sender): SendQueue {
  let waiting: (readonly (Buffer | string)[])[] = [];
  let sending: Promise<void> | undefined;
  async function drain() {
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      for (const frames of batch) {
        try {
          await socket.send(frames);
        } catch (error) {
          // A client that has gone: the others must still get theirs.
          console.error(`cannot send a message: ${(error as Error).message}`);
        }
      }
    }
    sending = undefined;
  }
  return {
    send(frames) {
      waiting.push(frames);
      sending ??= drain();
    },
    drained: () => sending ?? Promise.resolve(),
  };
}
