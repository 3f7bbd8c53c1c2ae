// The numbers that the main thread of the user's process shares with its interrupt thread: what each slot of the array says.

export const slots = {
  /** The run whose code is on, 0 when none is, its negative once the interrupt thread has claimed it. */
  running: 0,
  /** 1 when the main loop has got the thread's message. */
  heard: 1,
  /** Of the claimed run, see below. */
  termination: 2,
} as const;

/**
 * `none`: nothing claimed, or no other termination may come. `due`: on its way. `over`: it has struck. From `over` the thread may go back to
 * `due`, for code that the inspector itself calls, such as a getter; the main thread goes on to `none`. Only one of them can.
 */
export const terminations = { none: 0, due: 1, over: 2 } as const;
