// Matrix products as TensorFlow's kernels and XLA's CPU compiler compute them fastest.
import * as tf from "@tensorflow/tfjs-core";
import type { TensorFlowBackend } from "./backend.ts";
import { ATTR, type Binding, type OpAttr, TF_FLOAT } from "./binding.ts";

/**
 * aᵀ b of a [K, M] and b [K, N], the form of every gradient by a weight, where M > N: inside jit on the CPU it is computed as
 * (bᵀ a)ᵀ. XLA packs a transposed first factor slowly, so it should be the smaller one: 2048x2048x128 takes 0.62 of the time
 * then, 512x2048x128 0.79, 8192x2048x384 0.87. Gives nothing for other products.
 */
export function smallerFirst({ inputs, attrs, backend }: Call, run: tf.KernelFunc): tf.Tensor | undefined {
  const { a, b } = inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
  const { transposeA, transposeB } = attrs as unknown as tf.BatchMatMulAttrs;
  const { native } = backend as TensorFlowBackend;
  if (!native.tracer() || native.isUsingGpuDevice() || !transposeA || transposeB) return undefined;
  if (a.shape.length !== 2 || b.shape.length !== 2 || a.shape[1] <= b.shape[1]) return undefined;
  return tf.tidy(() => {
    const turned = run({
      inputs: { a: b, b: a },
      attrs: { transposeA: true, transposeB: false },
      backend,
    }) as tf.Tensor;
    const [N, M] = turned.shape;
    // In two halves: XLA undoes the exchange where it sees the product turned over as a whole.
    const half = M >> 1;
    const rows = (from: number, count: number) => tf.transpose(tf.slice(turned, [0, from], [N, count]));
    return tf.concat([rows(0, half), rows(half, M - half)], 0);
  });
}

// TensorFlow's graph rewriter gives oneDNN's kernels this label; it is a condition of theirs.
const ONEDNN = "MklNameChangeOp";

/**
 * A product of float32 matrices, or of two batches of them with the same leading sizes, by oneDNN, which is off otherwise (see
 * libtensorflow.ts). On a CPU with AVX-512 a transposed first factor, the form of every gradient by a weight or by a key, takes
 * half of the time of Eigen's kernel (2048x2048x128, 2048x512x128; 64 times 128x128x32: 1.2 for 2.7 ms), a small product
 * (128x128x128) a third, others the same. Gives nothing for other products, while tracing, or where there is a GPU.
 */
export function byOneDnn({ inputs, attrs, backend }: Call): tf.Tensor | undefined {
  const { a, b } = inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
  const { transposeA, transposeB } = attrs as unknown as tf.BatchMatMulAttrs;
  const tensorflow = backend as TensorFlowBackend;
  if (!sameBatch(a.shape, b.shape) || a.dtype !== "float32" || b.dtype !== "float32") return undefined;
  // oneDNN knows no empty matrices.
  if (a.shape.includes(0) || b.shape.includes(0) || tensorflow.native.tracer()) return undefined;
  if (!hasOneDnn(tensorflow.native)) return undefined;
  const op = opFor(a.shape.length);
  return tensorflow.executeSingleOutput(op.name, productAttrs(op, transposeA, transposeB), [a, b]);
}

// Batches of up to two axes, as attention has them; TensorFlow's own kernel broadcasts the others.
function sameBatch(a: number[], b: number[]): boolean {
  if (a.length !== b.length || a.length > 4) return false;
  for (let i = 0; i < a.length - 2; i++) if (a[i] !== b[i]) return false;
  return true;
}

interface Op {
  name: string;
  /** what its attributes are called that turn a factor over */
  turns: [string, string];
}

const single: Op = { name: "_MklMatMul", turns: ["transpose_a", "transpose_b"] };
const batched: Op = { name: "_MklBatchMatMulV2", turns: ["adj_x", "adj_y"] };
const opFor = (rank: number) => (rank === 2 ? single : batched);

const productAttrs = ({ turns }: Op, transposeA: boolean, transposeB: boolean): OpAttr[] => [
  { name: "T", type: ATTR.type, value: TF_FLOAT },
  { name: turns[0], type: ATTR.bool, value: transposeA },
  { name: turns[1], type: ATTR.bool, value: transposeB },
  { name: "_kernel", type: ATTR.string, value: ONEDNN },
];

const known = new WeakMap<Binding, boolean>();

function hasOneDnn(native: Binding): boolean {
  let has = known.get(native);
  if (has === undefined) {
    has = !native.deviceNames.some((name) => name.startsWith("GPU")) && multiplies(native);
    known.set(native, has);
  }
  return has;
}

// A build for another processor has neither the ops nor the kernels.
function multiplies(native: Binding): boolean {
  return [single, batched].every((op) => {
    const two = native.createTensor(op === single ? [1, 1] : [1, 1, 1], TF_FLOAT, Float32Array.of(2));
    try {
      const [made] = native.executeRaw(op.name, productAttrs(op, false, false), [two, two], 1);
      const [four] = native.tensorDataSync(made.id);
      native.deleteTensor(made.id);
      return four === 4;
    } catch {
      return false;
    } finally {
      native.deleteTensor(two);
    }
  });
}

type Call = Parameters<tf.KernelFunc>[0];
