// The five sockets to a kernel: requests go out signed and in order, what comes in is checked and handed on.
import { randomUUID } from "node:crypto";
import * as zmq from "zeromq";
import { createSendQueue } from "../sockets/queue.ts";
import { address, type Connection } from "../wire/connection.ts";
import { createEncoder, decode, type Header, MalformedMessage, type Message } from "../wire/message.ts";
import { createSigner } from "../wire/sign.ts";

export interface Listener {
  /** A message of iopub. */
  output(message: Message): void;
  /** An answer on shell or control. */
  reply(message: Message): void;
  /** A question on stdin. */
  question(message: Message): void;
  /** The kernel has answered a beat. */
  beat(): void;
}

export interface Channels {
  /** Sends a message; returns its id. */
  send(channel: "shell" | "control" | "stdin", type: string, content: object, parent?: Partial<Header>): string;
  /** Asks for a sign of life. */
  beat(): void;
  /** When the last message came, by `performance.now()`. */
  readonly lastMessage: number;
  close(): void;
}

export function openChannels(connection: Connection, listener: Listener): Channels {
  const sessionId = randomUUID();
  const signer = createSigner(connection.key);
  const encode = createEncoder(sessionId, signer);
  let lastMessage = 0;
  // libzmq waits 100 ms and more before it tries a refused connection again, which is most of a fast kernel's start.
  const dealer = () =>
    new zmq.Dealer({ routingId: sessionId, linger: 0, reconnectInterval: 20, sendHighWaterMark: 0 } as object);
  const shell = dealer();
  const control = dealer();
  const stdin = dealer();
  const heartbeat = new zmq.Dealer({ linger: 0 });
  const iopub = new zmq.Subscriber({ linger: 0, reconnectInterval: 20, receiveHighWaterMark: 0 });
  const sockets = [shell, control, stdin, heartbeat, iopub];
  iopub.subscribe("");
  iopub.connect(address(connection, connection.iopub_port));
  shell.connect(address(connection, connection.shell_port));
  control.connect(address(connection, connection.control_port));
  stdin.connect(address(connection, connection.stdin_port));
  heartbeat.connect(address(connection, connection.hb_port));
  const queues = { shell: createSendQueue(shell), control: createSendQueue(control), stdin: createSendQueue(stdin) };
  void read(iopub, listener.output);
  void read(shell, listener.reply);
  void read(control, listener.reply);
  void read(stdin, listener.question);
  void readHeartbeat();

  async function readHeartbeat() {
    for await (const _ of heartbeat) listener.beat();
  }

  async function read(socket: AsyncIterable<Buffer[]>, take: (message: Message) => void) {
    for await (const frames of socket) {
      lastMessage = performance.now();
      try {
        take(decode(frames, signer));
      } catch (error) {
        // What others on this machine send to the port, unsigned, is none of ours.
        if (!(error instanceof MalformedMessage)) throw error;
      }
    }
  }

  return {
    send(channel, type, content, parent = {}) {
      const frames = encode([], { type, content, parent });
      queues[channel].send(frames);
      // After the delimiter and the signature.
      return (JSON.parse(frames[2] as string) as Header).msg_id;
    },
    beat() {
      // An empty frame first: kernels that answer with a REP socket want it, the others send it back.
      heartbeat.send(["", "ping"]).catch(() => {});
    },
    get lastMessage() {
      return lastMessage;
    },
    close() {
      for (const socket of sockets) socket.close();
    },
  };
}
