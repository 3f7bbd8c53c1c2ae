// A kernel must not outlive the program that started it.

const intervalMs = 1000;

/** Calls `gone` once the parent process has ended. A kernel started by the system's first process has no such parent. */
export function watchParent(gone: () => void) {
  const parent = process.ppid;
  if (parent <= 1) return;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    gone();
  }, intervalMs);
  timer.unref();
}
