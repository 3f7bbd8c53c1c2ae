// The kernel's front process: sockets and routing. It never runs a user's code, so it always answers.
import { randomUUID } from "node:crypto";
import { createComplaints } from "./core/complaints.ts";
import type { Channel, Transport } from "./core/context.ts";
import { createDispatch } from "./core/dispatch.ts";
import { interrupt } from "./core/execute.ts";
import { createKernel } from "./core/kernel.ts";
import { watchParent } from "./core/parent.ts";
import { bindHeartbeat } from "./sockets/heartbeat.ts";
import { bindPublisher } from "./sockets/publisher.ts";
import { bindRouter, type RouterChannel } from "./sockets/router.ts";
import { versions } from "./versions.ts";
import { address, type Connection, ConnectionError, exposure, type ports, readConnection } from "./wire/connection.ts";
import { createPreparer, decode, MalformedMessage } from "./wire/message.ts";
import { createReplayGuard } from "./wire/replay.ts";
import { createSigner } from "./wire/sign.ts";

const [file] = process.argv.slice(2);
if (file === undefined) {
  fail(2, "usage: node front.js <connection file>; a Jupyter server starts it so");
}
const connection = open(file);
const session = randomUUID();
const signer = createSigner(connection.key);
const prepare = createPreparer(session, signer);
// Declared before the kernel exists: messages may come as soon as the sockets are bound, and are kept until then.
let receive: ((channel: Channel, frames: Buffer[]) => void) | undefined;
const early: [Channel, Buffer[]][] = [];
const take = (channel: Channel) => (frames: Buffer[]) => {
  if (receive === undefined) early.push([channel, frames]);
  else receive(channel, frames);
};

let started = false;
// Sockets in the file system are for their owner alone.
const umask = connection.transport === "ipc" ? process.umask(0o077) : undefined;
const [iopub, heartbeat, shell, control, stdin] = await Promise.all([
  bind("iopub_port", bindPublisher),
  bind("hb_port", bindHeartbeat),
  bind("shell_port", (place) => bindRouter(place, take("shell"))),
  bind("control_port", (place) => bindRouter(place, take("control"))),
  bind("stdin_port", (place) => bindRouter(place, take("stdin"))),
]);
if (umask !== undefined) process.umask(umask);
const channels: Record<Channel, RouterChannel> = { shell, control, stdin };
const transport: Transport = {
  publish(type, content, parent, metadata, buffers) {
    iopub.send(prepare([`kernel.${session}.${type}`], { type, content, parent, metadata, buffers }));
  },
  reply(channel, identities, type, content, parent, metadata) {
    channels[channel].send(prepare(identities, { type, content, parent, metadata }));
  },
};
const kernel = createKernel(transport, { dist: import.meta.dirname, cwd: process.cwd() });
const complain = createComplaints();
const isNew = createReplayGuard();
const dispatch = createDispatch(kernel, {
  connection,
  versions,
  subscribed: iopub.subscribed,
  shutdown: () => void stop(),
  complain,
});
receive = (channel, frames) => {
  try {
    const message = decode(frames, signer, isNew);
    // Whoever has seen a message of ours on the wire might send it back: its signature is right.
    if (message.header.session === session) throw new MalformedMessage("it is one of this kernel");
    dispatch({ ...message, channel });
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    complain(`dropped a message on ${channel}: ${error.message}`);
  }
};
for (const [channel, frames] of early) receive(channel, frames);
// Only now: a client may have subscribed while the other sockets were still being bound.
iopub.listen(welcome);
// Nobody is left to hear the last messages.
watchParent(() => void stop(0));
process.on("SIGINT", () => interrupt(kernel));
for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => void stop());

/** Greets a client that subscribes; the first one also hears that the kernel starts, which nobody could hear before. */
function welcome(topic: Buffer) {
  iopub.send(prepare([topic], { type: "iopub_welcome", content: { subscription: topic.toString() }, parent: {} }));
  if (started) return;
  started = true;
  transport.publish("status", { execution_state: "starting" }, {});
}

function open(path: string): Connection {
  try {
    const found = readConnection(path);
    const risk = exposure(path, found);
    if (risk !== undefined) console.error(`warning: ${risk}`);
    return found;
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    return fail(2, error.message);
  }
}

async function bind<T>(port: (typeof ports)[number], listen: (place: string) => Promise<T>): Promise<T> {
  const place = address(connection, connection[port]);
  try {
    return await patiently(() => listen(place));
  } catch (error) {
    const next =
      connection.transport === "ipc"
        ? "ip has to be the beginning of a path in a folder that may be written to"
        : "ip has to be an address of this machine, and no other program may have the port; a new start gets other ports";
    return fail(1, `cannot listen on ${port}, ${place}: ${(error as Error).message}; ${next}`);
  }
}

/** Tries for a second: the kernel before this one, or a connection that another program has just had from this port, may be about to end. */
async function patiently<T>(listen: () => Promise<T>): Promise<T> {
  for (let left = 10; ; left--) {
    try {
      return await listen();
    } catch (error) {
      if (left === 0 || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function fail(code: number, message: string): never {
  console.error(message);
  process.exit(code);
}

/** Ends all processes of the kernel, after the messages that are under way. */
async function stop(patienceMs = 1000) {
  kernel.worker.stop();
  kernel.compiler.stop();
  kernel.history.close();
  await Promise.race([
    Promise.all([iopub, shell, control, stdin].map((channel) => channel.drained())),
    new Promise((resolve) => setTimeout(resolve, patienceMs)),
  ]);
  for (const channel of [iopub, shell, control, stdin, heartbeat]) channel.close();
  process.exit(0);
}
