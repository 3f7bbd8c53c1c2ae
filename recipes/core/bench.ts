// Time and work. Speeds are compared by ratios of interleaved runs: a busy machine slows both sides down.
import * as tf from "@tensorflow/tfjs-core";

/** What is timed; it may return tensors, or a promise of them. */
type Run = () => unknown;

/** Milliseconds of one call, until its tensors are computed; they are freed. */
export async function time(run: Run): Promise<number> {
  const start = performance.now();
  const result = (await run()) as tf.TensorContainer;
  const tensors = tf.tensor_util.getTensorsInContainer(result as any);
  for (const tensor of tensors) await tensor.data(); // accelerators compute later
  const ms = performance.now() - start;
  tf.dispose(tensors);
  return ms;
}

export interface Comparison {
  /** median time of the first over that of each: 2 is twice as fast */
  ratio: Record<string, number>;
  /** medians, in milliseconds */
  median: Record<string, number>;
  /** 95th percentiles, in milliseconds */
  p95: Record<string, number>;
  /** all times, in milliseconds */
  ms: Record<string, number[]>;
}

/** Times the runs in turn (a, b, a, b, ...) for `rounds` rounds, after `warmup` uncounted ones. The first is the baseline. */
export async function compare(runs: Record<string, Run>, { rounds = 9, warmup = 2 } = {}): Promise<Comparison> {
  const names = Object.keys(runs);
  const ms: Record<string, number[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = -warmup; round < rounds; round++) {
    for (const name of names) {
      const took = await time(runs[name]);
      if (round >= 0) ms[name].push(took);
    }
  }
  const each = (f: (times: number[]) => number) => Object.fromEntries(names.map((name) => [name, f(ms[name])]));
  const median = each((times) => quantile(times, 0.5));
  return {
    ratio: each((times) => median[names[0]] / quantile(times, 0.5)),
    median,
    p95: each((t) => quantile(t, 0.95)),
    ms,
  };
}

/** The value below which a share `q` of the values lies, interpolated between neighbours. */
export function quantile(values: number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.ceil(at)] - sorted[low]);
}

/**
 * FLOPs of the matrix products that `run` does, counted in the backend: 2 for each multiply-add. The rest (softmax, norms)
 * is not counted. Runs eagerly: call the function itself, not its jitted form. Its first factors must not be transposed.
 */
export async function countFlops(run: () => tf.TensorContainer): Promise<number> {
  const { kernels } = await tf.profile(() => tf.tidy(() => void run()));
  return kernels
    .filter(({ name }) => name === "BatchMatMul" || name === "_FusedMatMul")
    .reduce((sum, { inputShapes: [a], outputShapes: [out] }) => {
      return sum + 2 * a!.at(-1)! * out.reduce((x, y) => x * y, 1);
    }, 0);
}
