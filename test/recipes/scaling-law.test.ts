// The power law against scipy.stats.linregress (test/fixtures/power_law.py).
import assert from "node:assert/strict";
import { powerLaw } from "../../recipes/train/scaling-law.ts";
import cases from "../fixtures/power_law.json" with { type: "json" };

describe("powerLaw", () => {
  it("equals scipy's line in log and log to 1e-9", () => {
    for (const { sizes, losses, floor, fit } of cases) {
      const mine = powerLaw(sizes, losses, { floor });
      for (const key of ["a", "exponent", "r2"] as const)
        assert.ok(Math.abs(mine[key] / fit[key] - 1) < 1e-9, `${key}: ${mine[key]}, scipy ${fit[key]}`);
      const log = Math.log(mine.at(sizes[2]) - floor);
      assert.ok(Math.abs(log - (Math.log(fit.a) - fit.exponent * Math.log(sizes[2]))) < 1e-9);
    }
  });

  it("foretells what follows the law", () => {
    const law = (n: number) => 1 + 20 * n ** -0.3;
    const fit = powerLaw([1e3, 1e4, 1e5], [1e3, 1e4, 1e5].map(law), { floor: 1 });
    assert.ok(Math.abs(fit.at(1e7) - law(1e7)) < 1e-12);
  });

  it("refuses what has no logarithm, no spread or no pair", () => {
    assert.throws(() => powerLaw([1, 2, 3], [1, 2, 1], { floor: 1 }), /size 1 has loss 1; wanted .* above 1/);
    assert.throws(() => powerLaw([1, 2, 0], [1, 2, 1]), /size 0 has loss 1/);
    assert.throws(() => powerLaw([5, 5, 5], [1, 2, 3]), /all sizes are 5/);
    assert.throws(() => powerLaw([1, 2], [1, 2]), /2 sizes and 2 losses; wanted .* three or more/);
    assert.throws(() => powerLaw([1, 2, 3], [1, 2]), /3 sizes and 2 losses/);
  });
});
