// Runs the garbage collector when abandoned tensors may hold much: to V8 a tensor is a few hundred bytes of JavaScript, whatever native
// memory stands behind it, so a training loop that drops its old weights would fill the machine before V8 sees a reason to collect.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Bytes that may come on top of what is alive before the collector runs; half of what is alive, when that is more. */
const stepBytes = 2 ** 29;

/** So many tensors are made before a peak is forgotten. */
const WINDOW = 2 ** 14;

/**
 * Watches the bytes of native tensors. What a collection finds is freed by finalizers, once the event loop turns.
 *
 * A training step under `tidy` rises far above what stays and falls again, and a collection on its way finds nothing. So what was
 * disposed does not lower the mark: it stands above the last peak, and comes down with what finalizers free, or when no such peak
 * has come for a while.
 */
export function watchPressure(stepBy = stepBytes) {
  let collect: (() => void) | undefined;
  const next = (liveBytes: number) => liveBytes + Math.max(stepBy, liveBytes / 2);
  let collectAt = next(0);
  let made = 0;
  let peak = 0;
  let peakBefore = 0;
  return {
    /** After a tensor was made. */
    grown(liveBytes: number) {
      if (liveBytes > peak) peak = liveBytes;
      if (++made === WINDOW) {
        collectAt = Math.min(collectAt, next(Math.max(peak, peakBefore)));
        peakBefore = peak;
        peak = liveBytes;
        made = 0;
      }
      if (liveBytes < collectAt) return;
      collect ??= exposeCollector();
      collect();
      collectAt = next(liveBytes);
    },
    /** After a finalizer freed an abandoned one. */
    found(bytes: number) {
      collectAt = Math.max(next(0), collectAt - bytes);
    },
  };
}

function exposeCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  setFlagsFromString("--no-expose-gc");
  return () => collect();
}
