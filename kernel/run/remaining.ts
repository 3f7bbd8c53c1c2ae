// How long a run will still take, from how long its notebooks took the last time.

export interface Running {
  elapsed: number;
  /** Seconds of the last time; unknown for a new one. */
  expected?: number;
}

/**
 * Seconds until all is done: each waiting notebook goes to the worker that is free first, the longest first, as the run itself does it. Unknown ones
 * count as the mean of the known. Undefined when none is known.
 */
export function secondsLeft(
  waiting: readonly (number | undefined)[],
  running: readonly Running[],
  workers: number,
): number | undefined {
  const known = [...waiting, ...running.map(({ expected }) => expected)].filter((each) => each !== undefined);
  if (known.length === 0) return undefined;
  const mean = known.reduce((sum, each) => sum + each, 0) / known.length;
  // One that takes longer than the last time will hopefully end soon: there is nothing better to say.
  const free = running.map(({ elapsed, expected = mean }) => Math.max(0, expected - elapsed));
  while (free.length < workers) free.push(0);
  for (const seconds of waiting.map((each) => each ?? mean).sort((a, b) => b - a)) {
    const first = free.indexOf(Math.min(...free));
    free[first]! += seconds;
  }
  return Math.max(...free);
}

/** "40 s", "3 min", "1 h 20 min": more digits would promise too much. */
export function roughly(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
