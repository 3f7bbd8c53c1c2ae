// tfjs-node-gpu's own backend and kernels on our binding: its 155 kernels run unchanged, except those replaced below.
import util from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { createTensorsTypeOpAttr, NodeJSKernelBackend } from "@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js";
import {
  type Binding,
  createBinding,
  type Metadata,
  type OpAttr,
  sizeOf,
  TF_BOOL,
  TF_COMPLEX64,
  TF_FLOAT,
  TF_INT32,
  TF_STRING,
} from "./binding.ts";
import { contract, parseEinsum } from "./einsum.ts";
import { finish } from "./finished.ts";
import { userFrame } from "./frame.ts";
import { registerMissingKernels } from "./kernels.ts";
import type { LibTensorFlow } from "./libtensorflow.ts";
import { OnKeys } from "./on-keys.ts";
import { registerCopyTo } from "./placement.ts";
import { byOneDnn, smallerFirst } from "./products.ts";
import { registerAnew } from "./register.ts";
import { keptAt, replace } from "./replace.ts";

// Node 23 removed what tfjs-node-gpu 4.22 still calls (tensorflow/tfjs#8425).
(util as any).isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
// ... and Node's own version of this prints a deprecation warning.
(util as any).isArray = Array.isArray;

// The parts of tfjs-node's backend that we use or extend; its own typing makes most of them private.
interface NodeBackend {
  createOutputTensor(metadata: Metadata): tf.Tensor;
  getInputTensorIds(tensors: tf.TensorInfo[]): number[];
  executeSingleOutput(name: string, attrs: OpAttr[], inputs: tf.TensorInfo[]): tf.Tensor;
  move(
    dataId: object,
    values: tf.backend_util.BackendValues,
    shape: number[],
    dtype: tf.DataType,
    refCount: number,
  ): void;
  disposeData(dataId: object, force?: boolean): boolean;
  tensorMap: {
    get(dataId: object): { id: number; refCount: number } | undefined;
    has(dataId: object): boolean;
    set(dataId: object, record: object): void;
    delete(dataId: object): boolean;
    data: unknown;
  };
}
const NodeBackend = NodeJSKernelBackend as unknown as new (binding: Binding, packageName: string) => NodeBackend;

/** tfjs' names of TensorFlow's dtypes */
const dtypes: Record<number, tf.DataType | undefined> = {
  [TF_FLOAT]: "float32",
  [TF_INT32]: "int32",
  [TF_BOOL]: "bool",
  [TF_COMPLEX64]: "complex64",
  [TF_STRING]: "string",
};

/** What knows the binding's id of some data, and does not hold its key. */
interface Watched {
  id: number;
}

/** most tensors that are made between two sweeps */
const SWEEP = 256;

/** tfjs-node's backend, with tensors freed when nobody holds them any more. */
export class TensorFlowBackend extends NodeBackend {
  readonly native: Binding;
  /** values written by JavaScript while tracing: constants of the graph */
  readonly literals = new WeakSet<object>();
  // Keyed by dataId: every tensor that shares the data (reshape, clone) holds that object.
  readonly #abandoned: FinalizationRegistry<Watched>;
  readonly #registered = new WeakSet<object>();
  /** data that was made since the last sweep, and what knows its id */
  #fresh: object[] = [];
  #records: Watched[] = [];

  constructor(native: Binding, cuda: boolean) {
    super(native, cuda ? "@tensorflow/tfjs-node-gpu" : "@tensorflow/tfjs-node");
    this.native = native;
    this.tensorMap.data = new OnKeys();
    this.#abandoned = new FinalizationRegistry(({ id }) => native.deleteAbandoned(id));
  }

