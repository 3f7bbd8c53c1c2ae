// Errors that say all there is to say: they pass as they are.
const finished = new WeakSet<Error>();

/** Marks an error as complete. */
export function finish<E extends Error>(error: E): E {
  finished.add(error);
  return error;
}

export const isFinished = (error: Error) => finished.has(error);
