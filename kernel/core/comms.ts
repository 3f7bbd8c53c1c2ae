// Comms between clients and the code of cells: passed on both ways, with the request that causes a message as its parent.
import type { CommKind, WorkerMessage } from "../worker/protocol.ts";
import type { RequestContext } from "./context.ts";
import type { Kernel } from "./kernel.ts";
import { textIn } from "./text.ts";

/** So many headers of past comm messages are kept, for what their handlers send late: a slider that is dragged sends hundreds. */
const maxPast = 10_000;

/** Gives a client's message to the code of the cells and waits until it has done with it. */
export async function deliver(kernel: Kernel, { request }: RequestContext): Promise<void> {
  const { header, content, metadata, buffers } = request;
  const kind = header.msg_type as CommKind;
  const id = textIn(content, "comm_id");
  if (kind === "comm_open") kernel.comms.set(id, textIn(content, "target_name"));
  // Of a process that has ended, or never opened.
  else if (!kernel.comms.has(id)) return;
  if (kind === "comm_close") kernel.comms.delete(id);
  const run = ++kernel.runs;
  kernel.parents.set(run, header);
  if (kernel.delivered.push(run) > maxPast) kernel.parents.delete(kernel.delivered.shift()!);
  const { promise, resolve } = Promise.withResolvers<void>();
  kernel.deliveries.set(run, { finish: resolve, interrupted: false });
  const target_name = kernel.comms.get(id);
  kernel.worker.deliver(
    { type: "comm", run, kind, content: { ...content, comm_id: id, target_name }, metadata },
    buffers,
  );
  await promise;
  kernel.deliveries.delete(run);
}

/** Passes on what the code of a cell says. */
export function publishComm(
  kernel: Kernel,
  { run, kind, content, metadata }: Extract<WorkerMessage, { type: "comm" }>,
  buffers: readonly Buffer[],
) {
  if (kind === "comm_open") kernel.comms.set(content.comm_id, content.target_name ?? "");
  if (kind === "comm_close") kernel.comms.delete(content.comm_id);
  kernel.transport.publish(kind, content, kernel.parents.get(run) ?? {}, metadata, buffers);
}

/** The process that had them has ended: clients hear that their comms are closed. */
export function loseComms(kernel: Kernel) {
  const parent = kernel.parents.get(kernel.running?.run ?? kernel.runs) ?? {};
  for (const comm_id of kernel.comms.keys()) kernel.transport.publish("comm_close", { comm_id, data: {} }, parent);
  kernel.comms.clear();
  for (const { finish } of kernel.deliveries.values()) finish();
  for (const answer of kernel.questions.values()) answer({ failed: "the process of the cells has ended" });
}

/** Asks the handlers of messages to end until they have; those beside a cell end with it. */
export function interruptDeliveries(kernel: Kernel, repeatMs: number) {
  for (const [run, delivery] of kernel.deliveries) {
    if (delivery.interrupted) continue;
    delivery.interrupted = true;
    const press = () => {
      if (kernel.deliveries.get(run) !== delivery) return;
      kernel.worker.interrupt(run);
      setTimeout(press, repeatMs);
    };
    press();
  }
}
