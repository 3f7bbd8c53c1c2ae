// The collectives as kernels of tfjs: eager, in a traced function, and differentiable. Two ways lead to the other processes:
// TensorFlow's collective ops (gRPC between machines, NCCL between GPUs), and memory that processes of one machine share.
import * as tf from "@tensorflow/tfjs-core";
import type { TensorFlowBackend } from "../backend.ts";
import { ATTR, type Binding, bytesOf, dims, type OpAttr, TF_FLOAT, TF_INT32 } from "../binding.ts";
import { registerAnew } from "../register.ts";
import type { Form } from "../trace.ts";
import type { Reduction, SharedMemory, Span, Waiting } from "./shared-memory.ts";

/** Collectives of flat lists of tensors of one dtype, float32 or int32. */
export interface Transport {
  name: "TensorFlow" | "shared memory";
  reduce(tensors: tf.Tensor[], op: Reduction, what: string): tf.Tensor[];
  /** Each with a new first axis, the ranks. */
  gather(tensors: tf.Tensor[], what: string): tf.Tensor[];
  broadcast(tensors: tf.Tensor[], root: number, what: string): tf.Tensor[];
}

/** What a kernel needs of its cluster. */
export interface Group {
  rank: number;
  size: number;
  run(what: string, collective: (transport: Transport) => tf.Tensor[]): tf.Tensor[];
}

type Kind = "reduce" | "gather" | "broadcast";

interface Attrs {
  group: Group;
  kind: Kind;
  op: Reduction;
  root: number;
  /** `allReduce(mean)` */
  what: string;
}

const KERNEL = "Collective";

/** Runs a collective on tensors of one dtype, as one kernel: recorded by gradients, and part of a trace where one is open. */
export function runCollective(tensors: tf.Tensor[], attrs: Attrs): tf.Tensor[] {
  const inputs = Object.fromEntries(tensors.map((tensor, i) => [i, tensor]));
  return tf.engine().runKernel(KERNEL, inputs as any, attrs as any) as unknown as tf.Tensor[];
}

const listOf = <T>(inputs: Record<string, T>): T[] => Object.keys(inputs).map((_, i) => inputs[i]);

registerAnew({
  kernelName: KERNEL,
  backendName: "tensorflow",
  kernelFunc: ({ inputs, backend, attrs }) => {
    const tensors = listOf(inputs as Record<string, tf.Tensor>);
    const { native, idOf, createOutputTensor } = backend as TensorFlowBackend;
    const call = attrs as unknown as Attrs;
    const tracer = native.tracer();
    if (!tracer) return tf.tidy(() => execute(tensors, call));
    const entries = tensors.map((tensor) => native.get(idOf.call(backend, tensor)));
    const { size } = call.group;
    const forms = entries.map(({ shape, dtype }) => ({
      shape: call.kind === "gather" ? [size, ...shape] : shape,
      dtype,
    }));
    const made = tracer.collective(call.what, entries, forms, (values) => tf.tidy(() => execute(values, call)));
    return made.map((entry) => createOutputTensor.call(backend, native.add(entry)));
  },
});

function execute(tensors: tf.Tensor[], { group, kind, op, root, what }: Attrs): tf.Tensor[] {
  return group.run(what, (transport) => {
    // TensorFlow's collectives end the process when there is nothing in a tensor.
    if (tensors.every(({ size }) => size === 0) && transport.name === "TensorFlow")
      return tensors.map((x) => tf.zeros(kind === "gather" ? [group.size, ...x.shape] : x.shape, x.dtype));
    if (kind === "reduce") return transport.reduce(tensors, op, what);
    return kind === "gather" ? transport.gather(tensors, what) : transport.broadcast(tensors, root, what);
  });
}

// The gradient is that of the sum of all processes' losses: what one process gives to all comes back from all.
tf.registerGradient({
  kernelName: KERNEL,
  gradFunc: (dy, _saved, attrs) => {
    const call = attrs as unknown as Attrs;
    const { group, kind, op, root, what } = call;
    const dys = (Array.isArray(dy) ? dy : [dy]) as tf.Tensor[];
    if (kind === "reduce" && op !== "sum" && op !== "mean")
      throw new Error(`${what} has no gradient; take "sum" or "mean"`);
    const sums = runCollective(dys, {
      ...call,
      kind: "reduce",
      op: kind === "reduce" ? op : "sum",
      what: `gradient of ${what}`,
    });
    const grads = sums.map((sum) => {
      if (kind === "gather") return tf.squeeze(tf.slice(sum, group.rank, 1), [0]);
      return kind === "broadcast" && group.rank !== root ? tf.zerosLike(sum) : sum;
    });
    return Object.fromEntries(grads.map((grad, i) => [i, () => grad]));
  },
});

