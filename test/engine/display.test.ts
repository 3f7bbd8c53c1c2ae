// What a tensor shows in a notebook.
import assert from "node:assert/strict";
import { tf } from "@whetstone/engine";

const show = (t: tf.Tensor): Record<string, string> => (t as any)[Symbol.for("Jupyter.display")]();

describe("display of tensors", () => {
  it("gives dtype, shape, statistics and first values", () => {
    const { "text/plain": text, "text/html": html } = show(
      tf.tensor([
        [1, 2],
        [3, 4.5],
      ]),
    );
    assert.equal(text, "Tensor float32[2,2]\nmin 1, mean 2.625, max 4.500\n[1, 2, 3, 4.500]");
    assert.equal(html.match(/<rect /g)!.length, 4);
  });

  it("counts NaN and Inf and paints them red", () => {
    const { "text/plain": text, "text/html": html } = show(tf.tensor([1, Number.NaN, Number.POSITIVE_INFINITY]));
    assert.match(text, /min 1, mean 1, max 1; 1 NaN, 1 Inf/);
    assert.equal(html.match(/fill="#c00"/g)!.length, 2);
  });

  it("samples large tensors and keeps the heat map at 32 x 32", () => {
    const { "text/plain": text, "text/html": html } = show(tf.ones([1000, 300]));
    assert.match(text, /sampled \d+ of 300000/);
    assert.equal(html.match(/<rect /g)!.length, 32 * 32);
    assert.ok(html.length < 100_000);
  });

  it("shows scalars, bools, strings and empty tensors", () => {
    assert.match(show(tf.scalar(2))["text/plain"], /float32\[\]\nmin 2, mean 2, max 2\n\[2\]/);
    assert.match(show(tf.tensor([true, false]))["text/plain"], /\[true, false\]/);
    assert.match(show(tf.tensor(["a"]))["text/plain"], /string\[1\].*a/s);
    assert.match(show(tf.tensor([], [0, 2]))["text/plain"], /float32\[0,2\], empty/);
  });

  it("says that a tensor is disposed", () => {
    const t = tf.ones([2]);
    t.dispose();
    assert.match(show(t)["text/plain"], /float32\[2\], disposed/);
  });
});
