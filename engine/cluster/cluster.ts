// A cluster of processes that compute together: who is in it, its collectives, and what happens when one of them is gone.
import * as tf from "@tensorflow/tfjs-core";
import { finish } from "../finished.ts";
import { userFrame } from "../frame.ts";
import { flatten } from "../pytree.ts";
import { type Group, runCollective } from "./collectives.ts";
import { type Joined, join } from "./join.ts";
import type { Reduction } from "./shared-memory.ts";
import { membership, nameOf, parseTfConfig } from "./tf-config.ts";

export type { Reduction } from "./shared-memory.ts";

export interface ClusterOptions {
  /** `host:port` of every process, in the order of their ranks; without it TF_CONFIG tells */
  workers?: string[];
  /** rank of this process among `workers` */
  rank?: number;
  /** seconds in which all processes must have started, 120 */
  startTimeout?: number;
  /** seconds that a collective waits for processes that are alive but do not call it, 600 */
  timeout?: number;
  /** `tensorflow` keeps processes of one machine from sharing memory; `auto` */
  transport?: "auto" | "tensorflow";
}

/** One process as this one sees it. */
export interface Health {
  rank: number;
  /** `worker 1 (10.0.0.2:2222)` */
  name: string;
  alive: boolean;
}

/**
 * A process's view of its cluster. Collectives take a tensor or a pytree and give the same form; all processes must call the same
 * ones in the same order. They block until all have called, work eagerly, inside `jit` and under gradients.
 */
export interface Cluster {
  rank: number;
  size: number;
  /** what carries the collectives */
  transport: "TensorFlow" | "shared memory" | "none";
  /** Element by element over all processes; `sum` when not said. float32 and int32; a mean of int32 is cut off. */
  allReduce<T>(tree: T, op?: Reduction): T;
  /** What the process `root` has; the others pass tensors of the same shapes. */
  broadcast<T>(tree: T, root?: number): T;
  /** Each tensor of all processes with a new first axis: [size, ...shape]. */
  allGather<T>(tree: T): T;
  /** Reduces tensors [n, ...], n a multiple of `size`; this process keeps its n / size rows. */
  reduceScatter<T>(tree: T, op?: Reduction): T;
  /** Waits until all processes are here. */
  barrier(): void;
  health(): Promise<Health[]>;
  /**
   * Ends what all processes wait for with an error that has this reason; the cluster is of no use any more. Over TensorFlow's
   * transport, which hands an abort on to some of those who wait only, the others are told when this process ends.
   */
  abort(reason?: string): void;
  /** Leaves the cluster. The process may end without it. */
  close(): Promise<void>;
}

let current: { key: string; joined: Promise<Cluster> } | undefined;

/**
 * Joins the cluster that TF_CONFIG or `workers` and `rank` describe, and waits until all processes have.
 * Without either the process is alone: `size` is 1 and collectives give back what they get, so one script serves both.
 * A process is in one cluster for its life.
 * @throws Error when TF_CONFIG is wrong, a port is taken, or a process does not come in time, with its name
 */
export async function cluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { workers, rank, startTimeout = 120, timeout = 600, transport = "auto" } = options;
  if (!(startTimeout > 0 && timeout > 0))
    throw new Error(`cluster: timeout and startTimeout are seconds above 0, not ${timeout} and ${startTimeout}`);
  if (transport !== "auto" && transport !== "tensorflow")
    throw new Error(`cluster: transport is "${transport}"; it can be "auto" or "tensorflow"`);
  if (!workers && rank !== undefined) throw new Error("cluster: rank is given without workers");
  const config = process.env.TF_CONFIG;
  const found = workers ? membership(workers, rank) : config ? parseTfConfig(config) : undefined;
  if (!found || found.members.length === 1) return clusterOf(alone);
  const key = JSON.stringify([found, timeout, transport]);
  if (current && current.key !== key) throw new Error("cluster: this process is in another cluster already");
  current ??= {
    key,
    joined: join(found, { startTimeout, timeout, transport }).then((joined) =>
      clusterOf(joined, found.members.map(nameOf)),
    ),
  };
  return current.joined;
}

