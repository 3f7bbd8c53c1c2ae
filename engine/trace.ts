// Tracing: while a Trace is open, the binding's executeOp adds nodes to a TensorFlow graph, so that tfjs' own ops, its
// autodiff and any optimizer written in them become one function, which XLA compiles.
import * as tf from "@tensorflow/tfjs-core";
import koffi from "koffi";
import type { TensorFlowBackend } from "./backend.ts";
import {
  type Binding,
  describe,
  dims,
  type Entry,
  type NodeOutput,
  type OpAttr,
  sizeOf,
  stringList,
  TF_FLOAT,
  type Tracer,
} from "./binding.ts";
import { finish } from "./finished.ts";
import { userFrame } from "./frame.ts";
import type { LibTensorFlow } from "./libtensorflow.ts";
import { currentCall } from "./scopes.ts";
import { type Collective, cut, type Stage } from "./stages.ts";

const TF_BFLOAT16 = 14;
const TF_HALF = 19;
const matrixProducts = new Set(["MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"]);

// Ops that take a list of inputs, with how many single inputs stand before and after the list.
const listInputs: Record<string, [before: number, after: number]> = {
  ConcatV2: [0, 1],
  Pack: [0, 0],
  AddN: [0, 0],
  Einsum: [0, 0],
  RaggedGather: [0, 2],
  RaggedTensorToTensor: [3, 0],
};
// The attributes that hold the length of such a list: the graph counts for itself.
const listLengths = new Set(["N", "PARAMS_RAGGED_RANK", "num_row_partition_tensors"]);

// Tensors from outside up to this size become constants of the program: XLA needs shapes and axes as constants.
const CONSTANT_SIZE = 64;

/** A tensor from outside that the traced function uses: a handle, or a tf.Variable, whose value of the time of the call is taken. */
type Capture = { handle: bigint } | { variable: tf.Variable };

export interface TraceOptions {
  /** dtype in which matrix products are computed; their results are float32 */
  matmul?: "float32" | "bfloat16" | "float16";
}

/** Shape and dtype, TensorFlow's. */
export interface Form {
  shape: number[];
  dtype: number;
}

export interface Compiled {
  name: string;
  outputs: { shape: number[]; dtype: number }[];
  captures: Capture[];
  /** number of graph nodes */
  nodes: number;
  /** the programs between collectives, where the function has any; then there is no function `name` */
  stages?: Stage[];
}

/** A result of a traced function. */
export interface Result extends Form {
  node: NodeOutput;
}

/** What is added to a trace: a node, a loop, or the name under which a trace is compiled. */
export type Added =
  | { trace: Trace; node: string; op: string; attrs: OpAttr[]; inputs: Form[]; outputs: Form[] }
  | { trace: Trace; compiled: string };

const watchers = new Set<(added: Added) => void>();