/** Collectives by TensorFlow's ops. `seconds` is the time-out of one. */
export function tensorflowTransport(backend: TensorFlowBackend, group: Omit<Group, "run">, seconds: number): Transport {
  const { native } = backend;
  const { size, rank } = group;
  const scalar = (value: number) => native.createTensor([], TF_INT32, Int32Array.of(value));
  const groupSize = scalar(size);
  const groupKey = scalar(1);
  // One key for all calls of one form, in the order of their first use, which is the same in all processes: TensorFlow keeps what it
  // negotiates for a key.
  const keys = new Map<string, number>();
  const keyOf = (form: string) => {
    let id = keys.get(form);
    if (id === undefined) {
      id = scalar(keys.size + 1);
      keys.set(form, id);
    }
    return id;
  };
  const common: OpAttr[] = [
    { name: "communication_hint", type: ATTR.string, value: native.isUsingGpuDevice() ? "auto" : "ring" },
    { name: "timeout_seconds", type: ATTR.float, value: seconds },
  ];
  const type = (x: tf.Tensor): OpAttr => ({
    name: "T",
    type: ATTR.type,
    value: x.dtype === "int32" ? TF_INT32 : TF_FLOAT,
  });
  const run = (name: string, attrs: OpAttr[], ids: number[]) =>
    backend.createOutputTensor(native.executeRaw(name, [...attrs, ...common], ids, 1)[0]);
  const merges: Record<Reduction, [merge: string, final: string]> = {
    sum: ["Add", "Id"],
    mean: ["Add", "Div"],
    max: ["Max", "Id"],
    min: ["Min", "Id"],
  };

  return {
    name: "TensorFlow",
    reduce(tensors, op) {
      const x = pack(tensors);
      const [merge, final] = merges[op];
      const key = keyOf(`reduce ${op} ${x.dtype} ${x.size}`);
      const attrs = [
        type(x),
        { name: "merge_op", type: ATTR.string, value: merge },
        { name: "final_op", type: ATTR.string, value: final },
        { name: "Nordering_token", type: ATTR.int, value: 0 },
      ];
      return unpack(run("CollectiveReduceV2", attrs, [backend.idOf(x), groupSize, groupKey, key]), tensors);
    },
    gather(tensors) {
      const x = pack(tensors);
      const key = keyOf(`gather ${x.dtype} ${x.size}`);
      const attrs = [type(x), { name: "Nordering_token", type: ATTR.int, value: 0 }];
      const all = run("CollectiveGatherV2", attrs, [backend.idOf(x), groupSize, groupKey, key]);
      return unpackRows(tf.reshape(all, [size, x.size]), tensors);
    },
    broadcast(tensors, root) {
      const x = pack(tensors);
      const key = keyOf(`broadcast ${root} ${x.dtype} ${x.size}`);
      if (rank === root) {
        run("CollectiveBcastSendV2", [type(x)], [backend.idOf(x), groupSize, groupKey, key]);
        return unpack(x, tensors);
      }
      const shape = backend.idOf(tf.tensor1d([x.size], "int32"));
      const attrs = [type(x), { name: "Tshape", type: ATTR.type, value: TF_INT32 }];
      return unpack(run("CollectiveBcastRecvV2", attrs, [groupSize, groupKey, key, shape]), tensors);
    },
  };
}

/** One flat tensor: one collective costs less than many. */
const pack = (tensors: tf.Tensor[]) => tf.concat(tensors.map((tensor) => tf.reshape(tensor, [-1])));

function unpack(flat: tf.Tensor, like: tf.Tensor[]): tf.Tensor[] {
  const sizes = like.map(({ size }) => size);
  const parts = like.length > 1 ? tf.split(flat, sizes) : [flat];
  return parts.map((part, i) => tf.reshape(part, like[i].shape));
}

