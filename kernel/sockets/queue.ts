// Sends one message after the other: a ZeroMQ socket of Node refuses a second send while one is under way (EBUSY).

interface Sender {
  send(frames: any): Promise<void>;
}

type Frames = readonly (Buffer | string)[];

export interface SendQueue {
  /** What is handed over as a function is made when its turn comes. */
  send(frames: Frames | (() => Frames)): void;
  /** Settles when everything handed over so far has been sent. */
  drained(): Promise<void>;
}

export function createSendQueue(socket: Sender): SendQueue {
  let waiting: (Frames | (() => Frames))[] = [];
  let sending: Promise<void> | undefined;
  async function drain() {
    // After the turn that hands messages over: what it asks of other processes goes first, and they work while these are made.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      for (const frames of batch) {
        try {
          await socket.send(typeof frames === "function" ? frames() : frames);
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
