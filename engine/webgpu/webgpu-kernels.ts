// Kernels that tfjs-backend-webgpu 4.22 lacks, and those of its own that are wrong.
import * as tf from "@tensorflow/tfjs-core";
import { contract, parseEinsum } from "../einsum.ts";
import type { WebGpuBackend } from "./webgpu.ts";

type Inputs = Record<string, tf.Tensor>;
/** tfjs' own kernel, on other attributes where they are given */
type Original = (attrs?: object) => tf.TensorInfo | tf.TensorInfo[];
type Kernel = (backend: WebGpuBackend, inputs: any, attrs: any, original: Original) => tf.TensorInfo | tf.TensorInfo[];

/** A shader as tfjs' backend takes it: one thread for each value of the output. */
interface Program {
  variableNames: string[];
  outputShape: number[];
  shaderKey: string;
  workgroupSize: [number, number, number];
  dispatchLayout: { x: number[] };
  dispatch: [number, number, number];
  size: true;
  getUserCode(): string;
}

// Ragged, sparse and string kernels and those whose shape depends on values: the values have to come to JavaScript anyway.
const onTheHost = [
  "NonMaxSuppressionV3",
  "NonMaxSuppressionV4",
  "NonMaxSuppressionV5",
  "RaggedGather",
  "RaggedRange",
  "RaggedTensorToTensor",
  "SparseFillEmptyRows",
  "SparseReshape",
  "StaticRegexReplace",
  "StringSplit",
  "StringToHashBucketFast",
  "Unique",
];

export function registerWebGpuKernels(): void {
  if (tf.getKernel("BitwiseAnd", "webgpu")) return; // an earlier load of the engine has done it

  for (const name of onTheHost) replace(name, (backend, inputs, attrs) => runOnHost(name, backend, inputs, attrs));
  replace("StridedSlice", (backend, inputs: Inputs, attrs, original) =>
    stridedSlice(inputs.x, attrs, (plain) =>
      inputs.x.dtype === "string"
        ? runOnHost("StridedSlice", backend, inputs, plain as tf.NamedAttrMap)[0]
        : original(plain),
    ),
  );

  // tfjs' shader takes the index of a vector apart.
  replace("Transpose", (_backend, { x }: Inputs, _attrs, original) => (x.rank < 2 ? tf.clone(x) : original()));

  // tfjs drops the axes that are to be kept where it computes small products in JavaScript.
  replace("Prod", (_backend, { x }: Inputs, { axis, keepDims }, original) => {
    const axes = tf.util.parseAxisParam(axis, x.shape);
    const [shape] = tf.backend_util.computeOutAndReduceShapes(x.shape, axes);
    const kept = keepDims ? tf.backend_util.expandShapeToKeepDim(shape, axes) : shape;
    return { ...(original() as tf.TensorInfo), shape: kept };
  });

  // tfjs divides by zero.
  replace("LinSpace", (backend, _inputs, { start, num }, original) =>
    num === 1 ? backend.makeTensorInfo([1], "float32", Float32Array.of(start)) : original(),
  );

  replace("BitwiseAnd", (backend, { a, b }: Inputs) =>
    backend.runWebGPUProgram(
      perValue("bitwise_and", ["A", "B"], a.shape, "setOutputAtIndexI32(index, A[index] & B[index]);"),
      [a, b],
      "int32",
    ),
  );

  // tfjs gives [1] for the place in a vector, not [].
  for (const name of ["ArgMax", "ArgMin"]) {
    replace(name, (_backend, { x }: Inputs, { axis }, original) => {
      const [shape] = tf.backend_util.computeOutAndReduceShapes(x.shape, tf.util.parseAxisParam(axis, x.shape));
      return { ...(original() as tf.TensorInfo), shape };
    });
  }

  // tfjs gives int32 for floats too.
  replace("FloorDiv", (_backend, { a, b }: Inputs, _attrs, original) =>
    a.dtype === "float32" ? tf.tidy(() => tf.floor(tf.div(a, b))) : original(),
  );

  replace(
    "SparseToDense",
    (_backend, { sparseIndices, sparseValues, defaultValue }: Inputs, { outputShape }, original) =>
      sparseValues.dtype !== "bool"
        ? original()
        : tf.tidy(() => {
            const [values, rest] = [sparseValues, defaultValue].map((x) => tf.cast(x, "int32"));
            return tf.cast(tf.sparseToDense(sparseIndices, values, outputShape, rest as tf.Scalar), "bool");
          }),
  );

  // tfjs adds int32 weights as if they were floats, and its shader for counts does not compile.
  for (const name of ["Bincount", "DenseBincount"]) {
    replace(name, (backend, { x, weights }: Inputs, { size, binaryOutput }, original) =>
      weights.dtype === "float32" && weights.size > 0 && !binaryOutput
        ? original()
        : count(backend, x, weights, size, binaryOutput),
    );
  }

  // tfjs does not know of half pixel centers here.
  for (const name of ["ResizeBilinearGrad", "ResizeNearestNeighborGrad"]) {
    replace(name, (_backend, { images, dy }: Inputs, attrs) =>
      resizeGradient(images, dy, attrs, name === "ResizeNearestNeighborGrad"),
    );
  }

  // Shaders know no strings, and tfjs' shader that scatters does not compile for bool.
  for (const name of ["GatherV2", "MirrorPad", "Reverse", "ScatterNd", "TensorScatterUpdate", "Transpose"]) {
    replace(name, (backend, inputs: Inputs, attrs, original) => {
      const dtypes = Object.values(inputs).map(({ dtype }) => dtype);
      const here = dtypes.includes("string") || (name === "ScatterNd" && dtypes.includes("bool"));
      return here ? runOnHost(name, backend, inputs, attrs)[0] : original();
    });
  }

  // tfjs packs the parts of complex numbers as if they had the shape of before.
  replace("Pack", (_backend, inputs: tf.Tensor[], { axis }, original) =>
    inputs[0].dtype !== "complex64"
      ? original()
      : tf.tidy(() => {
          const parts = (of: (x: tf.Tensor) => tf.Tensor) => tf.stack(inputs.map(of), axis);
          return tf.complex(parts(tf.real), parts(tf.imag));
        }),
  );

  // tfjs takes two operands and wants an arrow.
  replace("Einsum", (_backend, inputs: tf.Tensor[], { equation }, original) => {
    if (inputs.length <= 2 && equation.includes("->")) return original();
    const { terms, result } = parseEinsum(
      equation,
      inputs.map(({ shape }) => shape.length),
    );
    return tf.tidy(() =>
      contract(
        inputs.map((tensor, i) => ({ tensor, labels: terms[i] })),
        result,
      ),
    );
  });
}

