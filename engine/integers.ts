// Integers: kernels that tfjs-node hands to TensorFlow as they are and that TensorFlow does not have for integers, or has wrong;
// and 64-bit integers, which tfjs does not have, at the border.
import * as tf from "@tensorflow/tfjs-core";
import { registerAnew } from "./register.ts";

/** Mends the kernels on TensorFlow, as tfjs' CPU backend has them. */
export function registerIntegerKernels(): void {
  const mend = (kernelName: string, change: (kernelFunc: tf.KernelFunc) => tf.KernelFunc) => {
    const { kernelFunc } = tf.getKernel(kernelName, "tensorflow");
    registerAnew({ kernelName, backendName: "tensorflow", kernelFunc: change(kernelFunc) });
  };
  // TensorFlow's Round gives 0 for integers.
  mend("Round", (kernelFunc) => (args) => {
    const x = args.inputs.x as tf.Tensor;
    return x.dtype === "int32" ? tf.clone(x) : kernelFunc(args);
  });
  for (const name of ["IsFinite", "IsInf", "IsNan", "LeakyRelu"]) {
    mend(name, (kernelFunc) => (args) => {
      const x = args.inputs.x as tf.Tensor;
      if (x.dtype !== "int32") return kernelFunc(args);
      return tf.tidy(() => kernelFunc({ ...args, inputs: { x: tf.cast(x, "float32") } }) as tf.Tensor);
    });
  }
  // The results are int64, and int32 in tfjs.
  mend("StringToHashBucketFast", (kernelFunc) => (args) => {
    const { numBuckets } = args.attrs as { numBuckets: number };
    if (!Number.isInteger(numBuckets) || numBuckets < 1 || numBuckets > 2 ** 31)
      throw new Error(`numBuckets is ${numBuckets}; it can be an integer from 1 to 2^31`);
    return kernelFunc(args);
  });
}

const lowest = -(2n ** 31n);
const highest = 2n ** 31n - 1n;

/**
 * An int32 tensor of 64-bit integers, as safetensors, ONNX and other files hold them.
 * @throws Error that names the first value that does not fit 32 bits
 */
export function fromInt64(values: BigInt64Array | readonly bigint[], shape: number[] = [values.length]): tf.Tensor {
  const narrow = new Int32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    if (values[i] < lowest || values[i] > highest)
      throw new Error(`fromInt64: value ${i} is ${values[i]}, which does not fit 32 bits; tfjs has no wider integers`);
    narrow[i] = Number(values[i]);
  }
  return tf.tensor(narrow, shape, "int32");
}

/** The values of an int32 or bool tensor as 64-bit integers, for files and libraries that want them. */
export function toInt64(tensor: tf.Tensor): BigInt64Array {
  if (tensor.dtype !== "int32" && tensor.dtype !== "bool")
    throw new Error(`toInt64: the tensor is ${tensor.dtype}[${tensor.shape}]; it can be int32 or bool`);
  return BigInt64Array.from(tensor.dataSync() as Int32Array, BigInt);
}
