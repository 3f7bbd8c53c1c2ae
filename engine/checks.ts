// Arguments that TensorFlow does not check itself: some mistakes it finds only while it compiles, too late to name the op, and on
// some it ends the process.
import * as tf from "@tensorflow/tfjs-core";

const same = (what: string, found: readonly number[], wanted: readonly number[]) => {
  if (found.length !== wanted.length || found.some((n, i) => n !== wanted[i]))
    throw new Error(`${what} must be [${wanted}], but is [${found}]`);
};

function pool2d({ dy, input }: any, { filterSize, strides, pad, dimRoundingMode }: any) {
  const { outShape } = tf.backend_util.computePool2DInfo(input.shape, filterSize, strides, 1, pad, dimRoundingMode);
  same("dy", dy.shape, outShape);
}

function pool3d({ dy, input }: any, { filterSize, strides, pad, dimRoundingMode }: any) {
  const { outShape } = tf.backend_util.computePool3DInfo(input.shape, filterSize, strides, 1, pad, dimRoundingMode);
  same("dy", dy.shape, outShape);
}

// indices [...batch, depth], updates [...batch, ...rest], where the first `depth` sizes of shape are indexed and rest remain.
function scatter(indices: tf.TensorInfo, updates: tf.TensorInfo, shape: number[]) {
  const depth = indices.shape.length > 1 ? indices.shape[indices.shape.length - 1] : 1;
  const batch = indices.shape.slice(0, Math.max(1, indices.shape.length - 1));
  if (indices.shape.length === 0 || depth > shape.length)
    throw new Error(`indices [${indices.shape}] do not fit a tensor of shape [${shape}]`);
  same("updates", updates.shape, [...batch, ...shape.slice(depth)]);
}

// TensorFlow takes sizes as int32: a larger one would arrive as a negative number.
const fits = (shape: number[]) => {
  if (shape.some((n) => n >= 2 ** 31)) throw new Error(`no memory for [${shape}]: an axis has at most ${2 ** 31 - 1}`);
};

/** By the kernel's name; each throws with what is wrong. */
export const checks: Record<string, (inputs: any, attrs: any) => void> = {
  Transpose({ x }, { perm }) {
    if (x && (perm.length !== x.shape.length || x.shape.some((_: number, i: number) => !perm.includes(i))))
      throw new Error(`[${perm}] is not an order of ${x.shape.length} axes`);
  },
  Slice({ x }, { begin, size }) {
    [begin].flat().forEach((from, i) => {
      const count = [size].flat()[i];
      if (from < 0 || count < -1 || from + Math.max(count, 0) > x?.shape[i])
        throw new Error(`${count} from ${from} on are not within axis ${i}`);
    });
  },
  GatherV2({ x, indices }, { axis, batchDims }) {
    const rank = x.shape.length;
    if (!Number.isInteger(axis) || axis < -rank || axis >= rank) throw new Error(`there is no axis ${axis}`);
    if (!Number.isInteger(batchDims) || Math.abs(batchDims) > Math.min(rank, indices.shape.length))
      throw new Error(`batchDims ${batchDims} are more axes than there are`);
  },
  LinSpace: (_inputs, { num }) => fits([num]),
  BroadcastTo: (_inputs, { shape }) => fits(shape),
  Tile: ({ x }, { reps }) => fits(x.shape.map((n: number, axis: number) => n * reps[axis])),
  PadV2: ({ x }, { paddings }) =>
    fits(x.shape.map((n: number, axis: number) => n + paddings[axis][0] + paddings[axis][1])),
  UnsortedSegmentSum(_inputs, { numSegments }) {
    if (!Number.isInteger(numSegments) || numSegments < 0 || numSegments >= 2 ** 31)
      throw new Error(`numSegments is ${numSegments}`);
  },
  ScatterNd: ({ indices, updates }, { shape }) => scatter(indices, updates, shape),
  TensorScatterUpdate: ({ tensor, indices, updates }) => scatter(indices, updates, tensor.shape),
  AvgPoolGrad: pool2d,
  MaxPoolGrad: pool2d,
  AvgPool3DGrad: pool3d,
  MaxPool3DGrad: pool3d,
};