  // As tfjs-node does, for the dtypes that tfjs has.
  override createOutputTensor(metadata: Metadata): tf.Tensor {
    const { id, shape } = metadata;
    const dtype = dtypes[metadata.dtype];
    let tensor: tf.Tensor;
    if (dtype) {
      const dataId = {};
      this.tensorMap.set(dataId, { shape, dtype: metadata.dtype, id, values: null, refCount: 1 });
      tensor = tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype });
    } else tensor = super.createOutputTensor(metadata);
    this.#watch(tensor.dataId, metadata);
    return tensor;
  }

  override move(
    dataId: object,
    values: tf.backend_util.BackendValues,
    shape: number[],
    dtype: tf.DataType,
    refCount: number,
  ): void {
    // tfjs drops what it does not know, such as a bigint, from a list of values.
    if (values && values.length !== sizeOf(shape))
      throw new Error(
        `${dtype}[${shape}] needs ${sizeOf(shape)} values, got ${values.length}; bigints go by fromInt64`,
      );
    if (this.native.tracer() && values) this.literals.add(values);
    // What kernels make for themselves (axes, shapes) stays with the host.
    if (values && this.native.scope() && isOutsideKernels()) this.native.destine(values);
    super.move(dataId, values, shape, dtype, refCount);
    // The record gets its id when the values are first used, and does not hold the key.
    this.#watch(dataId, this.tensorMap.get(dataId)!);
  }

  // A finalizer costs as much as an op, and its record stays until the event loop turns, so only what lives on gets one: most
  // tensors are disposed before the next sweep, and until then nothing could be finalized.
  #watch(dataId: object, record: Watched): void {
    const count = this.#fresh.push(dataId);
    this.#records.push(record);
    if (count === 1) setImmediate(this.#sweep).unref();
    else if (count >= SWEEP) this.#sweep();
  }

  readonly #sweep = () => {
    this.#fresh.forEach((dataId, i) => {
      if (!this.tensorMap.has(dataId)) return;
      this.#registered.add(dataId);
      this.#abandoned.register(dataId, this.#records[i], dataId);
    });
    this.#fresh = [];
    this.#records = [];
  };

  // As tfjs-node does, with one look instead of five.
  override disposeData(dataId: object, force = false): boolean {
    if (!this.tensorMap.has(dataId)) return true;
    const record = this.tensorMap.get(dataId)!;
    record.refCount--;
    if (!force && record.refCount > 0) return false;
    if (record.id >= 0) this.native.deleteTensor(record.id);
    this.tensorMap.delete(dataId);
    if (this.#registered.delete(dataId)) this.#abandoned.unregister(dataId);
    return true;
  }

  /** The binding's id of a tensor; writes it to the device first when it still waits in JavaScript. */
  idOf(tensor: tf.TensorInfo): number {
    return this.getInputTensorIds([tensor])[0];
  }
}

const isOutsideKernels = () => (tf.engine() as any).state.kernelDepth === 0;

/** The active backend if it is TensorFlow's. */
export function tensorflowBackend(): TensorFlowBackend | undefined {
  return tf.getBackend() === "tensorflow" ? (tf.backend() as unknown as TensorFlowBackend) : undefined;
}

/** Registers the backend "tensorflow" and its kernels. */
export async function registerTensorFlow(lib: LibTensorFlow): Promise<Binding> {
  const binding = createBinding(lib);
  // That of an earlier load of the engine: its tensors move to the new one when they are used.
  if (tf.findBackend("tensorflow")) tf.removeBackend("tensorflow");
  tf.registerBackend(
    "tensorflow",
    () => new TensorFlowBackend(binding, lib.variant === "cuda") as unknown as tf.KernelBackend,
    3,
  );
  const { state } = tf.engine();
  if (state.tensorInfo instanceof WeakMap)
    (state as { tensorInfo: unknown }).tensorInfo = new OnKeys(state.tensorInfo as WeakMap<object, object>);
  await registerPlainKernels();
  replaceKernels();
  registerMissingKernels();
  registerCopyTo();
  refuseAssignWhileTracing(binding);
  return binding;
}

// tfjs-node registers its kernels when they are first imported. An earlier load of the engine has replaced some of them.
async function registerPlainKernels() {
  const there = () => tf.getKernelsForBackend("tensorflow");
  const ours = new Set(there().map(({ kernelName }) => kernelName));
  await import("@tensorflow/tfjs-node-gpu/dist/register_all_kernels.js");
  const plain = keptAt(tf.engine(), Symbol.for("@whetstone/engine:kernels"), () =>
    there().filter(({ kernelName }) => !ours.has(kernelName)),
  );
  for (const kernel of plain) registerAnew(kernel);
}

// A traced function is pure: a variable assigned in it would be left with a value of the graph.
function refuseAssignWhileTracing(binding: Binding) {
  replace(
    tf.Variable.prototype,
    "assign",
    "refuse",
    (assign) =>
      function (this: tf.Variable, value: tf.Tensor) {
        const tracer = binding.tracer();
        if (tracer) throw tracer.refuse(`assign to the variable ${this.name}`);
        assign.call(this, value);
      },
  );
}

