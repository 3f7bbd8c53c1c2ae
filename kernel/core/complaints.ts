// Lines on stderr about what others send: the first ones, then only how many more there were. A flood would fill a disk, or a pipe that nobody reads.

export type Complain = (line: string) => void;

const maxLines = 20;
const pauseMs = 10_000;
const maxLength = 1000;

/** `write` gets at most 20 lines at once, then one every 10 seconds. */
export function createComplaints(write: Complain = console.error): Complain {
  let left = maxLines;
  let more = 0;
  let timer: NodeJS.Timeout | undefined;
  function report() {
    timer = undefined;
    if (more === 0) {
      left = maxLines;
      return;
    }
    write(`${more} more of such lines`);
    more = 0;
    wait();
  }
  function wait() {
    timer ??= setTimeout(report, pauseMs);
    timer.unref();
  }
  return (line) => {
    wait();
    if (left === 0) {
      more++;
      return;
    }
    left--;
    // What others send must not look like lines of the kernel, nor steer a terminal.
    const text = line.slice(0, maxLength).replace(/[^\P{C}\n]/gu, "\u{fffd}");
    write(text.replaceAll("\n", "\n  "));
  };
}
