// What runs inside a program of XLA, and for how long: TensorFlow's own profiler, of which the C API has nothing. Its C++ functions
// are exported by the library, so they are called by their mangled names: those of TensorFlow 2.21, on the ABI that GCC and Clang
// share. Without them everything but the ops inside of programs can still be profiled.
import { join } from "node:path";
import koffi from "koffi";
import { type LibTensorFlow, libraryName } from "../libtensorflow.ts";
import { bytesAt, type Field, fields, messages, numberOf, numbersOf, textOf } from "../protobuf.ts";
import { keptAt } from "../replace.ts";

/** An instruction of a program, executed once. Times in milliseconds since the session began. */
export interface XlaEvent {
  /** the instruction: `broadcast_maximum_fusion` */
  name: string;
  /** the program */
  module: string;
  /** the thread, or the stream of a GPU */
  thread: string;
  start: number;
  ms: number;
  /** without what runs inside of it: the body of a loop */
  self: number;
}

/** What an instruction computes: nodes of the traced graph, of which a fusion has several, and the form of its result. */
export interface Instruction {
  /** `matMul/BatchMatMulV2_3`; that of the instruction itself first */
  nodes: string[];
  shape: string;
}

export interface XlaProfile {
  events: XlaEvent[];
  /** execution of whole programs, by the name of the function that was called, in order */
  calls: { name: string; start: number; ms: number }[];
  /** time within the calls that the programs ran; the rest is compilation and the way there */
  executions: { start: number; ms: number }[];
  /** instructions of a program by their names */
  instructions(module: string): Map<string, Instruction>;
}

export interface Session {
  stop(): XlaProfile;
}

const VERSION = /^2\.21\./;
const session = "_ZN3tsl15ProfilerSession";
const options = "_ZN10tensorflow14ProfileOptions";
const space = "_ZN10tensorflow8profiler6XSpace";

type Calls = ReturnType<typeof bind>;
let bound: Calls | undefined;

function bind(lib: LibTensorFlow) {
  const library = koffi.load(join(lib.dir, libraryName("framework")));
  // C++ gives a unique_ptr and a Status through a hidden pointer, as C does with a struct this large.
  keptAt(globalThis, Symbol.for("@whetstone/engine:ProfilerResult"), () =>
    koffi.struct("ProfilerResult", { first: "uint64_t", second: "uint64_t", third: "uint64_t" }),
  );
  const f = (signature: string) => library.func(signature);
  return {
    newOptions: f(`void ${options}C1EPN6google8protobuf5ArenaE(void *options, void *arena)`),
    deleteOptions: f(`void ${options}D1Ev(void *options)`),
    parse: f("bool _ZN6google8protobuf11MessageLite14ParseFromArrayEPKvi(void *message, const void *bytes, int size)"),
    create: f(`ProfilerResult ${session}6CreateERKN10tensorflow14ProfileOptionsE(void *options)`),
    collect: f(`ProfilerResult ${session}11CollectDataEPN10tensorflow8profiler6XSpaceE(void *session, void *space)`),
    deleteSession: f(`void ${session}D1Ev(void *session)`),
    newSpace: f(`void ${space}C1EPN6google8protobuf5ArenaE(void *space, void *arena)`),
    deleteSpace: f(`void ${space}D1Ev(void *space)`),
    size: f("size_t _ZNK10tensorflow8profiler6XSpace12ByteSizeLongEv(void *space)"),
    serialize: f(
      "bool _ZNK6google8protobuf11MessageLite16SerializeToArrayEPvi(void *message, _Out_ uint8_t *bytes, int size)",
    ),
  };
}

/** Room for an object of C++; the largest of them is below 300 bytes. */
const OBJECT_BYTES = 4096;

// absl::Status of C++: 1 says that all is well.
const OK = 1n;

/**
 * Starts TensorFlow's profiler.
 * @throws Error that says why it cannot be had; there is one session at a time in a process
 */
export function startSession(lib: LibTensorFlow): Session {
  const version: string = lib.TF_Version();
  if (!VERSION.test(version)) throw new Error(`TensorFlow is ${version}, and its profiler is known for 2.21 only`);
  bound ??= bind(lib);
  const calls = bound;
  const wanted = koffi.alloc("uint8_t", OBJECT_BYTES);
  calls.newOptions(wanted, null);
  try {
    // profiler_options.proto: version 1, host_tracer_level 2, device_tracer_level 1, enable_hlo_proto
    const bytes = Uint8Array.of(0x28, 1, 0x10, 2, 0x18, 1, 0x38, 1);
    if (!calls.parse(wanted, bytes, bytes.length)) throw new Error("TensorFlow did not take the profiler's options");
    const handle: bigint = BigInt(calls.create(wanted).first);
    if (!handle) throw new Error("TensorFlow's profiler did not start");
    return { stop: () => read(collect(calls, handle)) };
  } finally {
    calls.deleteOptions(wanted);
    koffi.free(wanted);
  }
}

function collect(calls: Calls, handle: bigint): Uint8Array {
  const into = koffi.alloc("uint8_t", OBJECT_BYTES);
  calls.newSpace(into, null);
  try {
    const status = BigInt(calls.collect(handle, into).first);
    if (status !== OK) throw new Error("TensorFlow's profiler has no data; is another profiler running?");
    const bytes = new Uint8Array(Number(calls.size(into)));
    if (bytes.length && !calls.serialize(into, bytes, bytes.length))
      throw new Error("TensorFlow's profiler could not write its data");
    return bytes;
  } finally {
    calls.deleteSpace(into);
    calls.deleteSession(handle);
    koffi.free(into);
  }
}

