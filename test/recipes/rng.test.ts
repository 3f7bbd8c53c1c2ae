// Random numbers: the published ones, the same for ever, independent by name, of the right shape.
import assert from "node:assert/strict";
import { rng, threefry } from "../../recipes/core/rng.ts";
import "@whetstone/engine";

describe("rng", () => {
  it("threefry2x32 gives the published vectors (Random123's kat_vectors, 20 rounds)", () => {
    const hex = ([a, b]: [number, number]) => [a, b].map((word) => word.toString(16).padStart(8, "0")).join(" ");
    assert.equal(hex(threefry(0, 0, 0, 0)), "6b200159 99ba4efe");
    const ones = 0xffffffff;
    assert.equal(hex(threefry(ones, ones, ones, ones)), "1cb996fc bb002be7");
    assert.equal(hex(threefry(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3)), "c4923a9c 483df7a0");
  });

  it("gives the numbers it has always given: the zoo and every notebook depend on them", () => {
    const one = rng(1);
    assert.deepEqual([one.next(), one.int(1000), one.int(1000)], [0.7039437263423627, 57, 10]);
    assert.deepEqual(
      [rng(1).fork("init").next(), rng(1).fork(7).next(), rng(2 ** 40 + 1).next()],
      [0.9564158307553603, 0.05386556628967287, 0.8152013538352831],
    );
    assert.deepEqual(rng(1).shuffle([0, 1, 2, 3, 4, 5, 6, 7]), [7, 2, 3, 1, 4, 6, 0, 5]);
    assert.deepEqual(
      [...rng(1).normal([3]).dataSync()],
      [1.4587897062301636, 0.12769125401973724, -0.9918594360351562],
    );
  });

  it("forks do not depend on what was drawn, and differ by name", () => {
    const [a, b] = [rng(5), rng(5)];
    for (let i = 0; i < 10; i++) a.next();
    assert.equal(a.fork("x").next(), b.fork("x").next());
    const seen = new Set(Array.from({ length: 1000 }, (_, i) => b.fork(i).next()));
    assert.equal(seen.size, 1000);
    assert.notEqual(b.fork("ab").next(), b.fork("ba").next());
    assert.notEqual(b.fork("x").next(), rng(6).fork("x").next());
  });

  it("is uniform, normal and fair where it says so", () => {
    const n = 100_000;
    const values = Array.from(rng(3).normal([n], 2).dataSync());
    const mean = values.reduce((a, b) => a + b) / n;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
    assert.ok(Math.abs(mean) < 0.03 && Math.abs(variance - 4) < 0.08, `${mean}, ${variance}`); // 5 deviations
    const inside = values.filter((x) => Math.abs(x) < 2).length / n;
    assert.ok(Math.abs(inside - 0.6827) < 0.008, `${inside} within one deviation`);
    const draw = rng(4);
    const counts = new Float64Array(7);
    for (let i = 0; i < 70_000; i++) counts[draw.int(7)]++;
    const chi2 = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
    assert.ok(chi2 < 22.5, `chi² ${chi2}, 6 degrees of freedom, p = 0.001`);
    const u = rng(8).uniform([1000], -3, 5).dataSync();
    assert.ok(Math.min(...u) >= -3 && Math.min(...u) < -2.9 && Math.max(...u) < 5 && Math.max(...u) > 4.9);
  });

  it("shuffles all of it, and wants a whole seed", () => {
    const mixed = rng(9).shuffle(Array.from({ length: 100 }, (_, i) => i));
    assert.deepEqual(
      mixed.toSorted((a, b) => a - b),
      Array.from({ length: 100 }, (_, i) => i),
    );
    assert.ok(mixed.filter((x, i) => x === i).length < 10);
    assert.throws(() => rng(0.5), /the seed is 0.5; wanted an integer/);
  });
});