function replaceKernels() {
  // TensorFlow's own message names BatchMatMulV2 and its graph node; the user wrote matMul.
  for (const name of ["BatchMatMul", "_FusedMatMul"]) {
    const { kernelFunc } = tf.getKernel(name, "tensorflow");
    registerAnew({
      kernelName: name,
      backendName: "tensorflow",
      kernelFunc: (args) => {
        checkMatMul(args.inputs as Record<string, tf.TensorInfo>, args.attrs as Record<string, unknown>);
        return (name === "BatchMatMul" && (byOneDnn(args) ?? smallerFirst(args, kernelFunc))) || kernelFunc(args);
      },
    });
  }
  const einsum = tf.getKernel("Einsum", "tensorflow").kernelFunc;
  const exchange = (kernelName: string, kernelFunc: tf.KernelFunc) => {
    registerAnew({ kernelName, backendName: "tensorflow", kernelFunc });
  };
  // tfjs-node asks TensorFlow for the mean of the dtype before the cast to float32, and for NaN among integers.
  const castFirst = (name: string, dtype: (x: tf.Tensor) => tf.DataType) => {
    const { kernelFunc } = tf.getKernel(name, "tensorflow");
    exchange(name, (args) => {
      const x = args.inputs.x as tf.Tensor;
      if (x.dtype === "float32") return kernelFunc(args);
      return tf.tidy(() => {
        const out = kernelFunc({ ...args, inputs: { x: tf.cast(x, "float32") } }) as tf.Tensor;
        return tf.cast(out, dtype(x));
      });
    });
  };
  castFirst("Mean", () => "float32");
  castFirst("Step", (x) => x.dtype);
  // tfjs-node drops half_pixel_centers from the gradients.
  const resizeGradient = (name: string, like: (images: tf.Tensor) => tf.Tensor) =>
    exchange(name, ({ inputs, backend, attrs }) => {
      const { images, dy } = inputs as { images: tf.Tensor; dy: tf.Tensor };
      const { alignCorners, halfPixelCenters } = attrs as unknown as tf.ResizeBilinearGradAttrs;
      const native = backend as TensorFlowBackend;
      const bool = (name: string, value: boolean) => ({ name, type: native.native.TF_ATTR_BOOL, value });
      const opAttrs = [
        createTensorsTypeOpAttr("T", dy.dtype),
        bool("align_corners", alignCorners),
        bool("half_pixel_centers", halfPixelCenters),
      ];
      return tf.tidy(() => native.executeSingleOutput(name, opAttrs, [dy, like(images)]));
    });
  resizeGradient("ResizeBilinearGrad", (images) => images);
  resizeGradient("ResizeNearestNeighborGrad", (images) => tf.tensor1d(images.shape.slice(1, 3), "int32"));
  exchange("Einsum", einsumOfMany(einsum));
  // tfjs-node reads the indices back to check their bounds: that breaks tracing and stalls a GPU. TensorFlow checks them.
  exchange("GatherV2", ({ inputs, backend, attrs }) => {
    const { x, indices } = inputs as { x: tf.Tensor; indices: tf.Tensor };
    const { axis, batchDims } = attrs as unknown as tf.GatherV2Attrs;
    tf.backend_util.segment_util.collectGatherOpShapeInfo(x, indices, axis, batchDims);
    const at = tf.scalar(axis, "int32");
    const native = backend as TensorFlowBackend;
    const out = native.executeSingleOutput(
      "GatherV2",
      [
        { name: "batch_dims", type: native.native.TF_ATTR_INT, value: batchDims },
        createTensorsTypeOpAttr("Tparams", x.dtype),
        createTensorsTypeOpAttr("Tindices", indices.dtype),
        createTensorsTypeOpAttr("Taxis", "int32"),
      ],
      [x, indices, at],
    );
    at.dispose();
    return out;
  });
}

// TensorFlow's op takes at most two operands and wants an arrow; the rest is contracted pair by pair.
function einsumOfMany(kernelFunc: tf.KernelFunc): tf.KernelFunc {
  return (args) => {
    const operands = args.inputs as unknown as tf.Tensor[];
    const equation = String((args.attrs as { equation?: string }).equation);
    if (operands.length <= 2 && equation.includes("->")) return kernelFunc(args);
    const { terms, result } = parseEinsum(
      equation,
      operands.map((operand) => operand.shape.length),
    );
    return tf.tidy(() =>
      contract(
        operands.map((tensor, i) => ({ tensor, labels: terms[i] })),
        result,
      ),
    );
  };
}

function checkMatMul({ a, b }: Record<string, tf.TensorInfo>, { transposeA, transposeB }: Record<string, unknown>) {
  const inner = a.shape[a.shape.length - (transposeA ? 2 : 1)];
  const other = b.shape[b.shape.length - (transposeB ? 1 : 2)];
  if (inner === other) return;
  const form = (t: tf.TensorInfo, transposed: unknown) => `[${t.shape}]${transposed ? " transposed" : ""}`;
  const product = `${form(a, transposeA)} x ${form(b, transposeB)}`;
  throw finish(new Error(`matMul: the inner sizes ${inner} and ${other} of ${product} differ${userFrame()}`));
}
