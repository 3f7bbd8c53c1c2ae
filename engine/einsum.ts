// Einstein summation over any number of operands, and its gradient.
import * as tf from "@tensorflow/tfjs-core";

interface Equation {
  /** one label per axis of each operand */
  terms: string[][];
  result: string[];
}

/** Reads `ij,jk->ik`. `...` becomes labels of its own; without an arrow the result has the labels that stand once, in order. */
export function parseEinsum(equation: string, ranks: number[]): Equation {
  const [left, right] = equation.replaceAll(" ", "").split("->");
  const texts = left.split(",");
  if (texts.length !== ranks.length) {
    throw new Error(`einsum: "${equation}" has ${texts.length} operands, but ${ranks.length} were given`);
  }
  let dots = 0;
  const read = (text: string, rank: number) => {
    const [head, tail] = text.split("...").map((part) => [...part]);
    if (!tail) {
      if (head.length !== rank)
        throw new Error(`einsum: "${text}" names ${head.length} axes of an operand of rank ${rank}`);
      return head;
    }
    const hidden = rank - head.length - tail.length;
    if (hidden < 0) throw new Error(`einsum: "${text}" names more axes than an operand of rank ${rank} has`);
    dots = Math.max(dots, hidden);
    // Aligned at the right, as in broadcasting.
    return [...head, ...Array.from({ length: hidden }, (_, i) => `.${hidden - 1 - i}`), ...tail];
  };
  const terms = texts.map((text, i) => read(text, ranks[i]));
  if (right === undefined) {
    const all = terms.flat();
    const once = all.filter((label) => all.indexOf(label) === all.lastIndexOf(label) && !label.startsWith("."));
    return { terms, result: [...Array.from({ length: dots }, (_, i) => `.${dots - 1 - i}`), ...once.sort()] };
  }
  const result = [...right.replace("...", "@")].flatMap((label) =>
    label === "@" ? Array.from({ length: dots }, (_, i) => `.${dots - 1 - i}`) : [label],
  );
  return { terms, result };
}

/** Gradients of every operand: the einsum of the others with dy, onto the operand's labels. */
export function einsumGradient(equation: string, inputs: tf.Tensor[], dy: tf.Tensor): Record<string, () => tf.Tensor> {
  const { terms, result } = parseEinsum(
    equation,
    inputs.map((input) => input.rank),
  );
  return Object.fromEntries(
    inputs.map((input, at) => [
      at,
      () => {
        const others = inputs.map((other, i) => ({ tensor: other, labels: terms[i] })).filter((_, i) => i !== at);
        return project([...others, { tensor: dy, labels: result }], { shape: input.shape, labels: terms[at] });
      },
    ]),
  );
}

interface Labelled {
  tensor: tf.Tensor;
  labels: string[];
}

function project(operands: Labelled[], target: { shape: number[]; labels: string[] }): tf.Tensor {
  // Axes of size 1 carry no information but would clash where the ellipsis broadcasts them.
  const squeezed = operands.map(({ tensor, labels }) => {
    const keep = labels.map((_, i) => i).filter((i) => tensor.shape[i] !== 1);
    const shape = keep.map((i) => tensor.shape[i]);
    return { tensor: tf.reshape(tensor, shape), labels: keep.map((i) => labels[i]) };
  });
  const wanted = target.labels.filter((_, i) => target.shape[i] !== 1);
  // Labels that only the operand itself has were summed over: its gradient is the same all along them. On a diagonal (ii) the
  // gradient stands on the diagonal only.
  const known = new Set(squeezed.flatMap(({ labels }) => labels));
  const distinct = [...new Set(wanted)].filter((label) => known.has(label));
  let found = contract(squeezed, distinct);
  const sizes = new Map(target.labels.map((label, i) => [label, target.shape[i]]));
  const order = [...new Set(wanted)];
  found = tf.reshape(
    found,
    order.map((label) => (known.has(label) ? sizes.get(label)! : 1)),
  );
  found = tf.broadcastTo(found, order.map((label) => sizes.get(label)!) as never);
  // Axes of size 1 of the operand that the others broadcast are absent from `order` and so summed by the contraction.
  if (wanted.length === order.length) return tf.reshape(found, target.shape);
  return tf.reshape(diagonal(found, order, wanted, sizes), target.shape);
}

// [i] onto [i, i]: the value where all equal labels agree, else zero.
function diagonal(x: tf.Tensor, order: string[], wanted: string[], sizes: Map<string, number>): tf.Tensor {
  const shape = wanted.map((label) => sizes.get(label)!);
  const at = order.map((label) => wanted.indexOf(label));
  let spread = tf.reshape(
    tf.transpose(
      x,
      order.map((_, i) => i).sort((i, j) => at[i] - at[j]),
    ),
    wanted.map((label, i) => (wanted.indexOf(label) === i ? sizes.get(label)! : 1)),
  );
  spread = tf.broadcastTo(spread, shape as never);
  wanted.forEach((label, i) => {
    const first = wanted.indexOf(label);
    if (first === i) return;
    const size = sizes.get(label)!;
    const line = (axis: number) =>
      tf.reshape(
        tf.range(0, size, 1, "int32"),
        shape.map((_, j) => (j === axis ? size : 1)),
      );
    spread = tf.mul(spread, tf.cast(tf.equal(line(i), line(first)), x.dtype));
  });
  return spread;
}

/** Contracts two operands at a time, from the left, keeping the labels that are still needed. */
export function contract(operands: Labelled[], result: string[]): tf.Tensor {
  const letters = new Map<string, string>();
  const text = (labels: string[]) =>
    labels
      .map((label) => {
        if (!letters.has(label))
          letters.set(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[letters.size]);
        return letters.get(label);
      })
      .join("");
  let [first, ...rest] = operands;
  if (rest.length === 0) return tf.einsum(`${text(first.labels)}->${text(result)}`, first.tensor);
  while (rest.length) {
    const [second, ...others] = rest;
    const needed = new Set([...result, ...others.flatMap(({ labels }) => labels)]);
    const labels =
      others.length === 0
        ? result
        : [...new Set([...first.labels, ...second.labels])].filter((label) => needed.has(label));
    const equation = `${text(first.labels)},${text(second.labels)}->${text(labels)}`;
    first = { tensor: tf.einsum(equation, first.tensor, second.tensor), labels };
    rest = others;
  }
  return first.tensor;
}
