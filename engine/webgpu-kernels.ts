// Kernels that tfjs-backend-webgpu 4.22 lacks, and those of its own that are wrong.
import * as tf from "@tensorflow/tfjs-core";
import { contract, parseEinsum } from "./einsum.ts";
import type { WebGpuBackend } from "./webgpu.ts";

type Inputs = Record<string, tf.Tensor>;
type Kernel = (
  backend: WebGpuBackend,
  inputs: any,
  attrs: any,
  /** tfjs' own, where there is one */
  original: () => tf.TensorInfo | tf.TensorInfo[],
) => tf.TensorInfo | tf.TensorInfo[];

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
  for (const name of onTheHost) replace(name, (backend, inputs, attrs) => runOnHost(name, backend, inputs, attrs));
  for (const name of ["GatherV2", "StridedSlice"]) {
    replace(name, (backend, inputs, attrs, original) =>
      inputs.x.dtype === "string" ? runOnHost(name, backend, inputs, attrs) : original(),
    );
  }

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

/** Corrections of shaders of tfjs, by the name of the program: what it writes for integers is written for floats. */
const mended: Record<string, [wrong: string, right: string]> = {
  TransposeProgram: ["setOutputAtIndex(", "setOutputAtIndexI32("],
  UnsortedSegmentSumProgram: ["let value = getX(b, inCol);", "let value = i32(getX(b, inCol));"],
};

/** Corrects a program of tfjs that gives integers, before it is compiled. */
export function mendProgram(program: object, dtype: tf.DataType): void {
  if (dtype === "float32" || !Object.hasOwn(mended, program.constructor.name)) return;
  const { getUserCode } = program as Program;
  (program as Program).getUserCode = () => getUserCode.call(program).replaceAll(...mended[program.constructor.name]);
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
      kernel(args.backend as unknown as WebGpuBackend, args.inputs, args.attrs, () => own.kernelFunc(args)),
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
