// Random numbers against jax.random, and equal in eager, jit and on WASM.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { jit, random, scan, tf, useDevice } from "@whetstone/engine";

const { cases } = JSON.parse(readFileSync(`${import.meta.dirname}/fixtures/random.json`, "utf8"));
const data = (x: tf.Tensor) => Array.from(x.dataSync());

function close(found: number[], wanted: number[], tolerance: number) {
  assert.equal(found.length, wanted.length);
  found.forEach((x, i) => {
    assert.ok(
      Math.abs(x - wanted[i]) <= tolerance * Math.max(1, Math.abs(wanted[i])),
      `${i}: ${x}, wanted ${wanted[i]}`,
    );
  });
}

const logits = () => tf.tensor2d([0, 1, 2, -1, 3, 0, -2, 1, 0.5, 0.5, 0.5, 0.5], [3, 4]);
const exact =
  "split2 split5 fold7 bits uniform categorical categoricalMany permutation10 permutation2000 permutationRows";

const draws = (key: tf.Tensor) => ({
  split2: tf.stack(random.split(key)),
  split5: tf.stack(random.split(key, 5)),
  fold7: random.fold(key, 7),
  bits: random.bits(key, [3, 5]),
  uniform: random.uniform(key, [2, 4]),
  uniformRange: random.uniform(key, [7], -3, 5),
  normal: random.normal(key, [33]),
  bernoulli: random.bernoulli(key, 0.3, [40]),
  truncatedNormal: random.truncatedNormal(key, [33], -1, 2.5),
  gumbel: random.gumbel(key, [17]),
  categorical: random.categorical(key, logits()),
  categoricalMany: random.categorical(key, logits(), [7, 3]),
  permutation10: random.permutation(key, 10),
  permutation2000: random.permutation(key, 2000),
  permutationRows: random.permutation(key, tf.reshape(tf.range(0, 12, 1, "int32"), [6, 2])),
});

function matchesJax(how: (key: tf.Tensor) => Record<string, tf.Tensor>) {
  for (const wanted of cases) {
    const found = how(random.key(wanted.seed));
    for (const name of exact.split(" ")) {
      assert.deepEqual(data(found[name]), wanted[name], `${name} of seed ${wanted.seed}`);
    }
    assert.deepEqual(data(found.bernoulli), wanted.bernoulli.map(Number));
    close(data(found.uniformRange), wanted.uniformRange, 1e-6);
    for (const name of ["normal", "truncatedNormal", "gumbel"]) close(data(found[name]), wanted[name], 1e-5);
  }
}

