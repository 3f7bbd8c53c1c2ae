// The thread of watchdog.ts.
import { workerData } from "node:worker_threads";
import { collectiveRuntime, taskName } from "./collective-runtime.ts";
import { nameOf } from "./tf-config.ts";
import { ANSWER, LOST, STOP, type WatchdogData } from "./watchdog.ts";

const { library, context, members, rank, state: shared } = workerData as WatchdogData;
const state = new Int32Array(shared);
const runtime = collectiveRuntime(library, context);
const pause = (milliseconds: number) => Atomics.wait(state, STOP, 0, milliseconds) === "timed-out";

function lost(): number | undefined {
  for (const [i, member] of members.entries()) {
    if (i === rank) continue;
    const gone = () => !runtime.answers(taskName(member), ANSWER);
    // Asked twice: one missed answer may be a busy machine.
    if (gone() && pause(300) && gone()) return i;
  }
  return undefined;
}

while (pause(1000)) {
  const found = lost();
  if (found === undefined || Atomics.load(state, STOP)) continue;
  Atomics.store(state, LOST, found + 1);
  runtime.abort(`<<${nameOf(members[found])} does not answer: ended, or out of reach>>`);
  break;
}
