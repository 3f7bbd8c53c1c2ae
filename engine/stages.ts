// A traced function with collectives in it is several programs: XLA cannot compile an exchange between processes, so the graph is
// cut where one stands, and the collectives run between the programs, as they do in eager code.
import type * as tf from "@tensorflow/tfjs-core";
import type { TensorFlowBackend } from "./backend.ts";
import type { NodeOutput } from "./binding.ts";
import type { LibTensorFlow } from "./libtensorflow.ts";
import { addCompiled, type Form, packOutputs } from "./trace.ts";

/** A collective in a graph: its results stand in the graph as placeholders. */
export interface Collective {
  inputs: NodeOutput[];
  outputs: NodeOutput[];
  run: (inputs: tf.Tensor[]) => tf.Tensor[];
}

/** A program and the collectives that follow it. Numbers are places in the table of values of a call. */
export interface Stage {
  /** absent when there is nothing to compute before the collectives */
  name?: string;
  inputs: number[];
  outputs: { at: number; form: Form }[];
  collectives: { inputs: { at: number; form: Form }[]; outputs: number[]; run: Collective["run"] }[];
  /** on the last stage: where the function's results are */
  results?: number[];
}

export interface Graph {
  graph: bigint;
  /** in the order in which they were made, so that inputs come first */
  operations: bigint[];
  collectives: Collective[];
  inputs: NodeOutput[];
  outputs: NodeOutput[];
}

const keyOf = ({ oper, index }: NodeOutput) => `${oper}:${index}`;

/** Cuts a graph at its collectives into functions that XLA compiles. */
export function cut(
  lib: LibTensorFlow,
  name: string,
  { graph, operations, collectives, inputs, outputs }: Graph,
): Stage[] {
  const inputsOf = new Map(operations.map((oper) => [oper, inputsOfOperation(lib, oper)]));
  // The stage of an operation is the number of collectives, one after the other, that it waits for. Constants belong to every stage:
  // shapes and axes must be constants to XLA.
  const stageOf = new Map<bigint, number>();
  const constants = new Set<bigint>();
  const placeholders = new Set<bigint>();
  for (const { oper } of inputs) placeholders.add(oper);
  const resultOf = new Map(
    collectives.flatMap((collective) => collective.outputs.map(({ oper }) => [oper, collective])),
  );
  const last = (nodes: NodeOutput[]) => Math.max(0, ...nodes.map(({ oper }) => stageOf.get(oper)!));
  for (const oper of operations) {
    const from = inputsOf.get(oper)!;
    const collective = resultOf.get(oper);
    if (collective) {
      placeholders.add(oper);
      stageOf.set(oper, last(collective.inputs) + 1);
      continue;
    }
    stageOf.set(oper, last(from));
    if (placeholders.has(oper) || !from.every((node) => constants.has(node.oper))) continue;
    const type: string = lib.TF_OperationOpType(oper);
    if (from.length ? !/Random|Multinomial/.test(type) : type === "Const") constants.add(oper);
  }
  const count = 1 + Math.max(...stageOf.values());

  const places = new Map<string, number>();
  const place = (node: NodeOutput) => {
    const key = keyOf(node);
    if (!places.has(key)) places.set(key, places.size);
    return places.get(key)!;
  };
  inputs.forEach(place);
  const formed = (node: NodeOutput) => ({ at: place(node), form: formOf(lib, graph, node) });
  // What a constant is computed in when somebody outside of a program asks for it.
  const homeOf = (oper: bigint) => (constants.has(oper) ? 0 : stageOf.get(oper)!);

  const stages: Stage[] = [];
  for (let stage = 0; stage < count; stage++) {
    const own = operations.filter((oper) => !placeholders.has(oper) && homeOf(oper) === stage);
    const body = new Set<bigint>();
    const taken = new Map<string, NodeOutput>();
    const include = (oper: bigint) => {
      if (body.has(oper)) return;
      for (const node of inputsOf.get(oper)!) {
        if (constants.has(node.oper)) include(node.oper);
        else if (placeholders.has(node.oper) || stageOf.get(node.oper) !== stage) taken.set(keyOf(node), node);
      }
      body.add(oper);
    };
    for (const oper of own) if (!constants.has(oper)) include(oper);
    // What later stages, collectives and the caller take from this one.
    const asked = new Map<string, NodeOutput>();
    const ask = (node: NodeOutput) => {
      if (placeholders.has(node.oper) || homeOf(node.oper) !== stage) return;
      include(node.oper);
      asked.set(keyOf(node), node);
    };
    for (const oper of operations)
      if (stageOf.get(oper)! > stage && !constants.has(oper))
        for (const node of inputsOf.get(oper)!) if (!constants.has(node.oper)) ask(node);
    for (const collective of collectives) collective.inputs.forEach(ask);
    outputs.forEach(ask);

    const made: Stage = {
      inputs: [...taken.values()].map(place),
      outputs: [...asked.values()].map(formed),
      collectives: collectives
        .filter((collective) => last(collective.inputs) === stage)
        .map((collective) => ({
          inputs: collective.inputs.map(formed),
          outputs: collective.outputs.map(place),
          run: collective.run,
        })),
    };
    if (asked.size) {
      made.name = `${name}_stage_${stage}`;
      const ordered = operations.filter((oper) => body.has(oper));
      addFunction(lib, graph, made.name, ordered, [...taken.values()], [...asked.values()]);
    }
    stages.push(made);
  }
  stages[stages.length - 1].results = outputs.map(place);
  return stages;
}

