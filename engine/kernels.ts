// Kernels that tfjs-core dispatches and tfjs-node-gpu 4.22 does not have, on TensorFlow's ops of the same names.
import * as tf from "@tensorflow/tfjs-core";
import type { TensorFlowBackend } from "./backend.ts";
import { ATTR, castAttrs, type OpAttr, TF_FLOAT, TF_INT32, TF_INT64 } from "./binding.ts";
import { registerIntegerKernels } from "./integers.ts";
import { registerAnew } from "./register.ts";
import { keptAt } from "./replace.ts";

type Inputs = Record<string, tf.TensorInfo>;

const type = (name: string, value: number): OpAttr => ({ name, type: ATTR.type, value });
const int = (name: string, value: number | number[]): OpAttr => ({ name, type: ATTR.int, value });
const bool = (name: string, value: boolean): OpAttr => ({ name, type: ATTR.bool, value });
const string = (name: string, value: string | string[]): OpAttr => ({ name, type: ATTR.string, value });
const pair = (size: number | number[]) => (Array.isArray(size) ? size : [size, size]);

/** An op of TensorFlow on tfjs' tensors; inputs named in `wide` go in as int64, which tfjs does not have. */
function run(
  backend: TensorFlowBackend,
  name: string,
  attrs: OpAttr[],
  inputs: tf.TensorInfo[],
  outputs: number,
  wide: number[] = [],
): tf.Tensor[] {
  const { native } = backend;
  const made: number[] = [];
  const ids = inputs.map((input, i) => {
    const id = backend.idOf(input);
    if (!wide.includes(i)) return id;
    const [cast] = native.executeRaw("Cast", castAttrs(TF_INT32, TF_INT64), [id], 1);
    made.push(cast.id);
    return cast.id;
  });
  try {
    return native
      .executeOp(name, attrs, ids, outputs)
      .map((metadata: { id: number; shape: number[]; dtype: number }) => backend.createOutputTensor(metadata));
  } finally {
    for (const id of made) native.deleteTensor(id);
  }
}

export function registerMissingKernels(): void {
  addMissing();
  registerIntegerKernels();
}

