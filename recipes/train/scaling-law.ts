// Scaling laws (Kaplan 2020, Hoffmann 2022): over many sizes N the loss falls as a power, so small runs foretell large ones.
//   L(N) = floor + a N^-b          a straight line in log N and log (L - floor), fitted by least squares
// Cost: none beside the runs. Of ten times the size it says something; of a thousand times it is a bet.

export interface PowerLaw {
  a: number;
  /** b: ten times the size makes L - floor 10^b times smaller */
  exponent: number;
  /** share of the variance of log (L - floor) that the line explains */
  r2: number;
  /** the loss foretold for a size */
  at(size: number): number;
}

/**
 * Fits the law to sizes and losses. `floor` is the loss that no size falls below; it is given, not fitted, because a handful of
 * points can not tell it from the exponent.
 */
export function powerLaw(sizes: ArrayLike<number>, losses: ArrayLike<number>, { floor = 0 } = {}): PowerLaw {
  const n = sizes.length;
  if (n !== losses.length || n < 3)
    throw new Error(`powerLaw: ${n} sizes and ${losses.length} losses; wanted as many of both, three or more.`);
  const points = Array.from({ length: n }, (_, i) => {
    if (!(sizes[i] > 0 && losses[i] > floor))
      throw new Error(
        `powerLaw: size ${sizes[i]} has loss ${losses[i]}; wanted a size above 0 and a loss above ${floor}.`,
      );
    return [Math.log(sizes[i]), Math.log(losses[i] - floor)];
  });
  const mean = (of: (point: number[]) => number) => points.reduce((sum, point) => sum + of(point), 0) / n;
  const [x, y] = [mean((p) => p[0]), mean((p) => p[1])];
  const spread = (i: number, j: number) => mean((p) => (p[i] - [x, y][i]) * (p[j] - [x, y][j]));
  if (!spread(0, 0)) throw new Error(`powerLaw: all sizes are ${sizes[0]}; wanted different ones.`);
  const slope = spread(0, 1) / spread(0, 0);
  const a = Math.exp(y - slope * x);
  const r2 = spread(1, 1) ? spread(0, 1) ** 2 / (spread(0, 0) * spread(1, 1)) : 1;
  return { a, exponent: -slope, r2, at: (size) => floor + a * size ** slope };
}
