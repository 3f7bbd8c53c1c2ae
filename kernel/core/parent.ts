// A kernel must not outlive the program that started it.

const intervalMs = 250;

/** Read as soon as this file is loaded: until then nobody would notice that it has changed. */
const parent = process.ppid;

/**
 * Calls `gone` once the program that started the kernel has ended: the parent process, or the Jupyter server (`JPY_PARENT_PID`) where a program
 * between the two lives on. Process 1 takes over what has lost its parent, so it is no parent to follow, unless `JPY_PARENT_PID` says that it is:
 * a kernel that finds itself its child has been left alone while it started. In a container the kernel may be process 1 itself and has no parent.
 */
export function watchParent(gone: () => void, env: NodeJS.ProcessEnv = process.env) {
  if (parent === 0) return;
  const server = Number(env.JPY_PARENT_PID);
  if (parent === 1 && server !== 1) {
    console.error("what started this kernel has ended. Where process 1 starts it, JPY_PARENT_PID=1 says so");
    return gone();
  }
  const hasServer = Number.isInteger(server) && server > 1 && server !== parent;
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
