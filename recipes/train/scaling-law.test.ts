// Runs as it is: node --test scaling-law.test.ts
import assert from "node:assert/strict";
import { test } from "node:test";
import { powerLaw } from "./scaling-law.ts";

test("finds the law that made the losses, and foretells by it", () => {
  const sizes = [1e3, 1e4, 1e5];
  const law = (size: number) => 1 + 20 * size ** -0.3;
  const { a, exponent, r2, at } = powerLaw(sizes, sizes.map(law), { floor: 1 });
  for (const [found, wanted] of [
    [a, 20],
    [exponent, 0.3],
    [r2, 1],
    [at(1e7), law(1e7)],
  ])
    assert.ok(Math.abs(found - wanted) < 1e-9, `${found}; wanted ${wanted}`);
});

test("points beside the line lower r²", () => {
  const fit = powerLaw([1, Math.E, Math.E ** 2], [Math.E, 1, 1]); // logarithms: 0, 1, 2 and 1, 0, 0
  assert.ok(Math.abs(fit.exponent - 0.5) < 1e-12 && Math.abs(fit.r2 - 0.75) < 1e-12);
  const flat = powerLaw([1, 2, 3], [5, 5, 5]);
  assert.deepEqual([flat.exponent + 0, flat.r2, flat.at(9)], [0, 1, Math.exp(Math.log(5))]);
  assert.throws(() => powerLaw([1, 2, 3], [1, 0, 1]), /size 2 has loss 0/);
  assert.throws(() => powerLaw([1, 2], [1, 2]), /three or more/);
});
