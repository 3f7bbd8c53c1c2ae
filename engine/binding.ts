// The TFJSBinding of tfjs-node-gpu in TypeScript over the C API: a table of tensor handles and `executeOp`. While a trace
// is open, `executeOp` adds a node to its graph instead of running the op (see trace.ts).
import { type LibTensorFlow, listNativeDevices } from "./libtensorflow.ts";
import { mostInputs } from "./op-def.ts";
import { watchPressure } from "./pressure.ts";
import { readyOps } from "./ready-ops.ts";
import { slots } from "./slots.ts";

export const TF_FLOAT = 1;
export const TF_INT32 = 3;
export const TF_UINT8 = 4;
export const TF_STRING = 7;
export const TF_COMPLEX64 = 8;
export const TF_INT64 = 9;
export const TF_BOOL = 10;
export const TF_RESOURCE = 20;

const dtypes: Record<number, { name: string; bytes: number; array?: any }> = {
  [TF_FLOAT]: { name: "float32", bytes: 4, array: Float32Array },
  [TF_INT32]: { name: "int32", bytes: 4, array: Int32Array },
  [TF_UINT8]: { name: "uint8", bytes: 1, array: Uint8Array },
  [TF_STRING]: { name: "string", bytes: 24 }, // sizeof(TF_TString)
  [TF_COMPLEX64]: { name: "complex64", bytes: 8, array: Float32Array },
  [TF_INT64]: { name: "int64", bytes: 8, array: BigInt64Array },
  [TF_BOOL]: { name: "bool", bytes: 1, array: Uint8Array },
};

export const ATTR = { string: 0, int: 1, float: 2, bool: 3, type: 4, shape: 5, resource: 9 } as const;

/** What tfjs' kernels pass for an op attribute. */
export interface OpAttr {
  name: string;
  type: number;
  value: any;
}

/** An output of a graph node, TF_Output of the C API. */
export interface NodeOutput {
  oper: bigint;
  index: number;
}

/** A tensor behind an id: a handle of the eager runtime, or a value of a graph that is being traced. */
export interface Entry {
  shape: number[];
  dtype: number;
  handle?: bigint;
  node?: NodeOutput;
  /** the trace that a node belongs to */
  tracer?: Tracer;
  /** the value was written by JavaScript while a trace was open, so it is a constant of that trace */
  literal?: boolean;
  /** calls in flight that read it; see `pin` */
  pins?: number;
  /** who takes it over when its call has run; nobody else may read it until then */
  donatedTo?: string;
  /** its tensor was disposed while a call in flight reads it */
  dropped?: boolean;
  /** the device on which it was made, where there are several */
  device?: string;
  /** it was put there by `copyTo` or `withDevice`, so ops on it run there */
  placed?: boolean;
}

/** Where an op runs, `CPU:1`, or "" where TensorFlow chooses; and whether its results stay there. */
export interface Place {
  device: string;
  placed: boolean;
}

/** An open trace, as the binding sees it. */
export interface Tracer {
  executeOp(name: string, attrs: OpAttr[], inputs: Entry[], outputs: number): Entry[];
  /** Notes what is to run between two programs: XLA cannot compile an exchange between processes. */
  collective(
    what: string,
    inputs: Entry[],
    outputs: { shape: number[]; dtype: number }[],
    run: (inputs: any[]) => any[],
  ): Entry[];
  /** the error for something that only a real value can answer */
  refuse(what: string): Error;
  isLiteral(values: object): boolean;
}

export interface Metadata {
  id: number;
  shape: number[];
  dtype: number;
}

export type Binding = ReturnType<typeof createBinding>;

export function sizeOf(shape: number[]): number {
  let size = 1;
  for (let i = 0; i < shape.length; i++) size *= shape[i];
  return size;
}
export const bytesOf = (entry: { shape: number[]; dtype: number }) => sizeOf(entry.shape) * dtypes[entry.dtype].bytes;
/** `float32[2,3]` */
export const describe = (entry: { shape: number[]; dtype: number }) =>
  `${dtypes[entry.dtype]?.name ?? `dtype ${entry.dtype}`}[${entry.shape}]`;
