// A kernel must not outlive the program that started it.

const intervalMs = 250;

/** Read as soon as this file is loaded: until then nobody would notice that it has changed. */
const parent = process.ppid;

/**
 * Calls `gone` once the program that started the kernel has ended: the parent process, or the Jupyter server (`JPY_PARENT_PID`) where a program
 * between the two lives on. A kernel that was started by the system's first process, and by no server, has nobody to follow.
 */
export function watchParent(gone: () => void, env: NodeJS.ProcessEnv = process.env) {
  const server = Number(env.JPY_PARENT_PID);
  const hasServer = Number.isInteger(server) && server > 1 && server !== parent;
  if (parent <= 1 && !hasServer) return;
  const timer = setInterval(look, intervalMs);
  timer.unref();
  look();
  function look() {
    if (process.ppid === parent && (!hasServer || isAlive(server))) return;
    clearInterval(timer);
    gone();
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
