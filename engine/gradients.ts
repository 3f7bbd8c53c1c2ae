// Gradients that tfjs-core 4.22 lacks or has wrong. They are made of tfjs ops, so they hold on every backend and inside jit.
import * as tf from "@tensorflow/tfjs-core";
import { einsumGradient } from "./einsum.ts";

type Gradient = (dy: any, saved: any[], attrs: any) => Record<string, () => tf.Tensor>;

/** Registers the gradients, in place of those of tfjs-core where it has some. */
export function registerGradients(): void {
  const register = (
    kernelName: string,
    saved: Pick<tf.GradConfig, "inputsToSave" | "outputsToSave" | "saveAllInputs">,
    gradient: Gradient,
  ) => {
    if (tf.getGradient(kernelName)) tf.unregisterGradient(kernelName);
    tf.registerGradient({ kernelName, gradFunc: gradient as tf.GradFunc, ...saved });
  };

  register("Einsum", { saveAllInputs: true }, (dy, inputs, { equation }) => einsumGradient(equation, inputs, dy));

  register("GatherNd", { inputsToSave: ["params", "indices"] }, (dy, [params, indices]) => ({
    params: () => tf.scatterND(indices, dy, params.shape),
    indices: () => tf.zerosLike(indices),
  }));

  register("ScatterNd", { inputsToSave: ["indices"] }, (dy, [indices]) => ({
    indices: () => tf.zerosLike(indices),
    updates: () => tf.gatherND(dy, indices),
  }));

  register("TensorScatterUpdate", { inputsToSave: ["indices", "updates"] }, (dy, [indices, updates]) => ({
    tensor: () => tf.tensorScatterUpdate(dy, indices, tf.zerosLike(updates)),
    indices: () => tf.zerosLike(indices),
    updates: () => tf.gatherND(dy, indices),
  }));

  register("SparseToDense", { inputsToSave: ["sparseIndices", "sparseValues"] }, (dy, [indices, values]) => {
    // One index per row; a vector of indices is of a vector.
    const rows = () => (indices.rank < 2 ? tf.reshape(indices, [-1, 1]) : indices);
    const taken = () => tf.gatherND(dy, rows());
    return {
      sparseIndices: () => tf.zerosLike(indices),
      sparseValues: () => (values.rank === 0 ? tf.sum(taken()) : taken()),
      defaultValue: () => tf.sub(tf.sum(dy), tf.sum(taken())),
    };
  });

  register("TopK", { inputsToSave: ["x"], outputsToSave: [false, true] }, ([dy], [x, indices]) => ({
    x: () => {
      const width = x.shape[x.rank - 1];
      const rows = x.size / width;
      const starts = tf.reshape(tf.mul(tf.range(0, rows, 1, "int32"), tf.scalar(width, "int32")), [rows, 1]);
      const flat = tf.reshape(tf.add(tf.reshape(indices, [rows, -1]), starts), [-1]) as tf.Tensor1D;
      return tf.reshape(tf.unsortedSegmentSum(tf.reshape(dy, [-1]), flat, x.size), x.shape);
    },
  }));

  register("StridedSlice", { inputsToSave: ["x"] }, (dy, [x], attrs) => ({
    x: () => {
      const { begin, end, strides } = tf.slice_util.sliceInfo(
        x.shape,
        attrs.begin,
        attrs.end,
        attrs.strides,
        attrs.beginMask,
        attrs.endMask,
        attrs.ellipsisMask,
        attrs.newAxisMask,
        attrs.shrinkAxisMask,
      );
      const counts = x.shape.map((_: number, i: number) => Math.max(0, Math.ceil((end[i] - begin[i]) / strides[i])));
      // Along each axis, put row j of dy back where it came from and a zero everywhere else.
      let dx = tf.reshape(dy, counts);
      x.shape.forEach((size: number, axis: number) => {
        const taken = counts[axis];
        if (taken === size && strides[axis] === 1) return;
        const source = new Int32Array(size).fill(taken);
        for (let j = 0; j < taken; j++) source[begin[axis] + j * strides[axis]] = j;
        const padded = tf.pad(
          dx,
          dx.shape.map((_: number, i: number) => [0, i === axis ? 1 : 0]),
        );
        dx = tf.gather(padded, tf.tensor1d(source, "int32"), axis);
      });
      return dx;
    },
  }));

  // tfjs-core's own transposes the result when the axis is not the last.
  register("Cumsum", { inputsToSave: [] }, (dy, _saved, { axis, exclusive, reverse }) => ({
    x: () => tf.cumsum(dy, axis, exclusive, !reverse),
  }));

  // dx_i is the sum of dy_j * y_j / x_i. The quotient fails at a zero, so the first zero of a line is set to 1 (then the
  // quotient is the product of the others), and behind it all products are zero.
  register("Cumprod", { inputsToSave: ["x"] }, (dy, [x], { axis, exclusive, reverse }) => ({
    x: () => {
      const isZero = tf.equal(x, 0);
      const zeros = tf.cumsum(tf.cast(isZero, "float32"), axis, false, reverse);
      const before = tf.equal(zeros, 0);
      const first = tf.logicalAnd(isZero, tf.equal(zeros, 1));
      const back = (factor: tf.Tensor) =>
        tf.cumsum(tf.mul(dy, tf.cumprod(factor, axis, exclusive, reverse)), axis, exclusive, !reverse);
      const plain = tf.div(back(x), tf.where(before, x, tf.onesLike(x)));
      const atZero = back(tf.where(first, tf.onesLike(x), x));
      return tf.where(before, plain, tf.where(first, atZero, tf.zerosLike(x)));
    },
  }));

  register("DepthToSpace", { inputsToSave: [] }, (dy, _saved, { blockSize: b }) => ({
    x: () => {
      const [batch, height, width, depth] = dy.shape;
      const blocks = tf.reshape(dy, [batch, height / b, b, width / b, b, depth]);
      return tf.reshape(tf.transpose(blocks, [0, 1, 3, 2, 4, 5]), [batch, height / b, width / b, b * b * depth]);
    },
  }));

  register("Diag", { inputsToSave: ["x"] }, (dy, [x]) => ({
    x: () => {
      const diagonal = Int32Array.from({ length: x.size }, (_, i) => i * (x.size + 1));
      return tf.reshape(tf.gather(tf.reshape(dy, [-1]), tf.tensor1d(diagonal, "int32")), x.shape);
    },
  }));

  register("FlipLeftRight", { inputsToSave: [] }, (dy) => ({ image: () => tf.reverse(dy, 2) }));

  // tfjs-core's own do not sum over the axes that were broadcast.
  const compared = (name: string, takes: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor) =>
    register(name, { inputsToSave: ["a", "b"] }, (dy, [a, b]) => ({
      a: () => unbroadcast(tf.mul(dy, tf.cast(takes(a, b), "float32")), a.shape),
      b: () => unbroadcast(tf.mul(dy, tf.cast(tf.logicalNot(takes(a, b)), "float32")), b.shape),
    }));
  compared("Maximum", tf.greaterEqual);
  compared("Minimum", tf.lessEqual);
  register("SquaredDifference", { inputsToSave: ["a", "b"] }, (dy, [a, b]) => {
    const slope = () => tf.mul(tf.mul(dy, 2), tf.sub(a, b));
    return { a: () => unbroadcast(slope(), a.shape), b: () => unbroadcast(tf.neg(slope()), b.shape) };
  });
  register("BatchMatMul", { inputsToSave: ["a", "b"] }, (dy, [a, b], { transposeA, transposeB }) => ({
    a: () =>
      unbroadcast(transposeA ? tf.matMul(b, dy, transposeB, true) : tf.matMul(dy, b, false, !transposeB), a.shape),
    b: () =>
      unbroadcast(transposeB ? tf.matMul(dy, a, true, transposeA) : tf.matMul(a, dy, !transposeA, false), b.shape),
  }));
  // A vector as condition chooses rows.
  register("Select", { inputsToSave: ["condition"] }, (dy, [condition]) => {
    const chosen = () => tf.reshape(condition, [...condition.shape, ...dy.shape.slice(condition.rank).fill(1)]);
    const masked = (mask: tf.Tensor) => tf.mul(dy, tf.cast(mask, "float32"));
    return {
      condition: () => tf.cast(tf.zerosLike(condition), "float32"),
      t: () => masked(chosen()),
      e: () => masked(tf.logicalNot(chosen())),
    };
  });
  // tfjs-core's own is that of the division; a step function has none.
  register("FloorDiv", { inputsToSave: ["a", "b"] }, (_dy, [a, b]) => ({
    a: () => tf.zerosLike(a),
    b: () => tf.zerosLike(b),
  }));
  // tfjs-core's own fail when there is one output only, and MirrorPad's forgets the mirrored values.
  register("Unpack", {}, (dy, _saved, { axis }) => ({ value: () => tf.stack([dy].flat(), axis) }));
  register("SplitV", {}, (dy, _saved, { axis }) => ({ x: () => tf.concat([dy].flat(), axis) }));
  register("MirrorPad", { inputsToSave: ["x"] }, (dy, [x], { paddings, mode }) => ({
    x: () => {
      const skip = mode === "reflect" ? 1 : 0;
      return (paddings as [number, number][]).reduce((sum: tf.Tensor, [before, after], axis) => {
        const size = x.shape[axis];
        const part = (from: number, length: number) => {
          const begin = sum.shape.map((_, i) => (i === axis ? from : 0));
          return tf.slice(
            sum,
            begin,
            sum.shape.map((n, i) => (i === axis ? length : n)),
          );
        };
        const place = (mirrored: tf.Tensor, at: number) =>
          tf.pad(
            tf.reverse(mirrored, axis),
            sum.shape.map((_, i) => (i === axis ? [at, size - at - mirrored.shape[axis]] : [0, 0])),
          );
        let out = part(before, size);
        if (before) out = tf.add(out, place(part(0, before), skip));
        if (after) out = tf.add(out, place(part(before + size, after), size - after - skip));
        return out;
      }, dy);
    },
  }));
}

/** Sums over the axes along which a tensor of `shape` was broadcast. */
function unbroadcast(x: tf.Tensor, shape: number[]): tf.Tensor {
  const missing = x.rank - shape.length;
  const axes = x.shape.map((_, i) => i).filter((i) => i < missing || (shape[i - missing] === 1 && x.shape[i] !== 1));
  return tf.reshape(axes.length ? tf.sum(x, axes) : x, shape);
}