/** Runs the stages of a function on handles, and gives the handles of its results. */
export function runStages(
  backend: TensorFlowBackend,
  stages: Stage[],
  inputs: bigint[],
  where: () => string,
): bigint[] {
  const { native } = backend;
  const { lib } = native;
  const values: bigint[] = [...inputs];
  const made: tf.Tensor[] = [];
  const tensorOf = (handle: bigint, { shape, dtype }: Form) => {
    const tensor = backend.createOutputTensor(native.add({ handle, shape: [...shape], dtype }));
    made.push(tensor);
    return tensor;
  };
  const share = (handle: bigint): bigint => {
    const copy: bigint = lib.TFE_TensorHandleCopySharingTensor(handle, lib.status);
    lib.check(where());
    return copy;
  };
  const handleOf = (tensor: tf.Tensor) => native.get(backend.idOf(tensor)).handle!;
  try {
    for (const stage of stages) {
      if (stage.name) {
        const handles = native.run(
          stage.name,
          [],
          stage.inputs.map((at) => values[at]),
          stage.outputs.length,
          true,
          where,
        );
        stage.outputs.forEach(({ at, form }, i) => {
          values[at] = handles[i];
          tensorOf(handles[i], form);
        });
      }
      for (const collective of stage.collectives) {
        const tensors = collective.inputs.map(({ at, form }) => tensorOf(share(values[at]), form));
        const results = collective.run(tensors);
        made.push(...results);
        results.forEach((tensor, i) => {
          values[collective.outputs[i]] = handleOf(tensor);
        });
      }
    }
    return stages[stages.length - 1].results!.map((at) => share(values[at]));
  } finally {
    for (const tensor of made) tensor.dispose();
  }
}

function inputsOfOperation(lib: LibTensorFlow, oper: bigint): NodeOutput[] {
  const count: number = lib.TF_OperationNumInputs(oper);
  return Array.from({ length: count }, (_, index) => {
    const node = lib.TF_OperationInput({ oper, index });
    return { oper: BigInt(node.oper), index: node.index };
  });
}

function formOf(lib: LibTensorFlow, graph: bigint, node: NodeOutput): Form {
  const rank: number = lib.TF_GraphGetTensorNumDims(graph, node, lib.status);
  const shape = new BigInt64Array(rank);
  if (rank > 0) lib.TF_GraphGetTensorShape(graph, node, shape, rank, lib.status);
  lib.check("jit");
  return { shape: Array.from(shape, Number), dtype: lib.TF_OperationOutputType(node) };
}

function addFunction(
  lib: LibTensorFlow,
  graph: bigint,
  name: string,
  body: bigint[],
  inputs: NodeOutput[],
  outputs: NodeOutput[],
) {
  const fn: bigint = lib.TF_GraphToFunction(
    graph,
    name,
    0,
    body.length,
    BigUint64Array.from(body),
    inputs.length,
    packOutputs(inputs),
    outputs.length,
    packOutputs(outputs),
    null,
    null,
    null,
    lib.status,
  );
  lib.check(`jit ${name}`);
  addCompiled(lib, fn, name);
}
