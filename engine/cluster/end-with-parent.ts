// A process that nobody waits for any more ends itself: what SIGKILL does to its parent, the parent cannot pass on.

/** Calls `end` once the parent of this process is gone. Does not keep the process alive. */
export function endWithParent(end: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    end();
  }, 500);
  timer.unref();
}