// xplane.proto: a space has planes (host, devices), a plane lines (threads, streams), a line events, which name things by numbers.
function read(bytes: Uint8Array): XlaProfile {
  const planes = messages(fields(bytes), 1);
  const programs = new Map<string, Uint8Array>();
  const found = { host: [] as XlaEvent[], device: [] as XlaEvent[] };
  const calls: XlaProfile["calls"] = [];
  const executions: XlaProfile["executions"] = [];
  for (const plane of planes) {
    const name = textOf(plane, 2);
    const named = namesOf(plane, 4);
    const stats = namesOf(plane, 5);
    if (name === "/host:metadata") {
      for (const entry of messages(plane, 4)) {
        const metadata = messages(entry, 2)[0] ?? [];
        const proto = messages(metadata, 5).map((stat) => bytesAt(stat, 6))[0];
        if (proto) programs.set(moduleName(textOf(metadata, 2)), proto);
      }
      continue;
    }
    for (const line of messages(plane, 3)) {
      const thread = textOf(line, 11) || textOf(line, 2) || String(numberOf(line, 1));
      const origin = numberOf(line, 3) / 1e6;
      const own: XlaEvent[] = [];
      for (const event of messages(line, 4)) {
        const start = origin + numberOf(event, 2) / 1e9;
        const ms = numberOf(event, 3) / 1e9;
        const what = named.get(numberOf(event, 1)) ?? "";
        if (what === "EagerExecute") calls.push({ name: statOf(event, stats, "eager_op"), start, ms });
        else if (/Executable::ExecuteAsyncOnStream$/.test(what)) executions.push({ start, ms });
        const op = statOf(event, stats, "hlo_op");
        const module = op && moduleName(statOf(event, stats, "hlo_module"));
        if (module) own.push({ name: op, module, thread, start, ms, self: ms });
      }
      withoutInner(own);
      found[name.startsWith("/device:") ? "device" : "host"].push(...own);
    }
  }
  const byStart = <T extends { start: number }>(list: T[]) => list.sort((a, b) => a.start - b.start);
  const known = new Map<string, Map<string, Instruction>>();
  return {
    // On a GPU the host only launches what the device runs.
    events: byStart(found.device.length ? found.device : found.host),
    calls: byStart(calls),
    executions: byStart(executions),
    instructions(module) {
      if (!known.has(module)) known.set(module, instructionsOf(programs.get(module)));
      return known.get(module)!;
    },
  };
}

// In events it stands without the number that metadata has: `name(12)`.
const moduleName = (text: string) => text.replace(/\(\d+\)$/, "");

/** Names by their numbers: a map from int64 to messages with a name. */
function namesOf(plane: Field[], field: number): Map<number, string> {
  return new Map(
    messages(plane, field).map((entry) => [numberOf(entry, 1), textOf(messages(entry, 2)[0] ?? [], 2)] as const),
  );
}

/** A text that an event carries, itself or as a number of a name. */
function statOf(event: Field[], names: Map<number, string>, name: string): string {
  for (const stat of messages(event, 4)) {
    if (names.get(numberOf(stat, 1)) !== name) continue;
    return textOf(stat, 5) || (names.get(numberOf(stat, 7)) ?? "");
  }
  return "";
}

/** Takes from each event the time of those within it, on the same thread. */
function withoutInner(events: XlaEvent[]): void {
  events.sort((a, b) => a.start - b.start || b.ms - a.ms);
  const open: XlaEvent[] = [];
  for (const event of events) {
    while (open.length && open[open.length - 1].start + open[open.length - 1].ms <= event.start) open.pop();
    if (open.length) open[open.length - 1].self -= event.ms;
    open.push(event);
  }
  for (const event of events) event.self = Math.max(0, event.self);
}

// hlo.proto: HloProto.hlo_module 1; HloModuleProto.computations 3; HloComputationProto: instructions 2, id 5; HloInstructionProto: name 1,
// shape 3, metadata 7 (op_name 2), called_computation_ids 38.
function instructionsOf(proto: Uint8Array | undefined): Map<string, Instruction> {
  const module = proto && messages(fields(proto), 1)[0];
  if (!module) return new Map();
  const computations = messages(module, 3).map((computation) => ({
    id: numberOf(computation, 5),
    instructions: messages(computation, 2),
  }));
  const byId = new Map(computations.map((computation) => [computation.id, computation.instructions]));
  const nodeOf = (instruction: Field[]) => textOf(messages(instruction, 7)[0] ?? [], 2);
  const all = new Map<string, Instruction>();
  for (const { instructions } of computations) {
    for (const instruction of instructions) {
      const opcode = textOf(instruction, 2);
      // What a fusion computes; a loop's body has events of its own.
      const inner = opcode === "fusion" ? numbersOf(instruction, 38).flatMap((id) => byId.get(id) ?? []) : [];
      const nodes = [instruction, ...inner.filter((part) => !/^(constant|parameter|broadcast)$/.test(textOf(part, 2)))];
      all.set(textOf(instruction, 1), {
        nodes: [...new Set(nodes.map(nodeOf).filter(Boolean))],
        shape: shapeOf(messages(instruction, 3)[0] ?? []),
      });
    }
  }
  return all;
}

const elementTypes: Record<number, string> = { 1: "bool", 4: "int32", 5: "int64", 8: "uint32", 10: "float16", 11: "float32", 12: "float64", 16: "bfloat16" }; // biome-ignore format: a table

// ShapeProto: element_type 2, dimensions 3, tuple_shapes 4
function shapeOf(shape: Field[]): string {
  const parts = messages(shape, 4);
  if (parts.length) return `(${parts.map(shapeOf).join(", ")})`;
  return `${elementTypes[numberOf(shape, 2)] ?? `type ${numberOf(shape, 2)}`}[${numbersOf(shape, 3)}]`;
}