describe("random", function () {
  this.timeout(60_000); // XLA compiles

  after(() => useDevice("auto"));

  it("gives JAX's bits eagerly", () => matchesJax(draws));
  it("gives JAX's bits inside jit", () => matchesJax(jit(draws)));
  it("gives JAX's bits on WASM", async () => {
    await useDevice("wasm");
    matchesJax(draws);
    await useDevice("auto");
  });

  it("gives the same bits eagerly, inside jit and in another process, however many are drawn", () => {
    const many = (key: tf.Tensor) => [
      random.bits(key, [1000]),
      random.uniform(key, [1000]),
      random.bernoulli(random.fold(key, 3), 0.1, [1000]),
      random.permutation(key, 3000),
      random.categorical(key, tf.zeros([200, 5])),
    ];
    const hash = (drawn: tf.Tensor[]) =>
      drawn.map((x) => createHash("sha256").update(new Uint8Array(x.dataSync().slice().buffer)).digest("hex"));
    const here = hash(many(random.key(77)));
    assert.deepEqual(hash(jit(many)(random.key(77))), here);
    const script = `import { random, tf } from "@whetstone/engine"; import { createHash } from "node:crypto";
      const many = ${many}; const hash = ${hash}; console.log(JSON.stringify(hash(many(random.key(77)))));`;
    const args = ["--input-type=module-typescript", "-e", script];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", cwd: import.meta.dirname });
    assert.deepEqual(JSON.parse(stdout || JSON.stringify(stderr)), here);
  });

  it("is fresh inside jit when the key is folded with a step", () => {
    const mask = jit((key: tf.Tensor, step: tf.Tensor) => random.bernoulli(random.fold(key, step), 0.5, [64]));
    const key = random.key(3);
    const masks = [0, 1, 0].map((t) => data(mask(key, tf.scalar(t, "int32"))).join(""));
    assert.equal(masks[0], masks[2]);
    assert.notEqual(masks[0], masks[1]);
    assert.equal(masks[1], data(random.bernoulli(random.fold(key, 1), 0.5, [64])).join(""));
  });

  // Fixed keys: the bounds are those of the statistics at 1 in 10 000, and the draws are always the same.
  const n = 50_000;
  /** greatest distance of the empirical distribution from `cdf`, times sqrt(n); above 2.23 once in 10 000 */
  const kolmogorov = (draws: number[], cdf: (x: number) => number) => {
    const sorted = draws.slice().sort((a, b) => a - b);
    const gap = sorted.map((x, i) => Math.max(Math.abs(cdf(x) - i / n), Math.abs((i + 1) / n - cdf(x))));
    return Math.sqrt(n) * gap.reduce((a, b) => Math.max(a, b));
  };
  const moments = (draws: number[]) => {
    const mean = draws.reduce((a, b) => a + b) / n;
    const central = (k: number) => draws.reduce((sum, x) => sum + (x - mean) ** k, 0) / n;
    return { mean, variance: central(2), skew: central(3) / central(2) ** 1.5, kurtosis: central(4) / central(2) ** 2 };
  };
  const within = (name: string, found: number, wanted: number, sd: number) =>
    assert.ok(Math.abs(found - wanted) < 4 * sd, `${name} ${found}, wanted ${wanted} within ${4 * sd}`);

  it("is uniform: moments and Kolmogorov-Smirnov", () => {
    const draws = data(random.uniform(random.key(11), [n], -1, 3));
    const { mean, variance } = moments(draws);
    within("mean", mean, 1, Math.sqrt(16 / 12 / n));
    within("variance", variance, 16 / 12, Math.sqrt(16 ** 2 / 180 / n));
    assert.ok(kolmogorov(draws, (x) => (x + 1) / 4) < 2.23);
    assert.ok(draws.every((x) => x >= -1 && x < 3));
  });

  it("is normal: moments to the fourth and Kolmogorov-Smirnov", async () => {
    const draws = data(random.normal(random.key(12), [n], 2, 3));
    const { mean, variance, skew, kurtosis } = moments(draws);
    within("mean", mean, 2, 3 / Math.sqrt(n));
    within("variance", variance, 9, 9 * Math.sqrt(2 / n));
    within("skew", skew, 0, Math.sqrt(6 / n));
    within("kurtosis", kurtosis, 3, Math.sqrt(24 / n));
    const erf = data(tf.erf(tf.tensor1d(draws.map((x) => (x - 2) / 3 / Math.SQRT2))));
    const cdf = new Map(draws.map((x, i) => [x, (1 + erf[i]) / 2]));
    assert.ok(kolmogorov(draws, (x) => cdf.get(x)!) < 2.23);
  });

  it("is normal within its bounds where it is truncated: Kolmogorov-Smirnov", () => {
    const draws = data(random.truncatedNormal(random.key(17), [n], -1, 2.5));
    assert.ok(draws.every((x) => x > -1 && x < 2.5));
    const phi = (x: number[]) => data(tf.erf(tf.tensor1d(x.map((v) => v / Math.SQRT2)))).map((v) => (1 + v) / 2);
    const [low, high] = phi([-1, 2.5]);
    const below = phi(draws);
    const cdf = new Map(draws.map((x, i) => [x, (below[i] - low) / (high - low)]));
    assert.ok(kolmogorov(draws, (x) => cdf.get(x)!) < 2.23);
    const gumbels = data(random.gumbel(random.key(18), [n]));
    assert.ok(kolmogorov(gumbels, (x) => Math.exp(-Math.exp(-x))) < 2.23);
  });

  it("categorical draws each class as often as it should, and every permutation comes as often as the others", () => {
    const p = [0.1, 0.2, 0.7];
    const drawn = data(random.categorical(random.key(19), tf.log(tf.tensor1d(p)), [n]));
    for (const [k, wanted] of p.entries())
      within(`class ${k}`, drawn.filter((x) => x === k).length / n, wanted, Math.sqrt((wanted * (1 - wanted)) / n));
    const counts = new Map<string, number>();
    const trials = 4800;
    for (let i = 0; i < trials; i++) {
      const order = tf.tidy(() => data(random.permutation(random.fold(random.key(20), i), 4)).join(""));
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    assert.equal(counts.size, 24);
    const each = trials / 24;
    const chi2 = [...counts.values()].reduce((sum, count) => sum + (count - each) ** 2 / each, 0);
    assert.ok(chi2 < 23 + 4 * Math.sqrt(2 * 23), `chi squared ${chi2} of 23 degrees of freedom`);
    const rows = random.permutation(random.key(21), tf.range(0, 1000));
    assert.deepEqual(
      data(rows).sort((a, b) => a - b),
      data(tf.range(0, 1000)),
    );
  });

  it("bernoulli and the words' bits are fair, split keys and steps are independent", () => {
    within("p", data(random.bernoulli(random.key(13), 0.3, [n])).reduce((a, b) => a + b) / n, 0.3, Math.sqrt(0.21 / n));
    const words = data(random.bits(random.key(14), [n]));
    for (let bit = 0; bit < 32; bit++)
      within(`bit ${bit}`, words.filter((word) => (word >>> bit) & 1).length / n, 0.5, 0.5 / Math.sqrt(n));
    const correlation = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0) / n;
    const [k, l] = random.split(random.key(15));
    const [x, y] = [k, l].map((key) => data(random.normal(key, [n])));
    within("correlation of two keys", correlation(x, y), 0, 1 / Math.sqrt(n));
    within(
      "correlation of neighbours",
      correlation(x.slice(0, -1).concat(0), x.slice(1).concat(0)),
      0,
      1 / Math.sqrt(n),
    );
    const [s, t] = [0, 1].map((step) => data(random.normal(random.fold(k, step), [n])));
    within("correlation of two steps", correlation(s, t), 0, 1 / Math.sqrt(n));
  });

  it("tf.multinomial draws each class as often as it should", () => {
    const p = [0.1, 0.2, 0.7];
    const drawn = data(tf.multinomial(tf.log(tf.tensor1d(p)) as tf.Tensor1D, n, 5));
    for (const [k, wanted] of p.entries())
      within(`class ${k}`, drawn.filter((x) => x === k).length / n, wanted, Math.sqrt((wanted * (1 - wanted)) / n));
  });

  it("dropout inside jit is fresh at every step of a scan, keeps the mean, and repeats with its key", () => {
    const run = jit((key: tf.Tensor) =>
      scan(
        (k: tf.Tensor, _: null): [tf.Tensor, tf.Tensor] => {
          const [next, now] = random.split(k);
          const mask = random.bernoulli(now, 0.8, [500]);
          return [next, tf.div(tf.cast(mask, "float32"), 0.8)];
        },
        key,
        null,
        { length: 20 },
      ),
    );
    const [, masks] = run(random.key(16));
    const rows = (masks.arraySync() as number[][]).map((row) => row.map((x) => (x > 0 ? 1 : 0)).join(""));
    assert.equal(new Set(rows).size, 20);
    within("mean", tf.mean(masks).dataSync()[0], 1, Math.sqrt(0.25 / 10_000));
    assert.deepEqual(data(run(random.key(16))[1]), data(masks));
  });

  it("names a wrong key and a wrong seed", () => {
    assert.throws(() => random.normal(tf.ones([2]), [3]), /must be int32\[2\].*float32\[2\]/);
    assert.throws(() => random.key(1.5), /seed 1.5/);
    const key = random.key(0);
    assert.throws(() => random.categorical(key, tf.zeros([2, 3]), [3]), /shape \[3\] must end with .*\[2\]/);
    assert.throws(() => random.categorical(key, tf.scalar(1)), /float32 \[..., n\].*float32\[\]/);
    assert.throws(() => random.truncatedNormal(key, [2], 1, 1), /lower is 1 and upper 1/);
    assert.throws(() => random.permutation(key, -1), /-1 has no rows/);
    assert.throws(() => random.permutation(key, tf.scalar(3)), /a scalar tensor has no rows/);
    assert.deepEqual(data(random.permutation(key, 0)), []);
  });
});