function unpackRows(rows: tf.Tensor, like: tf.Tensor[]): tf.Tensor[] {
  const sizes = like.map(({ size }) => size);
  const parts = like.length > 1 ? tf.split(rows, sizes, 1) : [rows];
  return parts.map((part, i) => tf.reshape(part, [rows.shape[0], ...like[i].shape]));
}

/** Collectives through shared memory, straight from and into the memory of the tensors. */
export function sharedTransport(
  backend: TensorFlowBackend,
  memory: SharedMemory,
  group: Omit<Group, "run">,
  waiting: Waiting,
): Transport {
  const { native } = backend;
  const ranks = Array.from({ length: group.size }, (_, rank) => rank);
  const callOf = (what: string, tensors: tf.Tensor[]) => ({
    what,
    dtype: tensors[0].dtype as "float32" | "int32",
    bytes: tensors.reduce((bytes, { size }) => bytes + 4 * size, 0),
  });
  const results = (tensors: tf.Tensor[], shape: (x: tf.Tensor) => number[]) =>
    tensors.map((x) => newTensor(native, { shape: shape(x), dtype: x.dtype === "int32" ? TF_INT32 : TF_FLOAT }));
  const wrap = (made: NewTensor[]) => made.map(({ finish }) => backend.createOutputTensor(native.add(finish())));

  function within<T>(tensors: tf.Tensor[], run: (from: Span[]) => T): T {
    const opened = tensors.map((tensor) => openTensor(backend, tensor));
    try {
      return run(opened.map(({ span }) => span));
    } finally {
      for (const { close } of opened) close();
    }
  }

  /** Runs with new tensors, which are freed when it throws. */
  function into(made: NewTensor[], run: () => void): tf.Tensor[] {
    try {
      run();
    } catch (error) {
      for (const { discard } of made) discard();
      throw error;
    }
    return wrap(made);
  }

  return {
    name: "shared memory",
    reduce: (tensors, op, what) =>
      within(tensors, (from) => {
        const made = results(tensors, (x) => x.shape);
        const to = made.map(({ span }) => span);
        return into(made, () => memory.reduce(from, to, op, callOf(what, tensors), waiting));
      }),
    gather: (tensors, what) =>
      within(tensors, (from) => {
        const made = results(tensors, (x) => [group.size, ...x.shape]);
        const row = (rank: number) =>
          made.map(({ span }, i) => ({
            address: span.address + BigInt(rank * from[i].bytes),
            bytes: from[i].bytes,
          }));
        return into(made, () => memory.gather(from, ranks, row, callOf(what, tensors), waiting));
      }),
    broadcast: (tensors, root, what) =>
      within(tensors, (from) => {
        const made = results(tensors, (x) => x.shape);
        const to = made.map(({ span }) => span);
        return into(made, () => memory.gather(from, [root], () => to, callOf(what, tensors), waiting));
      }),
  };
}

/** The memory of a tensor, until `close`. */
function openTensor(backend: TensorFlowBackend, x: tf.Tensor): { span: Span; close(): void } {
  const { native } = backend;
  const { lib } = native;
  const entry = native.get(backend.idOf(x));
  const tensor: bigint = lib.TFE_TensorHandleResolve(entry.handle, lib.status);
  lib.check("reading a tensor");
  const span = { address: x.size ? lib.TF_TensorData(tensor) : 0n, bytes: bytesOf(entry) };
  return { span, close: () => lib.TF_DeleteTensor(tensor) };
}

interface NewTensor {
  span: Span;
  finish(): Form & { handle: bigint };
  discard(): void;
}

/** A new tensor whose memory can be written until `finish`. */
function newTensor({ lib }: Binding, form: Form): NewTensor {
  const bytes = bytesOf(form);
  const tensor: bigint = lib.TF_AllocateTensor(form.dtype, dims(form.shape), form.shape.length, bytes);
  const address: bigint = tensor && bytes ? lib.TF_TensorData(tensor) : 0n;
  if (!tensor || (bytes && !address))
    throw new Error(`no memory for the result [${form.shape}] (${(bytes / 1e9).toFixed(1)} GB)`);
  return {
    span: { address, bytes },
    finish() {
      const handle: bigint = lib.TFE_NewTensorHandle(tensor, lib.status);
      lib.TF_DeleteTensor(tensor);
      lib.check("a collective's result");
      return { handle, shape: [...form.shape], dtype: form.dtype };
    },
    discard: () => lib.TF_DeleteTensor(tensor),
  };
}
