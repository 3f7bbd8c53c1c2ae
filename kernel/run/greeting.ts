// The start of a kernel: it is asked until it has answered and its output can be heard.

export interface Greeting {
  name: string;
  /** Asks for the kernel's info. */
  ask(): { id: string; info: Promise<Record<string, any>> };
  /** Calls back with the id of each request whose `idle` is heard. */
  onIdle(take: (id: string) => void): void;
  /** Settles when the kernel has died. */
  died: Promise<Error>;
  /** Milliseconds. */
  startTimeout: number;
  abort?: AbortSignal;
}

const firstPauseMs = 500;

/** Resolves to the kernel's info. Output of earlier requests may have been sent before the subscription was there: hence more than one. */
export async function greet({ name, ask, onIdle, died, startTimeout, abort }: Greeting): Promise<Record<string, any>> {
  const audible = Promise.withResolvers<void>();
  const end = Promise.withResolvers<never>();
  const asked = new Set<string>();
  onIdle((id) => asked.has(id) && audible.resolve());
  void died.then(end.reject);
  end.promise.catch(() => {});
  const late = new Error(`kernel ${name} did not answer within ${startTimeout / 1000} s of its start`);
  const timer = setTimeout(end.reject, startTimeout, late);
  const stop = () => end.reject(abort!.reason);
  abort?.addEventListener("abort", stop);
  let again: NodeJS.Timeout | undefined;
  const askOften = (pause: number) => {
    const { id, info } = ask();
    asked.add(id);
    // The later questions are only there for their `idle`; a kernel answers all of them, in order.
    info.catch(() => {});
    again = setTimeout(askOften, pause, pause * 2);
    return info;
  };
  try {
    const info = await Promise.race([askOften(firstPauseMs), end.promise]);
    await Promise.race([audible.promise, end.promise]);
    return info;
  } finally {
    abort?.removeEventListener("abort", stop);
    clearTimeout(timer);
    clearTimeout(again);
    onIdle(() => {});
  }
}