function addMissing(): void {
  const ours = keptAt(tf.engine(), Symbol.for("@whetstone/engine:missing"), () => new Set<string>());
  const register = (
    kernelName: string,
    kernel: (backend: TensorFlowBackend, inputs: any, attrs: any) => tf.TensorInfo | tf.TensorInfo[],
  ) => {
    if (tf.getKernel(kernelName, "tensorflow") && !ours.has(kernelName)) return;
    ours.add(kernelName);
    registerAnew({
      kernelName,
      backendName: "tensorflow",
      kernelFunc: ({ inputs, backend, attrs }) => kernel(backend as TensorFlowBackend, inputs, attrs),
    });
  };
  const dtype = (backend: TensorFlowBackend, tensor: tf.TensorInfo) => backend.native.get(backend.idOf(tensor)).dtype;

  register(
    "BitwiseAnd",
    (backend, { a, b }: Inputs) => run(backend, "BitwiseAnd", [type("T", TF_INT32)], [a, b], 1)[0],
  );

  register("DenseBincount", (backend, { x, weights }: Inputs, { size, binaryOutput }) =>
    tf.tidy(() => {
      const attrs = [type("Tidx", TF_INT32), type("T", dtype(backend, weights)), bool("binary_output", binaryOutput)];
      return run(backend, "DenseBincount", attrs, [x, tf.scalar(size, "int32"), weights], 1)[0];
    }),
  );

  register("SearchSorted", (backend, { sortedSequence, values }: Inputs, { side }) => {
    const attrs = [type("T", dtype(backend, values)), type("out_type", TF_INT32)];
    return run(backend, side === "left" ? "LowerBound" : "UpperBound", attrs, [sortedSequence, values], 1)[0];
  });

  register("MaxPoolWithArgmax", (backend, { x }: Inputs, { filterSize, strides, pad, includeBatchInIndex }) => {
    const attrs = [
      type("T", dtype(backend, x)),
      type("Targmax", TF_INT64),
      int("ksize", [1, ...pair(filterSize), 1]),
      int("strides", [1, ...pair(strides), 1]),
      string("padding", String(pad).toUpperCase()),
      bool("include_batch_in_index", includeBatchInIndex),
    ];
    return run(backend, "MaxPoolWithArgmax", attrs, [x], 2);
  });

  register("Transform", (backend, { image, transforms }: Inputs, attrs) =>
    tf.tidy(() => {
      const [, height, width] = image.shape;
      const size = tf.tensor1d(attrs.outputShape ?? [height, width], "int32");
      const opAttrs = [
        type("dtype", TF_FLOAT),
        string("interpolation", attrs.interpolation.toUpperCase()),
        string("fill_mode", attrs.fillMode.toUpperCase()),
      ];
      const inputs = [image, transforms, size, tf.scalar(attrs.fillValue)];
      return run(backend, "ImageProjectiveTransformV3", opAttrs, inputs, 1)[0];
    }),
  );

  register("RotateWithOffset", (_backend, { image }: Inputs, attrs) => rotate(image as tf.Tensor4D, attrs));

  register("RaggedGather", (backend, { paramsNestedSplits, paramsDenseValues, indices }, { outputRaggedRank }) => {
    // TensorFlow ends the process otherwise.
    const rank = paramsNestedSplits.length + indices.shape.length - 1;
    if (outputRaggedRank !== rank) throw new Error(`outputRaggedRank must be ${rank}, but is ${outputRaggedRank}`);
    const attrs = [
      type("Tvalues", dtype(backend, paramsDenseValues)),
      type("Tindices", TF_INT32),
      type("Tsplits", TF_INT32),
      int("PARAMS_RAGGED_RANK", paramsNestedSplits.length),
      int("OUTPUT_RAGGED_RANK", outputRaggedRank),
    ];
    return run(
      backend,
      "RaggedGather",
      attrs,
      [...paramsNestedSplits, paramsDenseValues, indices],
      outputRaggedRank + 1,
    );
  });

  register("RaggedRange", (backend, { starts, limits, deltas }: Inputs) =>
    run(
      backend,
      "RaggedRange",
      [type("T", dtype(backend, starts)), type("Tsplits", TF_INT32)],
      [starts, limits, deltas],
      2,
    ),
  );

  register("RaggedTensorToTensor", (backend, inputs, { rowPartitionTypes }) => {
    const { shape, values, defaultValue, rowPartitionTensors } = inputs;
    checkPartitions(backend, rowPartitionTensors, rowPartitionTypes);
    const attrs = [
      type("T", dtype(backend, values)),
      type("Tindex", TF_INT32),
      type("Tshape", TF_INT32),
      int("num_row_partition_tensors", rowPartitionTensors.length),
      string("row_partition_types", rowPartitionTypes),
    ];
    return run(backend, "RaggedTensorToTensor", attrs, [shape, values, defaultValue, ...rowPartitionTensors], 1)[0];
  });

  register("SparseFillEmptyRows", (backend, { indices, values, denseShape, defaultValue }: Inputs) => {
    const attrs = [type("T", dtype(backend, values))];
    return run(backend, "SparseFillEmptyRows", attrs, [indices, values, denseShape, defaultValue], 4, [0, 2]);
  });

  register("SparseReshape", (backend, { inputIndices, inputShape, newShape }: Inputs) =>
    run(backend, "SparseReshape", [], [inputIndices, inputShape, newShape], 2, [0, 1, 2]),
  );

  for (const name of ["SparseSegmentMean", "SparseSegmentSum"]) {
    register(name, (backend, { data, indices, segmentIds }: Inputs) => {
      const attrs = [type("T", dtype(backend, data)), type("Tidx", TF_INT32), type("Tsegmentids", TF_INT32)];
      return run(backend, name, attrs, [data, indices, segmentIds], 1)[0];
    });
  }

  register("StringNGrams", (backend, { data, dataSplits }: Inputs, attrs) => {
    const opAttrs = [
      string("separator", attrs.separator),
      int("ngram_widths", attrs.nGramWidths),
      string("left_pad", attrs.leftPad),
      string("right_pad", attrs.rightPad),
      int("pad_width", attrs.padWidth),
      bool("preserve_short_sequences", attrs.preserveShortSequences),
      type("Tsplits", TF_INT32),
    ];
    return run(backend, "StringNGrams", opAttrs, [data, dataSplits], 2);
  });

  register("StringSplit", (backend, { input, delimiter }: Inputs, { skipEmpty }) =>
    run(backend, "StringSplit", [bool("skip_empty", skipEmpty)], [input, delimiter], 3),
  );

  register(
    "StringToHashBucketFast",
    (backend, { input }: Inputs, { numBuckets }) =>
      run(backend, "StringToHashBucketFast", [int("num_buckets", numBuckets)], [input], 1)[0],
  );
}

// TensorFlow ends the process at row splits or row ids that fall.
function checkPartitions(backend: TensorFlowBackend, partitions: tf.TensorInfo[], types: string[]): void {
  if (backend.native.tracer()) return;
  partitions.forEach((partition, i) => {
    const values: Int32Array = backend.native.tensorDataSync(backend.idOf(partition));
    if (values.some((value, j) => value < (j ? values[j - 1] : 0)))
      throw new Error(`${types[i]} must rise from 0, but they are [${values.slice(0, 20)}]`);
  });
}

// Which source pixel goes where is known beforehand, so the rotation is one gather. Pixels from outside get the fill value; a
// colour leaves an alpha channel opaque.
function rotate(
  image: tf.Tensor4D,
  { radians, fillValue, center }: { radians: number; fillValue: number | number[]; center: number | [number, number] },
): tf.Tensor {
  const [batch, height, width, channels] = image.shape;
  const [centerX, centerY] = tf.backend_util.getImageCenter(center, height, width);
  const sin = Math.sin(radians);
  const cos = Math.cos(radians);
  const from = new Int32Array(height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const sourceX = Math.round((x - centerX) * cos - (y - centerY) * sin + centerX);
      const sourceY = Math.round((x - centerX) * sin + (y - centerY) * cos + centerY);
      const inside = sourceX >= 0 && sourceX < width && sourceY >= 0 && sourceY < height;
      from[y * width + x] = inside ? sourceY * width + sourceX : height * width;
    }
  }
  const fill = Array.from({ length: channels }, (_, c) =>
    Array.isArray(fillValue) ? (c === 3 ? 255 : fillValue[c]) : fillValue,
  );
  return tf.tidy(() => {
    const pixels = tf.reshape(image, [batch, height * width, channels]);
    const outside = tf.broadcastTo(tf.tensor(fill, [1, 1, channels], image.dtype), [batch, 1, channels]);
    const rotated = tf.gather(tf.concat([pixels, outside], 1), tf.tensor1d(from, "int32"), 1);
    return tf.reshape(rotated, image.shape);
  });
}
