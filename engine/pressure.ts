// Runs the garbage collector when abandoned tensors may hold much: to V8 a tensor is a few hundred bytes of JavaScript, whatever native
// memory stands behind it, so a training loop that drops its old weights would fill the machine before V8 sees a reason to collect.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Bytes that may come on top of what is alive before the collector runs; half of what is alive, when that is more. */
const stepBytes = 2 ** 29;

/** Watches the bytes of native tensors. What a collection finds is freed by finalizers, once the event loop turns. */
export function watchPressure(stepBy = stepBytes) {
  let collect: (() => void) | undefined;
  const next = (liveBytes: number) => liveBytes + Math.max(stepBy, liveBytes / 2);
  let collectAt = next(0);
  return {
    /** After a tensor was made. */
    grown(liveBytes: number) {
      if (liveBytes < collectAt) return;
      collect ??= exposeCollector();
      collect();
      collectAt = next(liveBytes);
    },
    /** After one was freed. */
    shrunk(liveBytes: number) {
      collectAt = Math.min(collectAt, next(liveBytes));
    },
  };
}

function exposeCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  setFlagsFromString("--no-expose-gc");
  return () => collect();
}
