// Random numbers against jax.random, and equal in eager, jit and on WASM.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { jit, random, tf, useDevice } from "@whetstone/engine";

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

const draws = (key: tf.Tensor) => ({
  split2: tf.stack(random.split(key)),
  split5: tf.stack(random.split(key, 5)),
  fold7: random.fold(key, 7),
  bits: random.bits(key, [3, 5]),
  uniform: random.uniform(key, [2, 4]),
  uniformRange: random.uniform(key, [7], -3, 5),
  normal: random.normal(key, [33]),
  bernoulli: random.bernoulli(key, 0.3, [40]),
});

function matchesJax(how: (key: tf.Tensor) => Record<string, tf.Tensor>) {
  for (const wanted of cases) {
    const found = how(random.key(wanted.seed));
    for (const name of ["split2", "split5", "fold7", "bits", "uniform"]) {
      assert.deepEqual(data(found[name]), wanted[name], `${name} of seed ${wanted.seed}`);
    }
    assert.deepEqual(data(found.bernoulli), wanted.bernoulli.map(Number));
    close(data(found.uniformRange), wanted.uniformRange, 1e-6);
    close(data(found.normal), wanted.normal, 1e-5);
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

  it("is fresh inside jit when the key is folded with a step", () => {
    const mask = jit((key: tf.Tensor, step: tf.Tensor) => random.bernoulli(random.fold(key, step), 0.5, [64]));
    const key = random.key(3);
    const masks = [0, 1, 0].map((t) => data(mask(key, tf.scalar(t, "int32"))).join(""));
    assert.equal(masks[0], masks[2]);
    assert.notEqual(masks[0], masks[1]);
    assert.equal(masks[1], data(random.bernoulli(random.fold(key, 1), 0.5, [64])).join(""));
  });

  it("names a wrong key and a wrong seed", () => {
    assert.throws(() => random.normal(tf.ones([2]), [3]), /must be int32\[2\].*float32\[2\]/);
    assert.throws(() => random.key(1.5), /seed 1.5/);
  });
});
