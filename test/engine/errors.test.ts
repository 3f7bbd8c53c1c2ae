// Mistakes of shape and dtype: the message names the op as it was written, both shapes and the line, eagerly and inside jit.
import assert from "node:assert/strict";
import { jit, tf, useDevice } from "@whetstone/engine";

const line = /at .*errors\.test\.ts:\d+/;
const a = () => tf.ones([2, 3]);
const b = () => tf.ones([4]);
const int = (...values: number[]) => tf.tensor1d(values, "int32");

/** op, the mistake, what the message says besides the op and the line */
const mistakes: [string, () => tf.Tensor | tf.Tensor[], RegExp][] = [
  ...(["add", "sub", "mul", "div", "maximum", "minimum", "pow", "squaredDifference", "mod"] as const).map(
    (name): [string, () => tf.Tensor, RegExp] => [name, () => tf[name](a(), b()), /\[2,3\].*\[4\]/],
  ),
  ["mul", () => a().mul(b()), /\[2,3\].*\[4\]/],
  ["less", () => tf.less(a(), b()), /\[2,3\].*\[4\]/],
  ["matMul", () => tf.matMul(a(), tf.ones([4, 5])), /3 and 4.*\[2,3\] x \[4,5\]/],
  ["matMul", () => tf.matMul(tf.ones([2, 2], "bool"), tf.ones([2, 2], "bool")), /does not take bool.*bool\[2,2\]/],
  ["einsum", () => tf.einsum("ij,jk->ik", a(), a()), /float32\[2,3\], float32\[2,3\]/],
  ["concat", () => tf.concat([a(), tf.ones([4, 4])], 0), /\[2,3\].*\[4,4\]/],
  ["stack", () => tf.stack([a(), b()]), /\[2,3\].*\[4\]/],
  ["reshape", () => tf.reshape(a(), [4]), /float32\[2,3\]/],
  ["transpose", () => tf.transpose(a(), [0, 0]), /float32\[2,3\]/],
  ["slice", () => tf.slice(a(), [0, 2], [2, 4]), /float32\[2,3\]/],
  [
    "pad",
    () =>
      tf.pad(a(), [
        [-1, 0],
        [0, 0],
      ]),
    /float32\[2,3\]/,
  ],
  ["split", () => tf.split(a(), [1, 1], 1), /float32\[2,3\]/],
];
const ownChecks: typeof mistakes = [
  [
    "conv2d",
    () => tf.conv2d(tf.ones<tf.Rank.R4>([1, 4, 4, 2]), tf.ones([3, 3, 3, 2]), 1, "same"),
    /input \(2\).*filter 3/,
  ],
  ["where", () => tf.where(tf.ones([3], "bool"), a(), b()), /\[2,3\] and \[4\]/],
  ["oneHot", () => tf.oneHot(tf.ones([2]), 3), /int32.*float32/],
  ["add", () => tf.add(tf.tensor(["a"]) as never, 1), /string/],
  ["dot", () => tf.dot(tf.ones([3]), b()), /\(3\).*\(4\)|3 and 4/],
  ["softmax", () => tf.softmax(a(), 0), /rank 2.*dim was 0/],
];
mistakes.push(...ownChecks);
/** told only by values, so inside jit there is nothing to tell */
const eagerOnly: typeof mistakes = [
  ["gather", () => tf.gather(a(), int(9)), /9 is not in \[0, 2\).*float32\[2,3\], indices int32\[1\]/],
  ["unsortedSegmentSum", () => tf.unsortedSegmentSum(a(), int(0, 7), 2), /7 is out of range \[0, 2\)/],
  [
    "tile",
    () => tf.tile(tf.ones([1000, 1000]), [1000, 1000]),
    /no memory for float32\[1000000,1000000\] \(4000\.0 GB\)/,
  ],
];

describe("errors of ops", () => {
  before(() => useDevice("auto"));
  const check = (name: string, says: RegExp) => (error: Error) => {
    assert.ok(error.message.startsWith(`${name}: `), error.message);
    assert.match(error.message, says);
    assert.match(error.message, line);
    assert.doesNotMatch(error.message, /\n|NodeDef|\{\{node/);
    return true;
  };
  mistakes.forEach(([name, mistake, says], i) => {
    it(`${name} (${i}), eagerly and inside jit`, () => {
      assert.throws(mistake, check(name, says));
      assert.throws(() => jit(mistake)(), check(name, says));
    });
  });
  for (const [name, mistake, says] of eagerOnly) {
    it(`${name}, by its values`, () => assert.throws(mistake, check(name, says)));
  }

  it("leaves the global Error as it was, also after nested ops failed", () => {
    const before = globalThis.Error;
    assert.throws(() => tf.losses.softmaxCrossEntropy(a(), b()), /^Error: softmaxCrossEntropy: /);
    assert.equal(globalThis.Error, before);
    assert.ok(new Error("x") instanceof before);
  });

  it("what XLA lacks is named", () => {
    const f = jit((x: tf.Tensor4D) => tf.dilation2d(x, tf.ones([2, 2, 1]) as tf.Tensor3D, 1, "same"));
    assert.throws(
      () => f(tf.ones([1, 4, 4, 1]) as tf.Tensor4D),
      /jit\(anonymous\): XLA has no Dilation2D.*outside.*errors\.test\.ts/,
    );
    const g = jit((x: tf.Tensor) => tf.string.staticRegexReplace(x, "a", "b"));
    assert.throws(() => g(tf.tensor(["a"])), /strings cannot be used in a compiled function/);
  });

  it("an error of the user's own code passes as it is", () => {
    const own = new TypeError("mine");
    assert.throws(
      jit(() => {
        throw own;
      }),
      (error) => error === own && own.message === "mine",
    );
  });
});
