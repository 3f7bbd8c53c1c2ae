// The kernel's front process: sockets and routing. It never runs a user's code, so it always answers.
import { randomUUID } from "node:crypto";
import type { Channel, Transport } from "./core/context.ts";
import { createDispatch } from "./core/dispatch.ts";
import { interrupt } from "./core/execute.ts";
import { createKernel } from "./core/kernel.ts";
import { watchParent } from "./core/parent.ts";
import { bindHeartbeat } from "./sockets/heartbeat.ts";
import { bindPublisher } from "./sockets/publisher.ts";
import { bindRouter, type RouterChannel } from "./sockets/router.ts";
import { versions } from "./versions.ts";
import { address, readConnection } from "./wire/connection.ts";
import { createEncoder, decode, MalformedMessage } from "./wire/message.ts";
import { createSigner } from "./wire/sign.ts";

const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: node front.js <connection file>; a Jupyter server starts it so");
  process.exit(2);
}
const connection = readConnection(file);
const session = randomUUID();
const signer = createSigner(connection.key);
const encode = createEncoder(session, signer);
// Declared before the kernel exists: messages may come as soon as the sockets are bound, and are kept until then.
let receive: ((channel: Channel, frames: Buffer[]) => void) | undefined;
const early: [Channel, Buffer[]][] = [];
const take = (channel: Channel) => (frames: Buffer[]) => {
  if (receive === undefined) early.push([channel, frames]);
  else receive(channel, frames);
};

let started = false;
const [iopub, heartbeat, shell, control, stdin] = await Promise.all([
  bindPublisher(address(connection, connection.iopub_port)),
  bindHeartbeat(address(connection, connection.hb_port)),
  bindRouter(address(connection, connection.shell_port), take("shell")),
  bindRouter(address(connection, connection.control_port), take("control")),
  bindRouter(address(connection, connection.stdin_port), take("stdin")),
]);
const channels: Record<Channel, RouterChannel> = { shell, control, stdin };
const transport: Transport = {
  publish(type, content, parent, metadata, buffers) {
    iopub.send(encode([`kernel.${session}.${type}`], { type, content, parent, metadata, buffers }));
  },
  reply(channel, identities, type, content, parent, metadata) {
    channels[channel].send(encode(identities, { type, content, parent, metadata }));
  },
};
const kernel = createKernel(transport, { dist: import.meta.dirname, cwd: process.cwd() });
const dispatch = createDispatch(kernel, {
  connection,
  versions,
  subscribed: iopub.subscribed,
  shutdown: () => void stop(),
});
receive = (channel, frames) => {
  try {
    dispatch({ ...decode(frames, signer), channel });
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    console.error(`dropped a message on ${channel}: ${error.message}`);
  }
};
for (const [channel, frames] of early) receive(channel, frames);
// Only now: a client may have subscribed while the other sockets were still being bound.
iopub.listen(welcome);
watchParent(() => void stop());
process.on("SIGINT", () => interrupt(kernel));
for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => void stop());

/** Greets a client that subscribes; the first one also hears that the kernel starts, which nobody could hear before. */
function welcome(topic: string) {
  iopub.send(encode([topic], { type: "iopub_welcome", content: { subscription: topic }, parent: {} }));
  if (started) return;
  started = true;
  transport.publish("status", { execution_state: "starting" }, {});
}

/** Ends all processes of the kernel, after the messages that are under way. */
async function stop() {
  kernel.worker.stop();
  kernel.compiler.stop();
  kernel.history.close();
  await Promise.race([
    Promise.all([iopub, shell, control, stdin].map((channel) => channel.drained())),
    new Promise((resolve) => setTimeout(resolve, 1000)),
  ]);
  for (const channel of [iopub, shell, control, stdin, heartbeat]) channel.close();
  process.exit(0);
}