/** Programs of tfjs that compute with integers as floats, of which all beyond 2^24 are not. */
const exact = [
  "BinaryOpProgram",
  "ConcatProgram",
  "GatherNDProgram",
  "GatherProgram",
  "ReverseProgram",
  "SelectProgram",
  "SliceProgram",
  "StridedSliceProgram",
  "TileProgram",
  "TransposeProgram",
  "TransposeSharedProgram",
  "UnaryOpProgram",
  "UnsortedSegmentSumProgram",
];

// In such a shader WGSL's name of floats is made one of integers. What asks for NaN or divides stays as it is.
function onIntegers(code: string): string {
  if (/isnan|isinf|NAN|INFINITY|bitcast<f32>|\b(atan2|exp|floor|log|pow|round|sqrt)\(| \/ [ab]\b|% b/.test(code))
    return code;
  return `alias f32 = i32;\n${code.replace(/\b(\d+)\.0*(?![\d.])/g, "$1")}`;
}

/** Corrects a program of tfjs before it is compiled. */
export function mendProgram(program: object, inputs: tf.TensorInfo[], dtype: tf.DataType): void {
  const { name } = program.constructor;
  const of = program as Program;
  // The length stands in its code, but not in the key under which it is kept.
  if (name === "CumProgram") of.shaderKey += `_${of.outputShape[of.outputShape.length - 1]}`;
  if (!exact.includes(name) || [dtype, ...inputs.map((input) => input.dtype)].includes("float32")) return;
  const { getUserCode } = of;
  of.getUserCode = () => onIntegers(getUserCode.call(of));
}

function perValue(shaderKey: string, variableNames: string[], outputShape: number[], code: string): Program {
  const workgroup = 64;
  return {
    variableNames,
    outputShape,
    shaderKey,
    workgroupSize: [workgroup, 1, 1],
    dispatchLayout: { x: outputShape.map((_, i) => i) },
    dispatch: [Math.ceil(tf.util.sizeFromShape(outputShape) / workgroup), 1, 1],
    size: true,
    getUserCode: () => `fn main(index : i32) { if (index < uniforms.size) { ${code} } }`,
  };
}

function replace(kernelName: string, kernel: Kernel): void {
  const own = tf.getKernel(kernelName, "webgpu");
  if (own) tf.unregisterKernel(kernelName, "webgpu");
  tf.registerKernel({
    kernelName,
    backendName: "webgpu",
    kernelFunc: (args) =>
      kernel(args.backend as unknown as WebGpuBackend, args.inputs, args.attrs, (attrs = args.attrs!) =>
        own.kernelFunc({ ...args, attrs: attrs as tf.NamedAttrMap }),
      ),
  });
}

interface CpuBackend extends tf.KernelBackend {
  firstUse: boolean;
  makeTensorInfo(shape: number[], dtype: tf.DataType, values: unknown): tf.TensorInfo;
}

/** Runs the kernel of tfjs' CPU backend on values read from the GPU. */
function runOnHost(name: string, backend: WebGpuBackend, inputs: object, attrs: tf.NamedAttrMap): tf.TensorInfo[] {
  const cpu = tf.findBackend("cpu") as unknown as CpuBackend;
  cpu.firstUse = false; // it would say that tfjs-node is faster
  const made: tf.TensorInfo[] = [];
  const copy = (input: tf.TensorInfo | tf.TensorInfo[]): tf.TensorInfo | tf.TensorInfo[] => {
    if (Array.isArray(input)) return input.map((one) => copy(one) as tf.TensorInfo);
    const there = cpu.makeTensorInfo(input.shape, input.dtype, backend.readSync(input.dataId));
    made.push(there);
    return there;
  };
  const copies = Object.fromEntries(Object.entries(inputs).map(([key, input]) => [key, copy(input)]));
  const result = [tf.getKernel(name, "cpu").kernelFunc({ inputs: copies as never, backend: cpu, attrs })].flat();
  made.push(...result);
  const outputs = result.map(({ shape, dtype, dataId }) => backend.makeTensorInfo(shape, dtype, cpu.readSync(dataId)));
  for (const { dataId } of made) cpu.disposeData(dataId);
  return outputs;
}

// tfjs' shader wants all axes; those that are taken out or put in change the shape afterwards.
function stridedSlice(x: tf.Tensor, attrs: tf.StridedSliceAttrs, original: Original): tf.TensorInfo {
  const { beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask } = attrs;
  const info = tf.slice_util.sliceInfo(
    x.shape,
    attrs.begin,
    attrs.end,
    attrs.strides,
    beginMask,
    endMask,
    ellipsisMask,
    newAxisMask,
    shrinkAxisMask,
  );
  // An end of -1 is the one before the first.
  const open = info.end.reduce((mask, end, i) => (info.strides[i] < 0 && end < 0 ? mask | (1 << i) : mask), 0);
  const made = original({
    begin: info.begin,
    end: info.end,
    strides: info.strides,
    beginMask: 0,
    endMask: open,
    ellipsisMask: 0,
    newAxisMask: 0,
    shrinkAxisMask: 0,
  }) as tf.TensorInfo;
  return { ...made, shape: info.finalShape };
}

// How often each number below `size` stands in a vector, or in each row of a matrix; weighted, or just whether.
function count(backend: WebGpuBackend, x: tf.Tensor, weights: tf.Tensor, size: number, binary: boolean): tf.TensorInfo {
  const numbers = backend.readSync(x.dataId) as Int32Array;
  const weight = backend.readSync(weights.dataId) as Float32Array;
  const shape = [...x.shape.slice(0, -1), size];
  const counts = tf.util.makeZerosTypedArray(tf.util.sizeFromShape(shape), weights.dtype) as Float32Array;
  const width = x.shape[x.shape.length - 1];
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i];
    if (number < 0) throw new Error(`x must not be negative, but holds ${number}`);
    if (number >= size) continue;
    const at = Math.floor(i / width) * size + number;
    counts[at] = binary ? 1 : counts[at] + (weight.length > 0 ? weight[i] : 1);
  }
  return backend.makeTensorInfo(shape, weights.dtype, counts);
}

