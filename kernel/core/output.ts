// Collects text before it is published: a message for every console.log would drown a front end.

type StreamName = "stdout" | "stderr";

/** Milliseconds between two stream messages. Below 100, so that clients that wait so long for more output get all of it. */
const intervalMs = 25;
/** Beyond so many changes between stdout and stderr in one interval, their order gives way to the number of messages. */
const maxPieces = 20;

/** Text is published at once when none was for a while, else every 25 ms. */
export function createOutput(publish: (run: number, name: StreamName, text: string) => void) {
  let pending: { run: number; name: StreamName; parts: string[] }[] = [];
  let timer: NodeJS.Timeout | undefined;
  let published = 0;
  function flush() {
    clearTimeout(timer);
    timer = undefined;
    published = performance.now();
    for (const { run, name, parts } of pending) publish(run, name, parts.join(""));
    pending = [];
  }
  return {
    write(run: number, name: StreamName, text: string) {
      const isSame = (piece: { run: number; name: StreamName }) => piece.run === run && piece.name === name;
      const same = pending.length < maxPieces ? pending.slice(-1).find(isSame) : pending.findLast(isSame);
      if (same === undefined) pending.push({ run, name, parts: [text] });
      else same.parts.push(text);
      if (performance.now() - published > intervalMs) flush();
      else timer ??= setTimeout(flush, intervalMs);
    },
    /** Publishes what waits: before every other message of a run, and at its end. */
    flush,
  };
}