/** Calls `watcher` for all that is added to traces, until the function that it gives is called. */
export function watchTraces(watcher: (added: Added) => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

const tell = (added: Added) => {
  for (const watcher of watchers) watcher(added);
};

export class Trace implements Tracer {
  readonly #binding: Binding;
  readonly #backend: TensorFlowBackend;
  readonly #graph: bigint;
  readonly #inputs: NodeOutput[] = [];
  readonly #captures: Capture[] = [];
  readonly #captured = new Map<Entry, NodeOutput>();
  readonly #operations: bigint[] = [];
  readonly #collectives: Collective[] = [];
  #count = 0;
  /** name of the node that was begun last */
  #last = "";

  readonly #options: TraceOptions;
  /** the trace whose graph calls this one's function: the body of a loop takes values from it as inputs */
  readonly parent: Trace | undefined;
  /** stands in the names of the nodes of a function that is called, so that they differ from the parent's */
  readonly #place: string;
  #children = 0;
  /** what the body of a loop takes from its parent, in the order of its own inputs */
  readonly taken: Entry[] = [];
  readonly #takenNodes: NodeOutput[] = [];

  constructor(backend: TensorFlowBackend, options: TraceOptions = {}, parent?: Trace) {
    this.#backend = backend;
    this.#binding = backend.native;
    this.#options = options;
    this.parent = parent;
    this.#place = parent ? `${parent.#place}${++parent.#children}_` : "";
    this.#graph = this.#binding.lib.TF_NewGraph();
  }

  /** A trace of a function that this one calls. */
  child(): Trace {
    return new Trace(this.#backend, this.#options, this);
  }

  refuse(what: string): Error {
    const open = this.#binding.tracer() === this;
    const advice = open
      ? "Return it from the jitted function, or compute with tensors only."
      : "Return it from the jitted function instead of keeping it.";
    return finish(new Error(`jit: cannot ${what}${open ? " while tracing" : ""}${userFrame()}. ${advice}`));
  }

  isLiteral(values: object): boolean {
    return this.#backend.literals.has(values);
  }

  /** A new input of the function, as a tensor to call the user's function with. */
  input(like: tf.Tensor): tf.Tensor {
    return this.inputOf(this.#binding.get(this.#backend.idOf(like)));
  }

  /** The same for a shape and dtype. */
  inputOf({ shape, dtype }: Form): tf.Tensor {
    const node = this.#input({ shape, dtype });
    return this.#tensor({ shape, dtype, node, tracer: this });
  }

  #tensor(entry: Entry): tf.Tensor {
    return this.#backend.createOutputTensor(this.#binding.add(entry));
  }

  /** The node that computes a result of the function. */
  output(tensor: tf.Tensor): Result {
    const entry = this.#binding.get(this.#backend.idOf(tensor));
    // Identity: TensorFlow refuses a function whose output is one of its inputs, and one output twice.
    return this.#identity(this.#nodeOf(entry), entry);
  }

  executeOp(name: string, attrs: OpAttr[], inputs: Entry[], outputs: number): Entry[] {
    const { lib } = this.#binding;
    let nodes = inputs.map((entry) => this.#nodeOf(entry));
    const low = this.#lowPrecision(name, inputs);
    if (low) {
      nodes = nodes.map((node) => this.#cast(node, TF_FLOAT, low));
      attrs = attrs.map((attr) => (attr.value === TF_FLOAT ? { ...attr, value: low } : attr));
    }
    const d = this.#begin(name, scope());
    const node = this.#last;
    const list = listInputs[name];
    if (list) {
      const [before, after] = list;
      const end = nodes.length - after;
      for (const node of nodes.slice(0, before)) lib.TF_AddInput(d, node);
      lib.TF_AddInputList(d, packOutputs(nodes.slice(before, end)), end - before);
      for (const node of nodes.slice(end)) lib.TF_AddInput(d, node);
    } else {
      for (const node of nodes) lib.TF_AddInput(d, node);
    }
    for (const attr of attrs) if (!list || !listLengths.has(attr.name)) this.#setAttr(d, attr);
    const what = `${name}(${inputs.map(describe).join(", ")})`;
    const { oper } = this.#finish(d, what);
    const made = low
      ? this.#outputs(this.#cast({ oper, index: 0 }, low, TF_FLOAT).oper, 1, what)
      : this.#outputs(oper, outputs, what);
    if (watchers.size) tell({ trace: this, node, op: name, attrs, inputs, outputs: made });
    return made;
  }

  collective(what: string, inputs: Entry[], outputs: Form[], run: Collective["run"]): Entry[] {
    if (this.parent)
      throw finish(
        new Error(`${what} cannot run inside scan, which is one program${userFrame()}. Call it on what scan returns.`),
      );
    const nodes = inputs.map((entry) => this.#nodeOf(entry));
    const entries = outputs.map((form): Entry => ({ ...form, node: this.#placeholder(form), tracer: this }));
    this.#collectives.push({ inputs: nodes, outputs: entries.map(({ node }) => node!), run });
    return entries;
  }

  // Matrix products of float32 in a lower precision, where the user asked for it.
  #lowPrecision(name: string, inputs: Entry[]): number | undefined {
    const { matmul } = this.#options;
    if (!matmul || matmul === "float32" || !matrixProducts.has(name)) return undefined;
    if (inputs.some(({ dtype }) => dtype !== TF_FLOAT)) return undefined;
    return matmul === "bfloat16" ? TF_BFLOAT16 : TF_HALF;
  }

  #cast(node: NodeOutput, from: number, to: number): NodeOutput {
    const { lib } = this.#binding;
    const d = this.#begin("Cast");
    lib.TF_AddInput(d, node);
    lib.TF_SetAttrType(d, "SrcT", from);
    lib.TF_SetAttrType(d, "DstT", to);
    return this.#finish(d, "Cast");
  }

  #outputs(oper: bigint, outputs: number, what: string): Entry[] {
    const { lib } = this.#binding;
    return Array.from({ length: outputs }, (_, index) => {
      const node = { oper, index };
      const rank: number = lib.TF_GraphGetTensorNumDims(this.#graph, node, lib.status);
      const shape = new BigInt64Array(Math.max(rank, 0));
      if (rank > 0) lib.TF_GraphGetTensorShape(this.#graph, node, shape, rank, lib.status);
      lib.check(what);
      if (rank < 0 || shape.some((n) => n < 0n)) {
        throw this.refuse(`use ${what}: the shape of its result depends on values. Not possible`);
      }
      return { shape: Array.from(shape, Number), dtype: lib.TF_OperationOutputType(node), node, tracer: this };
    });
  }

  /**
   * A loop in this graph: `condition` and `body` take and give the values of `state`, and after them `body` takes what it
   * closes over, which stays as it is. Both are traces made by `child()`.
   */
  loop(
    name: string,
    condition: Trace,
    body: Trace,
    state: tf.Tensor[],
    results: Result[],
    goesOn: Result,
  ): tf.Tensor[] {
    const { lib } = this.#binding;
    const start = [...state.map((tensor) => this.#binding.get(this.#backend.idOf(tensor))), ...body.taken];
    // What the body does not change, it hands on.
    const handedOn = body.#takenNodes.map((node, i) => body.#identity(node, body.taken[i]));
    for (const entry of body.taken) condition.#input(entry);
    const functions = [
      condition.#toFunction(`${name}_condition`, [goesOn]),
      body.#toFunction(`${name}_body`, [...results, ...handedOn]),
    ];
    for (const fn of functions) {
      lib.TFE_ContextAddFunction(lib.context, fn, lib.status);
      lib.check(name);
      lib.TF_GraphCopyFunction(this.#graph, fn, null, lib.status);
      lib.check(name);
      lib.TF_DeleteFunction(fn);
    }
    const nodes = start.map((entry) => this.#nodeOf(entry));
    const d = this.#begin("StatelessWhile");
    lib.TF_AddInputList(d, packOutputs(nodes), nodes.length);
    for (const [attr, fn] of [
      ["cond", `${name}_condition`],
      ["body", `${name}_body`],
    ])
      lib.TF_SetAttrFuncName(d, attr, fn, fn.length);
    const shapes = start.map(({ shape }) => dims(shape));
    lib.TF_SetAttrShapeList(
      d,
      "output_shapes",
      BigUint64Array.from(shapes, (shape) => koffi.address(shape)),
      Int32Array.from(shapes, (shape) => shape.length),
      shapes.length,
    );
    const { oper } = this.#finish(d, name);
    return this.#outputs(oper, start.length, name)
      .slice(0, state.length)
      .map((entry) => this.#tensor(entry));
  }

  #identity(node: NodeOutput, { shape, dtype }: Form): Result {
    const d = this.#begin("Identity");
    this.#binding.lib.TF_AddInput(d, node);
    return { node: this.#finish(d, "Identity"), shape, dtype };
  }

  #toFunction(name: string, outputs: Result[]): bigint {
    const { lib } = this.#binding;
    const inputs = [...this.#inputs, ...this.#takenNodes];
    const fn: bigint = lib.TF_GraphToFunction(
      this.#graph,
      name,
      0,
      -1,
      null,
      inputs.length,
      packOutputs(inputs),
      outputs.length,
      packOutputs(outputs.map((o) => o.node)),
      null,
      null,
      null,
      lib.status,
    );
    lib.check(name);
    return fn;
  }

  /** Makes the graph a function that XLA compiles at its first call. */
  compile(name: string, outputs: Result[]): Compiled {
    const { lib } = this.#binding;
    if (watchers.size) tell({ trace: this, compiled: name });
    if (this.#collectives.length) {
      const stages = cut(lib, name, {
        graph: this.#graph,
        operations: this.#operations,
        collectives: this.#collectives,
        inputs: this.#inputs,
        outputs: outputs.map(({ node }) => node),
      });
      return { name, outputs, captures: this.#captures, nodes: this.#count, stages };
    }
    const fn = this.#toFunction(name, outputs);
    addCompiled(lib, fn, name);
    return {
      name,
      outputs: outputs.map(({ shape, dtype }) => ({ shape, dtype })),
      captures: this.#captures,
      nodes: this.#count,
    };
  }

  close() {
    this.#binding.lib.TF_DeleteGraph(this.#graph);
  }

  /** Closes a trace of which no program was made. */
  discard() {
    for (const capture of this.#captures)
      if ("handle" in capture) this.#binding.lib.TFE_DeleteTensorHandle(capture.handle);
    this.close();
  }

  #nodeOf(entry: Entry): NodeOutput {
    if (entry.node && entry.tracer === this) return entry.node;
    if (entry.node && !this.#isWithin(entry.tracer)) throw entry.tracer!.refuse("use a value of another jit trace");
    let node = this.#captured.get(entry);
    if (!node) {
      node = this.#capture(entry);
      this.#captured.set(entry, node);
    }
    return node;
  }

  #isWithin(tracer: Tracer | undefined): boolean {
    return this.parent !== undefined && (this.parent === tracer || this.parent.#isWithin(tracer));
  }

  #capture(entry: Entry): NodeOutput {
    const { lib } = this.#binding;
    if (entry.node) return this.#take(entry);
    const variable = entry.literal ? undefined : this.#variableOf(entry);
    if (variable && this.parent) return this.#take(entry);
    if (variable) {
      this.#captures.push({ variable });
      return this.#input(entry);
    }
    if (entry.literal || sizeOf(entry.shape) <= CONSTANT_SIZE) return this.#constant(entry);
    if (this.parent) return this.#take(entry);
    // A handle of our own: the caller may dispose its tensor.
    const handle: bigint = lib.TFE_TensorHandleCopySharingTensor(entry.handle, lib.status);
    lib.check(`capturing ${describe(entry)}`);
    this.#captures.push({ handle });
    return this.#input(entry);
  }

  #take(entry: Entry): NodeOutput {
    const node = this.#placeholder(entry);
    this.taken.push(entry);
    this.#takenNodes.push(node);
    return node;
  }

  #variableOf(entry: Entry): tf.Variable | undefined {
    const { registeredVariables } = tf.engine();
    return Object.values(registeredVariables).find(
      (variable) => !variable.isDisposed && this.#binding.get(this.#backend.idOf(variable)) === entry,
    );
  }

  #constant(entry: Entry): NodeOutput {
    const { lib } = this.#binding;
    const tensor: bigint = lib.TFE_TensorHandleResolve(entry.handle, lib.status);
    lib.check(`constant ${describe(entry)}`);
    const d = this.#begin("Const");
    lib.TF_SetAttrTensor(d, "value", tensor, lib.status);
    lib.TF_SetAttrType(d, "dtype", entry.dtype);
    lib.TF_DeleteTensor(tensor);
    return this.#finish(d, `constant ${describe(entry)}`);
  }

  #placeholder({ shape, dtype }: Form): NodeOutput {
    const { lib } = this.#binding;
    const d = this.#begin("Placeholder");
    lib.TF_SetAttrType(d, "dtype", dtype);
    lib.TF_SetAttrShape(d, "shape", dims(shape), shape.length);
    return this.#finish(d, "input");
  }

  #input(form: Form): NodeOutput {
    const node = this.#placeholder(form);
    this.#inputs.push(node);
    return node;
  }

  #begin(type: string, scope = ""): bigint {
    this.#last = `${scope}${type}_${this.#place}${this.#count++}`;
    return this.#binding.lib.TF_NewOperation(this.#graph, type, this.#last);
  }

  #finish(description: bigint, what: string): NodeOutput {
    const { lib } = this.#binding;
    const oper: bigint = lib.TF_FinishOperation(description, lib.status);
    lib.check(what);
    this.#operations.push(oper);
    return { oper, index: 0 };
  }

  #setAttr(d: bigint, { name, type, value }: OpAttr): unknown {
    const { lib } = this.#binding;
    switch (type) {
      case this.#binding.TF_ATTR_STRING:
        if (Array.isArray(value)) {
          const { texts, lengths } = stringList(value);
          return lib.TF_SetAttrStringList(d, name, texts, lengths, value.length);
        }
        return lib.TF_SetAttrString(d, name, value, Buffer.byteLength(value));
      case this.#binding.TF_ATTR_INT:
        if (Array.isArray(value)) return lib.TF_SetAttrIntList(d, name, dims(value), value.length);
        return lib.TF_SetAttrInt(d, name, value);
      case this.#binding.TF_ATTR_FLOAT:
        return lib.TF_SetAttrFloat(d, name, value);
      case this.#binding.TF_ATTR_BOOL:
        return lib.TF_SetAttrBool(d, name, value ? 1 : 0);
      case this.#binding.TF_ATTR_TYPE:
        return lib.TF_SetAttrType(d, name, value);
      case this.#binding.TF_ATTR_SHAPE:
        return lib.TF_SetAttrShape(d, name, dims(value), value.length);
      default:
        throw new Error(`attribute ${name} has type ${type}, which the binding does not carry`);
    }
  }
}

// XLA keeps a node's name with what it makes of it, so it says what the user wrote: `matMul/`, `gradient-of-softmax/mul/`.
function scope(): string {
  const { op, pass, of } = currentCall();
  const about = pass === "forward" ? "" : pass === "recomputed" ? "recomputed/" : `gradient-of-${of?.op ?? "sum"}/`;
  return `${about}${op ? `${op}/` : ""}`;
}

/** Gives a function to the context, for XLA to compile at its first call. */
export function addCompiled(lib: LibTensorFlow, fn: bigint, name: string): void {
  // AttrValue { b: true } of attr_value.proto: field 5, varint 1
  lib.TF_FunctionSetAttrValueProto(fn, "_XlaMustCompile", Uint8Array.of(0x28, 0x01), 2, lib.status);
  lib.check(`jit ${name}`);
  lib.TFE_ContextAddFunction(lib.context, fn, lib.status);
  lib.TF_DeleteFunction(fn);
  lib.check(`jit ${name}`);
}

// An array of TF_Output as C lays it out: pointer, int, 4 bytes of padding.
export function packOutputs(nodes: NodeOutput[]): BigUint64Array {
  const packed = new BigUint64Array(2 * nodes.length);
  nodes.forEach(({ oper, index }, i) => {
    packed[2 * i] = oper;
    packed[2 * i + 1] = BigInt(index);
  });
  return packed;
}
