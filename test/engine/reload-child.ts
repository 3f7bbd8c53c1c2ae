// The child of reload.test.ts: loads the engine, works, loads a copy of it, and works on with tensors of both.
import type * as before from "@whetstone/engine";
import { jit, tf } from "@whetstone/engine";

const variable = tf.variable(tf.fill([3], 2));
const old = tf.add(tf.fill([3], 1), 0);
const f = jit((x: tf.Tensor) => tf.add(tf.mul(x, variable), tf.matMul(tf.ones([1, 3]), tf.ones([3, 1]))));
const values = (x: tf.Tensor) => Array.from(x.dataSync());
const found: Record<string, unknown> = { first: values(f(old).reshape([-1])) };

const after: typeof before = await import(process.argv[2]);
found.another = after.jit !== jit && after.tf === tf;
const g = after.jit(
  (x: tf.Tensor) => after.scan((s: tf.Tensor) => [tf.add(s, x), tf.sum(s)], x, null, { length: 3 })[0],
);
found.oldTensor = values(g(old));
found.oldVariable = values(tf.add(variable, old));
found.oldFunction = values(f(tf.fill([3], 3)).reshape([-1]));
found.asynchronous = values(await g.async(old));
const { grads } = after.valueAndGrad((p: tf.Tensor) => tf.sum(tf.square(p)))(old);
found.grads = values(grads as unknown as tf.Tensor);
const messageOf = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
};
found.message = messageOf(() => tf.add(tf.ones([2, 3]), tf.ones([4])));
found.assign = messageOf(() => after.jit(() => variable.assign(old))());
found.einsum = values(tf.einsum("ij,jk,kl->il", tf.ones([1, 2]), tf.ones([2, 2]), tf.ones([2, 1])));
console.log(JSON.stringify(found));
