// What a cell may use: time, silence, output. The first budget that is used up ends it.

export interface Budgets {
  /** Seconds. */
  cell: number;
  notebook: number;
  start: number;
  /** Without any message from a running cell; Infinity: no limit. */
  silence: number;
  /** Between the interrupt of a cell that is over its budget and the end of its kernel. */
  grace: number;
  /** Megabytes that a cell may show: a loop that prints must not fill the memory and the disk. */
  output: number;
}

export const defaultBudgets: Budgets = {
  cell: 300,
  notebook: 1200,
  start: 60,
  silence: Infinity,
  grace: 5,
  output: 32,
};

/** Which budget was used up, in words. */
export interface Over {
  over: "cell" | "notebook" | "silence" | "output" | "abort";
  reason: string;
}

/** Node's timers cannot wait longer: 24 days. */
const longestTimer = 2 ** 31 - 1;

/** Settles when the first of the budgets is used up, or the run is to end. `budgets.notebook` is what is left of it. */
export function watchBudgets({ cell, notebook, silence, output }: Budgets, abort?: AbortSignal) {
  const { promise: over, resolve: tell } = Promise.withResolvers<Over>();
  const timers: NodeJS.Timeout[] = [];
  const within = (name: Over["over"], seconds: number, reason: string) => {
    if (!Number.isFinite(seconds)) return undefined;
    const timer = setTimeout(() => tell({ over: name, reason }), Math.min(Math.max(1, seconds * 1000), longestTimer));
    timers.push(timer);
    return timer;
  };
  within("cell", cell, `it ran longer than the ${cell} s a cell may take`);
  within("notebook", notebook, "the notebook ran longer than it may take");
  const quiet = within("silence", silence, `it gave no sign of life for ${silence} s`);
  const onAbort = () => tell({ over: "abort", reason: reasonOf(abort!) });
  if (abort?.aborted) onAbort();
  abort?.addEventListener("abort", onAbort, { once: true });
  let characters = 0;
  return {
    over,
    /** The cell has given a sign of life. */
    refresh: () => void quiet?.refresh(),
    /** The cell has shown so many characters more; false when that is more than it may show. */
    show(count: number): boolean {
      characters += count;
      if (characters <= output * 1e6) return true;
      tell({ over: "output", reason: `it showed more than the ${output} MB a cell may show` });
      return false;
    },
    stop() {
      for (const timer of timers) clearTimeout(timer);
      abort?.removeEventListener("abort", onAbort);
    },
  };
}

const reasonOf = ({ reason }: AbortSignal) => (reason instanceof Error ? reason.message : String(reason));
