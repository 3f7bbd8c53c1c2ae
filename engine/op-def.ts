// What TensorFlow says of its ops: how many inputs one takes.
import { type LibTensorFlow, readBuffer } from "./libtensorflow.ts";
import { fields } from "./protobuf.ts";

const counts = new Map<string, number>();

/** Most inputs that an op takes; Infinity when one of them is a list. TensorFlow crashes on more. */
export function mostInputs(lib: LibTensorFlow, name: string): number {
  let count = counts.get(name);
  if (count === undefined) {
    const graph: bigint = lib.TF_NewGraph();
    try {
      const bytes = readBuffer(lib, (buffer) => lib.TF_GraphGetOpDef(graph, name, buffer, lib.status));
      lib.check(name || "an op without a name");
      count = inputsOf(bytes);
    } finally {
      lib.TF_DeleteGraph(graph);
    }
    counts.set(name, count);
  }
  return count;
}

// op_def.proto: OpDef.input_arg is field 2; ArgDef.number_attr is field 5 and type_list_attr field 6, present for lists.
function inputsOf(opDef: Uint8Array): number {
  const inputs = fields(opDef).filter(({ field }) => field === 2);
  const isList = inputs.some(({ bytes }) => fields(bytes!).some(({ field }) => field === 5 || field === 6));
  return isList ? Number.POSITIVE_INFINITY : inputs.length;
}
