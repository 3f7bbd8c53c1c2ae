// TensorFlow's C API by FFI: finds the shared libraries, loads them quietly and declares the functions the engine calls.
// Signatures follow tensorflow/c/c_api.h and tensorflow/c/eager/c_api.h of TensorFlow 2.21. Pointers are bigints.
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { devNull, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import koffi from "koffi";
import { prepareStack } from "./asynchronous.ts";
import { allowsGrowth, configProto, cpuDevices, startsWithTF32 } from "./config.ts";
import { keptAt } from "./replace.ts";

const signatures = {
  TF_Version: "const char *TF_Version()",
  TF_NewStatus: "void *TF_NewStatus()",
  TF_DeleteStatus: "void TF_DeleteStatus(void *status)",
  TF_GetCode: "int TF_GetCode(void *status)",
  TF_Message: "const char *TF_Message(void *status)",
  TF_AllocateTensor: "void *TF_AllocateTensor(int dtype, void *dims, int rank, size_t bytes)",
  TF_TensorData: "void *TF_TensorData(void *tensor)",
  TF_TensorByteSize: "size_t TF_TensorByteSize(void *tensor)",
  TF_DeleteTensor: "void TF_DeleteTensor(void *tensor)",
  TF_StringInit: "void TF_StringInit(void *string)",
  TF_StringCopy: "void TF_StringCopy(void *string, const void *bytes, size_t size)",
  TF_StringGetDataPointer: "void *TF_StringGetDataPointer(void *string)",
  TF_StringGetSize: "size_t TF_StringGetSize(void *string)",
  TFE_NewContextOptions: "void *TFE_NewContextOptions()",
  TFE_ContextOptionsSetConfig:
    "void TFE_ContextOptionsSetConfig(void *options, const void *proto, size_t length, void *status)",
  TFE_ContextSetSoftDevicePlacement:
    "void TFE_ContextSetSoftDevicePlacement(void *context, uchar enable, void *status)",
  TFE_DeleteContextOptions: "void TFE_DeleteContextOptions(void *options)",
  TFE_NewContext: "void *TFE_NewContext(void *options, void *status)",
  TFE_ContextListDevices: "void *TFE_ContextListDevices(void *context, void *status)",
  TF_DeviceListCount: "int TF_DeviceListCount(void *list)",
  TF_DeviceListName: "const char *TF_DeviceListName(void *list, int index, void *status)",
  TF_DeviceListType: "const char *TF_DeviceListType(void *list, int index, void *status)",
  TF_DeviceListMemoryBytes: "int64_t TF_DeviceListMemoryBytes(void *list, int index, void *status)",
  TF_DeleteDeviceList: "void TF_DeleteDeviceList(void *list)",
  TFE_NewTensorHandle: "void *TFE_NewTensorHandle(void *tensor, void *status)",
  TFE_DeleteTensorHandle: "void TFE_DeleteTensorHandle(void *handle)",
  TFE_TensorHandleCopySharingTensor: "void *TFE_TensorHandleCopySharingTensor(void *handle, void *status)",
  TFE_TensorHandleCopyToDevice:
    "void *TFE_TensorHandleCopyToDevice(void *handle, void *context, const char *device, void *status)",
  TFE_TensorHandleDataType: "int TFE_TensorHandleDataType(void *handle)",
  TFE_TensorHandleNumDims: "int TFE_TensorHandleNumDims(void *handle, void *status)",
  TFE_TensorHandleDim: "int64_t TFE_TensorHandleDim(void *handle, int axis, void *status)",
  TFE_TensorHandleResolve: "void *TFE_TensorHandleResolve(void *handle, void *status)",
  TFE_NewOp: "void *TFE_NewOp(void *context, const char *name, void *status)",
  TFE_DeleteOp: "void TFE_DeleteOp(void *op)",
  TFE_OpSetDevice: "void TFE_OpSetDevice(void *op, const char *device, void *status)",
  TFE_OpAddInput: "void TFE_OpAddInput(void *op, void *handle, void *status)",
  TFE_OpGetFlatInputCount: "int TFE_OpGetFlatInputCount(void *op, void *status)",
  TFE_OpSetAttrString: "void TFE_OpSetAttrString(void *op, const char *name, const char *value, size_t length)",
  TFE_OpSetAttrInt: "void TFE_OpSetAttrInt(void *op, const char *name, int64_t value)",
  TFE_OpSetAttrFloat: "void TFE_OpSetAttrFloat(void *op, const char *name, float value)",
  TFE_OpSetAttrBool: "void TFE_OpSetAttrBool(void *op, const char *name, uchar value)",
  TFE_OpSetAttrType: "void TFE_OpSetAttrType(void *op, const char *name, int value)",
  TFE_OpSetAttrShape: "void TFE_OpSetAttrShape(void *op, const char *name, void *dims, int rank, void *status)",
  TFE_OpSetAttrIntList: "void TFE_OpSetAttrIntList(void *op, const char *name, void *values, int count)",
  TFE_OpSetAttrStringList:
    "void TFE_OpSetAttrStringList(void *op, const char *name, const char **values, void *lengths, int count)",
  TFE_Execute: "void TFE_Execute(void *op, void *handles, void *count, void *status)",
  TFE_NewCancellationManager: "void *TFE_NewCancellationManager()",
  TFE_CancellationManagerStartCancel: "void TFE_CancellationManagerStartCancel(void *manager)",
  TFE_DeleteCancellationManager: "void TFE_DeleteCancellationManager(void *manager)",
  TFE_OpSetCancellationManager: "void TFE_OpSetCancellationManager(void *op, void *manager, void *status)",
  TFE_ContextAddFunction: "void TFE_ContextAddFunction(void *context, void *fn, void *status)",
  TFE_ContextRemoveFunction: "void TFE_ContextRemoveFunction(void *context, const char *name, void *status)",
  TF_NewGraph: "void *TF_NewGraph()",
  TF_DeleteGraph: "void TF_DeleteGraph(void *graph)",
  TF_NewOperation: "void *TF_NewOperation(void *graph, const char *type, const char *name)",
  TF_FinishOperation: "void *TF_FinishOperation(void *description, void *status)",
  TF_AddInput: "void TF_AddInput(void *description, TF_Output input)",
  TF_AddInputList: "void TF_AddInputList(void *description, void *inputs, int count)",
  TF_SetAttrString: "void TF_SetAttrString(void *description, const char *name, const char *value, size_t length)",
  TF_SetAttrInt: "void TF_SetAttrInt(void *description, const char *name, int64_t value)",
  TF_SetAttrFloat: "void TF_SetAttrFloat(void *description, const char *name, float value)",
  TF_SetAttrBool: "void TF_SetAttrBool(void *description, const char *name, uchar value)",
  TF_SetAttrType: "void TF_SetAttrType(void *description, const char *name, int value)",
  TF_SetAttrShape: "void TF_SetAttrShape(void *description, const char *name, void *dims, int rank)",
  TF_SetAttrIntList: "void TF_SetAttrIntList(void *description, const char *name, void *values, int count)",
  TF_SetAttrStringList:
    "void TF_SetAttrStringList(void *description, const char *name, const char **values, void *lengths, int count)",
  TF_SetAttrTensor: "void TF_SetAttrTensor(void *description, const char *name, void *tensor, void *status)",
  TF_GraphGetTensorNumDims: "int TF_GraphGetTensorNumDims(void *graph, TF_Output output, void *status)",
  TF_GraphGetTensorShape:
    "void TF_GraphGetTensorShape(void *graph, TF_Output output, void *dims, int rank, void *status)",
  TF_OperationOutputType: "int TF_OperationOutputType(TF_Output output)",
  TF_OperationOpType: "const char *TF_OperationOpType(void *operation)",
  TF_OperationNumInputs: "int TF_OperationNumInputs(void *operation)",
  // TF_Input has the form of TF_Output
  TF_OperationInput: "TF_Output TF_OperationInput(TF_Output input)",
  TF_GraphToFunction:
    "void *TF_GraphToFunction(void *graph, const char *name, uchar hash, int nops, void *ops, int ninputs, void *inputs, int noutputs, void *outputs, void *outputNames, void *options, const char *description, void *status)",
  TF_FunctionSetAttrValueProto:
    "void TF_FunctionSetAttrValueProto(void *fn, const char *name, const void *proto, size_t length, void *status)",
  TF_SetAttrFuncName:
    "void TF_SetAttrFuncName(void *description, const char *name, const char *function, size_t length)",
  TF_SetAttrShapeList:
    "void TF_SetAttrShapeList(void *description, const char *name, void *dims, void *ranks, int count)",
  TF_GraphCopyFunction: "void TF_GraphCopyFunction(void *graph, void *fn, void *gradient, void *status)",
  TF_NewBuffer: "void *TF_NewBuffer()",
  TF_DeleteBuffer: "void TF_DeleteBuffer(void *buffer)",
  TF_GraphGetOpDef: "void TF_GraphGetOpDef(void *graph, const char *name, void *buffer, void *status)",
  TF_DeleteFunction: "void TF_DeleteFunction(void *fn)",
} as const;

type Calls = { -readonly [name in keyof typeof signatures]: (...args: any[]) => any };

/** A loaded TensorFlow: its C functions, one eager context, and what is known about the build. */
export interface LibTensorFlow extends Calls {
  /** folder the libraries came from */
  dir: string;
  /** which wheel they came from */
  variant: "cpu" | "cuda";
  context: bigint;
  status: bigint;
  memcpy(to: unknown, from: unknown, bytes: number): void;
  /** The C library's memory and its limit, where the engine bounds it (Linux with glibc). */
  memory?: MemoryBound;
  /** Switches TF32 for the float32 products of a GPU; absent where the build does not have the switch. */
  setTF32?: (enabled: boolean) => void;
  /** Throws what the last call left in `status`; `what` names the op or the step. */
  check(what: string): void;
}

/** What can be asked of the C library's memory. */
export interface MemoryBound {
  /** bytes that were freed and that it keeps for later */
  keptBytes(): number;
  /** Lets the process hold this much more than its limit, for what is no tensor. */
  allow(bytes: number): void;
}

/** The folder with libtensorflow_cc.so.2: env WHETSTONE_LIBTENSORFLOW, else the nearest `.libtensorflow/` above this file. */
export function findLibTensorFlow(): string | undefined {
  const named = process.env.WHETSTONE_LIBTENSORFLOW;
  if (named) {
    if (!existsSync(join(named, libraryName("cc")))) {
      throw new Error(`WHETSTONE_LIBTENSORFLOW is ${named}, but ${libraryName("cc")} is not in that folder`);
    }
    return named;
  }
  for (let dir = import.meta.dirname; ; dir = dirname(dir)) {
    const candidate = join(dir, ".libtensorflow");
    if (existsSync(join(candidate, libraryName("cc")))) return candidate;
    if (dir === dirname(dir)) return undefined;
  }
}

export function libraryName(part: "cc" | "framework"): string {
  return process.platform === "darwin" ? `libtensorflow_${part}.2.dylib` : `libtensorflow_${part}.so.2`;
}

/** Programs with this in their name are written to `hloFolder`, a folder that is made when the first one is. */
export const HLO_MARK = "whetstone_lowered";
export const hloFolder = join(tmpdir(), `whetstone-hlo-${process.pid}`);

let loaded: LibTensorFlow | undefined;

/** Loads TensorFlow from `dir` once per process (0.7 s) and opens an eager context. */
export function loadLibTensorFlow(dir: string): LibTensorFlow {
  if (loaded) return loaded;
  // These are read when the library starts: warnings off (errors come back through status), GPU memory on demand
  // so that several kernels can share a card.
  process.env.TF_CPP_MIN_LOG_LEVEL ??= "3";
  process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= "true";
  // oneDNN is on by default where the CPU has VNNI, so results would depend on the machine; TensorFlow 2.21's conv2d is wrong
  // with it (filter [1, 3], strides [1, 2], valid), and it saves no time in the GPT's step or in square matrix products.
  process.env.TF_ENABLE_ONEDNN_OPTS ??= "0";
  // XLA writes what it made of a program whose name has this mark; see lowered.ts.
  if (!process.env.XLA_FLAGS?.includes("xla_dump_to")) {
    const dump = `--xla_dump_to=${hloFolder} --xla_dump_hlo_as_text --xla_dump_hlo_module_re=${HLO_MARK}`;
    process.env.XLA_FLAGS = `${process.env.XLA_FLAGS ?? ""} ${dump}`.trim();
  }
  keepPrograms();
  prepareStack();
  const versionFile = join(dir, "version.json");
  const variant = existsSync(versionFile) ? JSON.parse(readFileSync(versionFile, "utf8")).variant : "cpu";
  const libc = koffi.load(process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6");
  let memory: MemoryBound | undefined;
  if (process.platform === "linux") {
    keepFreedMemory(libc);
    memory = limitMemory(libc);
  }
  // koffi unloads what it loaded when Node shuts down, but TensorFlow has exit handlers registered that then point nowhere:
  // a crash after the program's last line. A second reference keeps the libraries in place.
  const dlopen = libc.func("void *dlopen(const char *path, int flags)");
  const RTLD_NOW = 2;
  const hold = () => {
    for (const part of ["framework", "cc"] as const) dlopen(join(dir, libraryName(part)), RTLD_NOW);
  };
  withoutStderr(libc, hold);
  const framework = koffi.load(join(dir, libraryName("framework")), { global: true });
  const cc = koffi.load(join(dir, libraryName("cc")), { global: true });
  // koffi refuses a second type of the same name, and an eager context has threads and memory: another load of the engine in this
  // process (a notebook runs on while engine/*.ts is edited) takes those of the first.
  keptAt(globalThis, Symbol.for("@whetstone/engine:TF_Output"), () =>
    koffi.struct("TF_Output", { oper: "void *", index: "int" }),
  );

  const calls = {} as Calls;
  for (const [name, signature] of Object.entries(signatures)) {
    // The C API is split over both libraries and the split moves between releases.
    try {
      calls[name as keyof Calls] = cc.func(signature);
    } catch {
      calls[name as keyof Calls] = framework.func(signature);
    }
  }
  const status: bigint = calls.TF_NewStatus();
  const check = (what: string) => {
    if (calls.TF_GetCode(status) !== 0) throw new Error(`${what}: ${calls.TF_Message(status)}`);
  };
  const context = keptAt(globalThis, Symbol.for("@whetstone/engine:context"), (): bigint => {
    const options = calls.TFE_NewContextOptions();
    const config = configProto({ cpus: cpuDevices(), growth: allowsGrowth() });
    calls.TFE_ContextOptionsSetConfig(options, config, config.length, status);
    check("TensorFlow's configuration");
    const opened: bigint = calls.TFE_NewContext(options, status);
    calls.TFE_DeleteContextOptions(options);
    check("TensorFlow could not start");
    return opened;
  });
  const setTF32 = switchOfTF32(framework);
  setTF32?.(startsWithTF32());
  const memcpy = libc.func("void *memcpy(void *to, const void *from, size_t bytes)");
  loaded = { ...calls, dir, variant, context, status, check, memcpy, setTF32, memory };
  // An op that a GPU does not have (strings) runs on the CPU, whatever device was asked for.
  if (listNativeDevices(loaded).some(({ type }) => type === "GPU")) {
    calls.TFE_ContextSetSoftDevicePlacement(context, 1, status);
    check("soft placement");
  }
  return loaded;
}

// Not in the C API: a function of tensorflow/core/platform/tensor_float_32_utils.h, whose name in the library is C++'s.
function switchOfTF32(framework: ReturnType<typeof koffi.load>): ((enabled: boolean) => void) | undefined {
  try {
    return framework.func("void _ZN3tsl32enable_tensor_float_32_executionEb(bool enabled)");
  } catch {
    return undefined;
  }
}

// XLA writes what it compiled into the folder WHETSTONE_XLA_CACHE and takes it from there in the next process.
function keepPrograms(): void {
  const folder = process.env.WHETSTONE_XLA_CACHE;
  if (!folder || process.env.TF_XLA_FLAGS?.includes("persistent_cache_directory")) return;
  mkdirSync(folder, { recursive: true });
  process.env.TF_XLA_FLAGS = `${process.env.TF_XLA_FLAGS ?? ""} --tf_xla_persistent_cache_directory=${folder}`.trim();
}

// Whatever the log level, loading writes to stderr that oneDNN is in use (on CPUs with VNNI), and the CUDA build that there is
// no driver, which devices.ts says in one clear line.
function withoutStderr<T>(libc: ReturnType<typeof koffi.load>, run: () => T): T {
  const dup = libc.func("int dup(int fd)");
  const dup2 = libc.func("int dup2(int from, int to)");
  const kept = dup(2);
  const nowhere = openSync(devNull, "w");
  dup2(nowhere, 2);
  try {
    return run();
  } finally {
    dup2(kept, 2);
    closeSync(nowhere);
    libc.func("int close(int fd)")(kept);
  }
}

// glibc gives large blocks back to the system at every free, and the page faults of getting them anew cost a quarter of a
// training step (9 800 -> 12 100 tokens/s on the small GPT). So: no mmap per block, and up to 1 GB kept at the heap's top.
function keepFreedMemory(libc: ReturnType<typeof koffi.load>): void {
  try {
    const mallopt = libc.func("int mallopt(int option, int value)");
    const [M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX] = [-1, -2, -4];
    mallopt(M_TRIM_THRESHOLD, 2 ** 30);
    mallopt(M_TOP_PAD, 2 ** 26);
    mallopt(M_MMAP_MAX, 0);
  } catch {
    // musl has no mallopt
  }
}

/** Bytes that the process may hold: env WHETSTONE_MEMORY_LIMIT (`6GB`, `500MB` or bytes), else 90 % of what the machine or its container has. */
export function memoryLimit(): number {
  const named = process.env.WHETSTONE_MEMORY_LIMIT;
  if (!named) return Math.floor(0.9 * Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY));
  const [, count, unit] = /^([\d.]+)\s*([KMGT]?)B?$/i.exec(named) ?? [];
  const bytes = Number(count) * 1024 ** ["", "K", "M", "G", "T"].indexOf(unit?.toUpperCase());
  if (!(bytes >= 1)) throw new Error(`WHETSTONE_MEMORY_LIMIT is "${named}"; write bytes, or a number with MB or GB`);
  return Math.floor(bytes);
}

// Linux grants memory that it does not have and ends the process when it is touched. Under a limit of its own, TensorFlow's
// allocator is refused instead, which comes back as an error with the shape. Children inherit it.
function limitMemory(libc: ReturnType<typeof koffi.load>): MemoryBound | undefined {
  const RLIMIT_DATA = 2;
  const limits = new BigUint64Array(2);
  const getrlimit = libc.func("int getrlimit(int resource, void *limits)");
  const setrlimit = libc.func("int setrlimit(int resource, const void *limits)");
  if (getrlimit(RLIMIT_DATA, limits) !== 0) return undefined;
  const wanted = BigInt(memoryLimit());
  const [given] = limits;
  if (wanted < given) {
    limits[0] = wanted;
    setrlimit(RLIMIT_DATA, limits);
  }
  try {
    const sizes = Object.fromEntries(MALLINFO.map((name) => [name, "size_t"]));
    const mallinfo = libc.func("mallinfo2", koffi.struct(sizes), []);
    return {
      keptBytes: () => Number(mallinfo().fordblks),
      allow(bytes) {
        if (wanted >= given) return;
        const more = wanted + BigInt(bytes);
        limits[0] = more < given ? more : given;
        setrlimit(RLIMIT_DATA, limits);
      },
    };
  } catch {
    return undefined; // an older C library has no mallinfo2
  }
}

// struct mallinfo2 of malloc.h, in its order
const MALLINFO = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split(" ");

/** Calls something that fills a TF_Buffer { data, length, deallocator } and gives the bytes. */
export function readBuffer(lib: LibTensorFlow, fill: (buffer: bigint) => void): Uint8Array {
  const buffer: bigint = lib.TF_NewBuffer();
  try {
    fill(buffer);
    const fields = new BigUint64Array(2);
    lib.memcpy(fields, buffer, 16);
    const bytes = new Uint8Array(Number(fields[1]));
    if (bytes.length) lib.memcpy(bytes, fields[0], bytes.length);
    return bytes;
  } finally {
    lib.TF_DeleteBuffer(buffer);
  }
}

/** One device as TensorFlow lists it. */
export interface NativeDevice {
  name: string;
  type: string;
  memoryBytes: number;
}

export function listNativeDevices(lib: LibTensorFlow): NativeDevice[] {
  const list = lib.TFE_ContextListDevices(lib.context, lib.status);
  lib.check("device list");
  const devices: NativeDevice[] = [];
  for (let i = 0; i < lib.TF_DeviceListCount(list); i++) {
    devices.push({
      name: lib.TF_DeviceListName(list, i, lib.status),
      type: lib.TF_DeviceListType(list, i, lib.status),
      memoryBytes: Number(lib.TF_DeviceListMemoryBytes(list, i, lib.status)),
    });
  }
  lib.TF_DeleteDeviceList(list);
  return devices;
}