export const dims = (shape: number[]) => BigInt64Array.from(shape, BigInt);

export function createBinding(lib: LibTensorFlow) {
  const entries = slots<Entry>();
  let tracer: Tracer | undefined;
  let device = "";
  let liveBytes = 0;
  let peakBytes = 0;
  const pressure = watchPressure();
  const devices = listNativeDevices(lib).map((device) => ({ ...device, name: device.name.replace(/^.*device:/, "") }));
  const deviceNames = devices.map(({ name }) => name);
  const several = deviceNames.length > 1;
  const gpu = deviceNames.find((name) => name.startsWith("GPU"));
  const first = gpu ?? deviceNames[0];
  let chosen: Place = { device, placed: false };
  // Where there is a choice of devices, an op has chosen one when it has been executed.
  const ready = several ? undefined : readyOps(lib);
  /** the device of `withDevice` */
  let scope: string | undefined;
  /** values written by JavaScript that go to a device when they are first used */
  const destined = new WeakMap<object, string>();
  const byDevice = new Map<string, { liveBytes: number; peakBytes: number }>();

  // By the device on which its op ran; what JavaScript wrote lies in the memory of the first CPU.
  function account(entry: Entry, bytes: number) {
    if (!several) return;
    const device = entry.device ?? "CPU:0";
    let use = byDevice.get(device);
    if (!use) {
      use = { liveBytes: 0, peakBytes: 0 };
      byDevice.set(device, use);
    }
    use.liveBytes += bytes;
    use.peakBytes = Math.max(use.peakBytes, use.liveBytes);
  }

  /** Where an op on these runs: on the device of `withDevice`, else on that of its first placed input, else on the one in use. */
  function placeOf(inputs: Entry[]): Place {
    if (!several) return chosen;
    if (scope) return { device: scope, placed: true };
    const placed = inputs.find((entry) => entry.placed);
    return placed ? { device: placed.device!, placed: true } : chosen;
  }

  /** What an entry made at a place knows of it. */
  const madeAt = ({ device, placed }: Place) => (several ? { device: device || first, placed } : undefined);

  function add(entry: Entry): Metadata {
    const id = entries.add(entry);
    if (entry.handle !== undefined) {
      liveBytes += bytesOf(entry);
      if (liveBytes > peakBytes) peakBytes = liveBytes;
      account(entry, bytesOf(entry));
      pressure.grown(liveBytes);
    }
    return { id, shape: entry.shape, dtype: entry.dtype };
  }

  function get(id: number): Entry {
    const entry = entries.get(id);
    if (!entry || entry.dropped) throw new Error(`tensor ${id} is disposed or was never made`);
    if (entry.donatedTo) throw new Error(`${describe(entry)} is donated to ${entry.donatedTo}, which is still running`);
    return entry;
  }

  function free(id: number, entry: Entry) {
    entries.delete(id);
    if (entry.handle === undefined) return;
    liveBytes -= bytesOf(entry);
    account(entry, -bytesOf(entry));
    lib.TFE_DeleteTensorHandle(entry.handle);
  }

  /**
   * Keeps tensors that a call in flight reads: one that is disposed meanwhile is freed, and counted as freed, when the call has run.
   * `donatedTo` says of which nobody else may read.
   * @returns the end of that
   */
  function pin(ids: number[], donated: number[], donatedTo: string): () => void {
    const held = ids.map((id) => [id, get(id)] as const);
    for (const [, entry] of held) entry.pins = (entry.pins ?? 0) + 1;
    const taken = donated.map(get);
    for (const entry of taken) entry.donatedTo = donatedTo;
    return () => {
      for (const entry of taken) entry.donatedTo = undefined;
      for (const [id, entry] of held) if (--entry.pins! === 0 && entry.dropped) free(id, entry);
    };
  }

  function newNativeTensor(shape: number[], dtype: number, values: any): bigint {
    const type = dtypes[dtype];
    if (!type) throw new Error(`tensors of TensorFlow's dtype ${dtype} cannot be made from JavaScript values`);
    // TensorFlow ends the process at a negative size, and at a product that overflows even where another size is 0.
    const whole = shape.reduce((product, n) => product * (Number.isInteger(n) && n >= 0 ? Math.max(n, 1) : NaN), 1);
    if (!(whole <= Number.MAX_SAFE_INTEGER) || shape.length > 254) throw new Error(`[${shape}] is not a shape`);
    const size = sizeOf(shape);
    const bytes = size * type.bytes;
    // Without values, TensorFlow would be asked for memory that nothing can fill.
    if (size > 0 && !(values?.length >= size || values?.byteLength >= bytes)) {
      throw new Error(`${describe({ shape, dtype })} needs ${size} values, got ${values?.length ?? values}`);
    }
    const tensor: bigint = lib.TF_AllocateTensor(dtype, dims(shape), shape.length, bytes);
    if (size === 0) return tensor;
    const data: bigint = tensor && lib.TF_TensorData(tensor);
    if (!data) {
      if (tensor) lib.TF_DeleteTensor(tensor);
      throw new Error(`no memory for ${describe({ shape, dtype })} (${(bytes / 1e9).toFixed(1)} GB)`);
    }
    if (dtype === TF_STRING) {
      for (let i = 0; i < size; i++) {
        const at = data + BigInt(i * type.bytes);
        const text: Uint8Array = typeof values[i] === "string" ? Buffer.from(values[i]) : values[i];
        lib.TF_StringInit(at);
        lib.TF_StringCopy(at, text, text.length);
      }
      return tensor;
    }
    // tfjs writes an int64 as two 32-bit halves (Int64Scalar): the same bytes, little endian.
    const halves = dtype === TF_INT64 && values instanceof Int32Array && values.length === 2 * size;
    const ready =
      values instanceof type.array || halves
        ? values
        : dtype === TF_INT64
          ? BigInt64Array.from(values, BigInt)
          : type.array.from(values);
    if (ready.byteLength !== bytes) {
      lib.TF_DeleteTensor(tensor);
      throw new Error(`${describe({ shape, dtype })} needs ${bytes} bytes of values, got ${ready.byteLength}`);
    }
    lib.memcpy(data, ready, bytes);
    return tensor;
  }

  function readNativeTensor(tensor: bigint, entry: Entry): any {
    const type = dtypes[entry.dtype];
    const data: bigint = lib.TF_TensorData(tensor);
    const size = sizeOf(entry.shape);
    if (entry.dtype === TF_STRING) {
      return Array.from({ length: size }, (_, i) => {
        const at = data + BigInt(i * type.bytes);
        const text = new Uint8Array(Number(lib.TF_StringGetSize(at)));
        if (text.length) lib.memcpy(text, lib.TF_StringGetDataPointer(at), text.length);
        return text;
      });
    }
    const bytes = Number(lib.TF_TensorByteSize(tensor));
    const values = new type.array(bytes / type.array.BYTES_PER_ELEMENT);
    if (bytes) lib.memcpy(values, data, bytes);
    return entry.dtype === TF_INT64 ? Int32Array.from(values, Number) : values;
  }

  function setAttr(op: bigint, { name, type, value }: OpAttr): unknown {
    switch (type) {
      case ATTR.string:
        if (Array.isArray(value)) {
          const { texts, lengths } = stringList(value);
          return lib.TFE_OpSetAttrStringList(op, name, texts, lengths, value.length);
        }
        return lib.TFE_OpSetAttrString(op, name, value, Buffer.byteLength(value));
      case ATTR.int:
        if (Array.isArray(value)) return lib.TFE_OpSetAttrIntList(op, name, dims(value), value.length);
        return lib.TFE_OpSetAttrInt(op, name, value);
      case ATTR.float:
        return lib.TFE_OpSetAttrFloat(op, name, value);
      case ATTR.bool:
        return lib.TFE_OpSetAttrBool(op, name, value ? 1 : 0);
      case ATTR.type:
        return lib.TFE_OpSetAttrType(op, name, value);
      case ATTR.shape:
        return lib.TFE_OpSetAttrShape(op, name, dims(value), value.length, lib.status);
      default:
        throw new Error(`attribute ${name} has type ${type}, which the binding does not carry`);
    }
  }

  function addInput(op: bigint, handle: bigint, where: () => string): void {
    lib.TFE_OpAddInput(op, handle, lib.status);
    if (lib.TF_GetCode(lib.status) !== 0) lib.check(where());
  }

  /** An op that is ready to be executed; it holds its inputs. The caller deletes it. */
  function newOp(
    name: string,
    attrs: OpAttr[],
    inputs: bigint[],
    xla: boolean,
    where: () => string,
    on = device,
  ): bigint {
    const op: bigint = lib.TFE_NewOp(lib.context, name, lib.status);
    lib.check(name);
    try {
      if (on) lib.TFE_OpSetDevice(op, `/device:${on}`, lib.status);
      for (const attr of attrs) setAttr(op, attr);
      if (xla) lib.TFE_OpSetAttrBool(op, "_XlaMustCompile", 1);
      for (const handle of inputs) addInput(op, handle, where);
      return op;
    } catch (error) {
      lib.TFE_DeleteOp(op);
      throw error;
    }
  }

  // C writes a call's results here. Each array that C sees for the first time costs 0.3 us: V8 moves its memory out of the heap.
  let handles = new BigUint64Array(16);
  const count = new Int32Array(1);

  /** Runs an op, or a compiled function when `xla`, and gives its raw output handles. */
  function run(
    name: string,
    attrs: OpAttr[],
    inputs: bigint[],
    outputs: number,
    xla: boolean,
    where: () => string,
    on = device,
  ): bigint[] {
    const op = newOp(name, attrs, inputs, xla, where, on);
    try {
      return execute(op, outputs, where);
    } finally {
      lib.TFE_DeleteOp(op);
    }
  }

  function execute(op: bigint, outputs: number, where: () => string): bigint[] {
    if (handles.length < outputs) handles = new BigUint64Array(2 * outputs);
    count[0] = outputs;
    lib.TFE_Execute(op, handles, count, lib.status);
    if (lib.TF_GetCode(lib.status) !== 0) lib.check(where());
    const made = count[0];
    const results = outputs === 1 && made === 1 ? [handles[0]] : Array.from(handles.subarray(0, made));
    if (made !== outputs) {
      for (const handle of results) lib.TFE_DeleteTensorHandle(handle);
      throw new Error(`${where()} has ${made} outputs, ${outputs} were asked for`);
    }
    return results;
  }

  /** Runs an op that may be kept for the next call of its kind. */
  function runKept(name: string, attrs: OpAttr[], inputs: Entry[], outputs: number): bigint[] {
    const where = () => `${name}(${inputs.map(describe).join(", ")})`;
    const kept = ready?.find(name, attrs, inputs);
    if (kept) {
      try {
        // It takes any: what an op does not expect is found when it is executed.
        for (let i = 0; i < inputs.length; i++) lib.TFE_OpAddInput(kept.op, inputs[i].handle, lib.status);
        return execute(kept.op, outputs, where);
      } catch (error) {
        ready!.drop(name, kept);
        throw error;
      }
    }
    checkCall(name, attrs, inputs);
    const raw = inputs.map((entry) => entry.handle!);
    const place = placeOf(inputs);
    // A resource is an op's state.
    if (!ready || inputs.some(({ dtype }) => dtype === TF_RESOURCE))
      return run(name, attrs, raw, outputs, false, where, place.device);
    const op = newOp(name, attrs, raw, false, where, place.device);
    try {
      const results = execute(op, outputs, where);
      ready.keep(name, attrs, inputs, op);
      return results;
    } catch (error) {
      lib.TFE_DeleteOp(op);
      throw error;
    }
  }

  function entryOf(handle: bigint): Entry {
    const rank: number = lib.TFE_TensorHandleNumDims(handle, lib.status);
    const shape = new Array<number>(rank);
    for (let i = 0; i < rank; i++) shape[i] = Number(lib.TFE_TensorHandleDim(handle, i, lib.status));
    return { handle, shape, dtype: lib.TFE_TensorHandleDataType(handle) };
  }

  /** An op's inputs and attributes as the C API can take them: it ends the process on what it does not expect. */
  function checkCall(name: string, attrs: OpAttr[], inputs: Entry[]) {
    const most = mostInputs(lib, name);
    if (inputs.length > most) throw new Error(`${name} takes ${most} inputs, got ${inputs.length}`);
    for (const attr of attrs) {
      if (!isValid(attr))
        throw new Error(`${name}: ${String(attr.value)} is not a value for the attribute ${attr.name}`);
    }
  }

  /** Runs or traces an op; its outputs keep TensorFlow's dtypes, int64 and uint8 among them. */
  function executeRaw(name: string, attrs: OpAttr[], inputIds: number[], outputs: number): Metadata[] {
    // Loops, since this is a large part of what a small op costs.
    const inputs: Entry[] = [];
    for (let i = 0; i < inputIds.length; i++) inputs.push(get(inputIds[i]));
    if (tracer) {
      checkCall(name, attrs, inputs);
      return tracer.executeOp(name, attrs, inputs, outputs).map(add);
    }
    for (let i = 0; i < inputs.length; i++) {
      const { handle, tracer } = inputs[i];
      if (handle === undefined) throw tracer!.refuse(`use a value of a finished jit trace in ${name}`);
    }
    const results = runKept(name, attrs, inputs, outputs);
    const made: Metadata[] = [];
    const at = several ? madeAt(placeOf(inputs)) : undefined;
    for (let i = 0; i < results.length; i++) {
      const entry = entryOf(results[i]);
      made.push(add(at ? Object.assign(entry, at) : entry));
    }
    return made;
  }

  function copied(entry: Entry, to: string) {
    const handle: bigint = lib.TFE_TensorHandleCopyToDevice(entry.handle, lib.context, `/device:${to}`, lib.status);
    lib.check(`copying ${describe(entry)} to ${to}`);
    return { handle, device: to, placed: true };
  }

  /** Adds a tensor that nobody has seen yet on a device. */
  function moved(entry: Entry, to: string): Metadata {
    try {
      return add({ ...entry, ...copied(entry, to) });
    } finally {
      lib.TFE_DeleteTensorHandle(entry.handle);
    }
  }

  // tfjs has neither int64 nor uint8: ops that give them (Where, DecodePng...) are cast at the border.
  function executeOp(name: string, attrs: OpAttr[], inputIds: number[], outputs: number): Metadata[] {
    const all = executeRaw(name, attrs, inputIds, outputs);
    for (let i = 0; i < all.length; i++) {
      const { id, dtype } = all[i];
      if (dtype !== TF_INT64 && dtype !== TF_UINT8) continue;
      all[i] = executeRaw("Cast", castAttrs(dtype, TF_INT32), [id], 1)[0];
      binding.deleteTensor(id);
    }
    return all;
  }

  const binding = {
    TensorMetadata: class {} as any,
    TFEOpAttr: class {} as any,
    TF_FLOAT,
    TF_INT32,
    TF_INT64,
    TF_BOOL,
    TF_COMPLEX64,
    TF_STRING,
    TF_RESOURCE,
    TF_UINT8,
    TF_ATTR_STRING: ATTR.string,
    TF_ATTR_INT: ATTR.int,
    TF_ATTR_FLOAT: ATTR.float,
    TF_ATTR_BOOL: ATTR.bool,
    TF_ATTR_TYPE: ATTR.type,
    TF_ATTR_SHAPE: ATTR.shape,
    TF_ATTR_RESOURCE: ATTR.resource,
    TF_Version: lib.TF_Version() as string,
    lib,

    createTensor(shape: number[], dtype: number, values: any): number {
      const tensor = newNativeTensor(shape, dtype, values);
      const handle: bigint = lib.TFE_NewTensorHandle(tensor, lib.status);
      lib.TF_DeleteTensor(tensor);
      lib.check(`tensor ${describe({ shape, dtype })}`);
      const entry: Entry = { handle, shape: [...shape], dtype, literal: tracer?.isLiteral(values) };
      const to = several && !tracer ? destined.get(values) : undefined;
      return to ? moved(entry, to).id : add(entry).id;
    },
    /** A copy of a tensor on a device. */
    copyTo(id: number, to: string): Metadata {
      const entry = get(id);
      if (entry.handle === undefined) throw entry.tracer!.refuse(`copy a tensor to ${to}`);
      return add({ ...copied(entry, to), shape: [...entry.shape], dtype: entry.dtype });
    },
    deviceOf: (id: number) => (several && get(id).device) || device || first,
    deleteTensor(id: number): void {
      const entry = entries.get(id);
      if (!entry) return;
      if (entry.pins) entry.dropped = true;
      else free(id, entry);
    },
    /** Frees a tensor that nobody has disposed and nobody can reach. */
    deleteAbandoned(id: number): void {
      const entry = entries.get(id);
      if (entry?.handle !== undefined) pressure.found(bytesOf(entry));
      binding.deleteTensor(id);
    },
    tensorDataSync(id: number): any {
      const entry = get(id);
      if (entry.handle === undefined) throw entry.tracer!.refuse("read a tensor's value");
      const tensor: bigint = lib.TFE_TensorHandleResolve(entry.handle, lib.status);
      lib.check(`reading ${describe(entry)}`);
      const values = readNativeTensor(tensor, entry);
      lib.TF_DeleteTensor(tensor);
      return values;
    },
    executeOp: executeOp as any,
    executeRaw,
    /** To be called before TensorFlow makes its devices anew, as it does when a process joins a cluster. */
    forgetOps: () => ready?.clear(),
    isUsingGpuDevice: () => gpu !== undefined && !device.includes("CPU"),
    getNumOfTensors: entries.size,
    getNumOfSavedModels: () => 0,
    loadSavedModel: unsupported,
    deleteSavedModel: unsupported,
    runSavedModel: unsupported,

    // What the engine itself uses beyond tfjs' interface.
    add,
    get,
    newOp,
    pin,
    run,
    /** Ops run on this device from now on; "" lets TensorFlow choose. */
    setDevice(name: string) {
      device = name;
      chosen = { device, placed: false };
    },
    device: () => device,
    deviceNames,
    placeOf,
    madeAt,
    scope: () => scope,
    setScope(name: string | undefined) {
      scope = name;
    },
    /** These values of JavaScript go to the device of `withDevice` when they are first used. */
    destine(values: object) {
      if (several && scope) destined.set(values, scope);
    },
    memory: () => ({
      numHandles: entries.size(),
      liveBytes,
      peakBytes,
      byDevice: devices.map(({ name, memoryBytes }) => ({
        name,
        memoryBytes,
        ...(several ? (byDevice.get(name) ?? { liveBytes: 0, peakBytes: 0 }) : { liveBytes, peakBytes }),
      })),
    }),
    resetPeak() {
      peakBytes = liveBytes;
      for (const use of byDevice.values()) use.peakBytes = use.liveBytes;
    },
    tracer: () => tracer,
    setTracer(next: Tracer | undefined) {
      tracer = next;
    },
  };
  return binding;
}