const alone: Omit<Joined, "transport"> & { transport: "none" } = {
  rank: 0,
  size: 1,
  transport: "none",
  run: () => {
    throw new Error("one process has nobody to talk to");
  },
  health: async () => [true],
  abort() {},
  async close() {},
};

function clusterOf(joined: Joined | typeof alone, names = ["worker 0"]): Cluster {
  const { rank, size } = joined;
  const group: Group = joined;

  type Kind = Parameters<typeof runCollective>[1]["kind"];
  interface Call {
    name: string;
    kind: Kind;
    op?: Reduction;
    root?: number;
    check?(x: tf.Tensor, path: string): void;
    after?(x: tf.Tensor): tf.Tensor;
  }

  /** Runs a collective over the tensors of a tree, those of one dtype together. */
  function over(tree: unknown, { name, kind, op = "sum", root = 0, check, after = (x) => x }: Call): any {
    const { leaves, paths, rebuild } = flatten(tree, `${name}: the argument`);
    leaves.forEach((leaf, i) => {
      const allowed = kind === "reduce" ? ["float32", "int32"] : ["float32", "int32", "bool"];
      if (!allowed.includes(leaf.dtype))
        throw finish(new Error(`${paths[i]} is ${leaf.dtype}; it takes ${allowed.join(", ")}${userFrame()}`));
      check?.(leaf, paths[i]);
    });
    return tf.tidy(() => {
      const results = leaves.map((leaf) => (size === 1 ? alike(leaf, kind) : leaf));
      if (size > 1) {
        for (const dtype of ["float32", "int32"]) {
          const at = leaves.flatMap((leaf, i) => (dtype === (leaf.dtype === "bool" ? "int32" : leaf.dtype) ? [i] : []));
          if (at.length === 0) continue;
          const inputs = at.map((i) => (leaves[i].dtype === "bool" ? tf.cast(leaves[i], "int32") : leaves[i]));
          runCollective(inputs, { group, kind, op, root, what: name }).forEach((result, k) => {
            results[at[k]] = leaves[at[k]].dtype === "bool" ? tf.cast(result, "bool") : result;
          });
        }
      }
      return rebuild(results.map(after));
    });
  }

  const checkOp = (name: string, op: string) => {
    if (!["sum", "mean", "max", "min"].includes(op))
      throw finish(new Error(`${name}: "${op}" is not a reduction; take "sum", "mean", "max" or "min"${userFrame()}`));
  };

  return {
    rank,
    size,
    transport: joined.transport,
    allReduce(tree, op = "sum") {
      checkOp("allReduce", op);
      return over(tree, { name: `allReduce(${op})`, kind: "reduce", op });
    },
    broadcast(tree, root = 0) {
      if (!Number.isInteger(root) || root < 0 || root >= size)
        throw finish(new Error(`broadcast: root is ${root}; with ${size} processes it is 0 to ${size - 1}`));
      return over(tree, { name: `broadcast(from ${root})`, kind: "broadcast", root });
    },
    allGather: (tree) => over(tree, { name: "allGather", kind: "gather" }),
    reduceScatter(tree, op = "sum") {
      checkOp("reduceScatter", op);
      return over(tree, {
        name: `reduceScatter(${op})`,
        kind: "reduce",
        op,
        check(x, path) {
          if (x.rank === 0 || x.shape[0] % size !== 0)
            throw finish(
              new Error(
                `${path} is [${x.shape}]; its first axis must be a multiple of ${size} processes${userFrame()}`,
              ),
            );
        },
        after: (x) => tf.slice(x, (rank * x.shape[0]) / size, x.shape[0] / size),
      });
    },
    barrier() {
      if (size > 1) tf.tidy(() => over(tf.zeros([1], "int32"), { name: "barrier", kind: "reduce" }).dataSync());
    },
    async health() {
      const alive = await joined.health();
      return alive.map((answers, r) => ({ rank: r, name: names[r], alive: answers }));
    },
    abort: (reason = "abort() was called") => joined.abort(reason),
    close: () => joined.close(),
  };
}

const alike = (x: tf.Tensor, kind: string) => (kind === "gather" ? tf.expandDims(x, 0) : tf.clone(x));