/**
 * How much each of `from` places along an axis gives to each of `to` when an image is resized, as TensorFlow does it.
 * @returns [to][from]
 */
function resizing(from: number, to: number, { alignCorners, halfPixelCenters }: Resize, nearest: boolean): tf.Tensor2D {
  const scale = Math.fround(alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to);
  const shares = new Float32Array(to * from);
  for (let i = 0; i < to; i++) {
    const share = (place: number, weight: number) => {
      shares[i * from + Math.min(Math.max(place, 0), from - 1)] += weight;
    };
    if (nearest) {
      const at = Math.fround((halfPixelCenters ? i + 0.5 : i) * scale);
      share(alignCorners ? Math.round(at) : Math.floor(at), 1);
    } else {
      const at = Math.fround(halfPixelCenters ? Math.fround((i + 0.5) * scale) - 0.5 : i * scale);
      const part = at - Math.floor(at);
      share(Math.floor(at), 1 - part);
      share(Math.ceil(at), part);
    }
  }
  return tf.tensor2d(shares, [to, from]);
}

interface Resize {
  alignCorners: boolean;
  halfPixelCenters: boolean;
}

// Resizing is linear along each axis, so its gradient is a product with the transposed shares.
function resizeGradient(images: tf.Tensor, dy: tf.Tensor, attrs: Resize, nearest: boolean): tf.Tensor {
  return tf.tidy(() => {
    const [batch, height, width, depth] = images.shape;
    const [, tall, wide] = dy.shape;
    const rows = resizing(height, tall, attrs, nearest);
    const columns = resizing(width, wide, attrs, nearest);
    const byRow = tf.matMul(rows, tf.reshape(tf.transpose(dy, [1, 0, 2, 3]), [tall, -1]), true);
    const back = tf.transpose(tf.reshape(byRow, [height, batch, wide, depth]), [2, 1, 0, 3]);
    const byColumn = tf.matMul(columns, tf.reshape(back, [wide, -1]), true);
    return tf.transpose(tf.reshape(byColumn, [width, batch, height, depth]), [1, 2, 0, 3]);
  });
}
