// Ops that were executed before and are ready for other inputs: to make an op, set its attributes and delete it takes half as long as
// to execute a small one. TensorFlow drops an op's inputs when it has executed it, and keeps the attributes.
import type { Entry, OpAttr } from "./binding.ts";
import type { LibTensorFlow } from "./libtensorflow.ts";

/** An op without inputs whose attributes are set. */
interface Ready {
  op: bigint;
  attrs: OpAttr[];
  /** of the inputs it had */
  dtypes: number[];
}

/** Most ops that are kept of one name: calls differ by dtype and by attributes. */
const KEPT = 8;

/** The ops of one process. */
export function readyOps(lib: LibTensorFlow) {
  const byName = new Map<string, Ready[]>();
  return {
    /** The op with these attributes for inputs of these dtypes, if one was kept. */
    find(name: string, attrs: OpAttr[], inputs: Entry[]): Ready | undefined {
      const there = byName.get(name);
      if (there) for (const ready of there) if (fits(ready, attrs, inputs)) return ready;
      return undefined;
    },
    /** Keeps an op that has been executed, in place of the oldest of its name where there are many. */
    keep(name: string, attrs: OpAttr[], inputs: Entry[], op: bigint): void {
      // Were it to hold its inputs, they would stay alive, and the next ones come on top.
      if (lib.TFE_OpGetFlatInputCount(op, lib.status) !== 0) {
        lib.TFE_DeleteOp(op);
        return;
      }
      const there = byName.get(name) ?? [];
      byName.set(name, there);
      if (there.length === KEPT) lib.TFE_DeleteOp(there.shift()!.op);
      there.push({
        op,
        attrs: attrs.map(({ name, type, value }) => ({ name, type, value: Array.isArray(value) ? [...value] : value })),
        dtypes: inputs.map(({ dtype }) => dtype),
      });
    },
    /** Deletes all: they know devices that are about to be made anew. */
    clear(): void {
      for (const there of byName.values()) for (const { op } of there) lib.TFE_DeleteOp(op);
      byName.clear();
    },
    /** Deletes an op that failed: it still has the inputs. */
    drop(name: string, ready: Ready): void {
      const there = byName.get(name)!;
      there.splice(there.indexOf(ready), 1);
      lib.TFE_DeleteOp(ready.op);
    },
  };
}

function fits({ attrs, dtypes }: Ready, wanted: OpAttr[], inputs: Entry[]): boolean {
  if (attrs.length !== wanted.length || dtypes.length !== inputs.length) return false;
  for (let i = 0; i < dtypes.length; i++) if (dtypes[i] !== inputs[i].dtype) return false;
  for (let i = 0; i < attrs.length; i++) {
    const a = attrs[i];
    const b = wanted[i];
    if (a.name !== b.name || a.type !== b.type || !same(a.value, b.value)) return false;
  }
  return true;
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((each, i) => Object.is(each, b[i]));
}
