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
  visit(tree, name);
  return { leaves, paths, key: key.join(""), rebuild: (values) => replace(tree, values, { next: 0 }) };

  function visit(node: unknown, path: string): void {
    if (node instanceof tf.Tensor) {
      if (node.isDisposed) throw new Error(`${path} is a disposed tensor`);
      leaves.push(node);
      paths.push(path);
      key.push(node.dtype, "[", String(node.shape), "]");
    } else if (Array.isArray(node)) {
      key.push("(");
      node.forEach((child, i) => {
        visit(child, `${path}[${i}]`);
        key.push(",");
      });
      key.push(")");
    } else if (isRecord(node)) {
      key.push("{");
      for (const field of Object.keys(node)) {
        key.push(JSON.stringify(field), ":");
        visit(node[field], `${path}.${field}`);
        key.push(",");
      }
      key.push("}");
    } else if (node === null || ["number", "string", "boolean", "undefined"].includes(typeof node)) {
      key.push(typeof node === "string" ? JSON.stringify(node) : Object.is(node, -0) ? "-0" : String(node));
    } else {
      const kind = typeof node === "object" ? node?.constructor?.name : typeof node;
      throw new Error(
        `${path} is a ${kind}: only tensors, plain records, arrays, numbers, strings and booleans can be passed`,
      );
    }
  }
}

function replace(node: unknown, values: readonly unknown[], at: { next: number }): unknown {
  if (node instanceof tf.Tensor) return values[at.next++];
  if (Array.isArray(node)) return node.map((child) => replace(child, values, at));
  if (isRecord(node)) {
    return Object.fromEntries(Object.entries(node).map(([field, child]) => [field, replace(child, values, at)]));
  }
  return node;
}

function isRecord(node: unknown): node is Record<string, unknown> {
  if (typeof node !== "object" || node === null) return false;
  const prototype = Object.getPrototypeOf(node);
  // A record of another realm (a vm context) has another Object.prototype.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