export const castAttrs = (from: number, to: number): OpAttr[] => [
  { name: "SrcT", type: ATTR.type, value: from },
  { name: "DstT", type: ATTR.type, value: to },
  { name: "Truncate", type: ATTR.bool, value: false },
];

// TensorFlow's numbers are 64 bit, its lists of numbers and shapes hold integers.
const isInteger = (value: unknown) => Number.isSafeInteger(value);
function isValid({ type, value }: OpAttr): boolean {
  switch (type) {
    case ATTR.string:
      return Array.isArray(value) ? value.every((text) => typeof text === "string") : typeof value === "string";
    case ATTR.int:
      return Array.isArray(value) ? value.every(isInteger) : isInteger(value);
    case ATTR.float:
      return typeof value === "number";
    case ATTR.bool:
      return true;
    case ATTR.type:
      return value in dtypes || value === TF_RESOURCE;
    case ATTR.shape:
      return Array.isArray(value) && value.every((n) => isInteger(n) && n >= -1);
    default:
      return false;
  }
}

/** A list of strings as C takes it: pointers and lengths. */
export const stringList = (values: string[]) => ({
  texts: values,
  lengths: BigUint64Array.from(values, (text) => BigInt(Buffer.byteLength(text))),
});

function unsupported(): never {
  throw new Error("SavedModel is not supported by the engine; load weights from safetensors instead");
}
