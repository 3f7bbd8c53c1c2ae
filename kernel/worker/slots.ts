// The numbers that the main thread of the user's process shares with its interrupt thread: what each slot of the array says.

export const slots = {
  /** The run whose code is on, 0 when none is, its negative once the interrupt thread has claimed it. */
  running: 0,
  /** 1 when the main loop has got the thread's message. */
  heard: 1,
  /** 1 when the claimed run has been terminated. */
  terminated: 2,
} as const;
