// Pytrees: nested records and arrays whose leaves are tensors; everything else in them is static.
import * as tf from "@tensorflow/tfjs-core";

/** A tensor, a static value, or records and arrays of these. */
export type Tree = tf.Tensor | number | string | boolean | null | undefined | Tree[] | { [name: string]: Tree };

/** A tree with its tensors taken out. */
export interface Flat {
  leaves: tf.Tensor[];
  /** path of each leaf, as in `params.wte.weight` */
  paths: string[];
  /** structure, static values, shapes and dtypes: two trees with one key run the same program */
  key: string;
  /** the same tree with other leaves */
  rebuild(leaves: readonly unknown[]): any;
}

/** Takes a tree apart. Throws for what is neither tensor, plain record, array, nor static value, naming its path. */
export function flatten(tree: unknown, name: string): Flat {
  const leaves: tf.Tensor[] = [];
  const paths: string[] = [];
  const key: string[] = [];
  // A copy of the structure: what the caller does to its tree later is not our concern, nor are its tensors held.
  const skeleton = visit(tree, name);
  return { leaves, paths, key: key.join(""), rebuild: (values) => fill(skeleton, values, { next: 0 }) };

  function visit(node: unknown, path: string): unknown {
    if (node instanceof tf.Tensor) {
      if (node.isDisposed) throw new Error(`${path} is a disposed tensor`);
      leaves.push(node);
      paths.push(path);
      key.push(node.dtype, "[", String(node.shape), "]");
      return LEAF;
    }
    if (Array.isArray(node)) {
      key.push("(");
      const copy = node.map((child, i) => {
        const made = visit(child, `${path}[${i}]`);
        key.push(",");
        return made;
      });
      key.push(")");
      return copy;
    }
    if (isRecord(node)) {
      key.push("{");
      const copy: Record<string, unknown> = {};
      for (const field of Object.keys(node)) {
        key.push(JSON.stringify(field), ":");
        copy[field] = visit(node[field], `${path}.${field}`);
        key.push(",");
      }
      key.push("}");
      return copy;
    }
    if (node === null || ["number", "string", "boolean", "undefined"].includes(typeof node)) {
      key.push(typeof node === "string" ? JSON.stringify(node) : Object.is(node, -0) ? "-0" : String(node));
      return node;
    }
    const kind = typeof node === "object" ? node?.constructor?.name : typeof node;
    throw new Error(
      `${path} is a ${kind}: only tensors, plain records, arrays, numbers, strings and booleans can be passed`,
    );
  }
}

const LEAF = Symbol("leaf");

function fill(node: unknown, values: readonly unknown[], at: { next: number }): unknown {
  if (node === LEAF) return values[at.next++];
  if (Array.isArray(node)) return node.map((child) => fill(child, values, at));
  if (!isRecord(node)) return node;
  const copy: Record<string, unknown> = {};
  for (const field of Object.keys(node)) copy[field] = fill(node[field], values, at);
  return copy;
}

function isRecord(node: unknown): node is Record<string, unknown> {
  if (typeof node !== "object" || node === null) return false;
  const prototype = Object.getPrototypeOf(node);
  // A record of another realm (a vm context) has another Object.prototype.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
