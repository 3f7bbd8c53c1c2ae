// For `node --import`: ends the process when its parent is gone, from a thread of its own, since the main one may be in a collective that
// waits for others.
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { endWithParent } from "./end-with-parent.ts";

const MARK = "whetstone: end with parent";

if (isMainThread) {
  new Worker(new URL(import.meta.url), { execArgv: [], workerData: MARK }).unref();
} else if (workerData === MARK) {
  endWithParent(() => process.kill(process.pid, "SIGKILL"));
  // The timer alone does not keep a thread alive.
  setInterval(() => {}, 2 ** 30);
}
