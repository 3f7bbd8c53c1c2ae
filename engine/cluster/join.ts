// Joining a cluster: the server of this process, the wait for the others, the way that carries the collectives, and what is said
// when one of the processes is gone.
import { randomBytes } from "node:crypto";
import { join as path } from "node:path";
import { setTimeout } from "node:timers/promises";
import * as tf from "@tensorflow/tfjs-core";
import { tensorflowBackend } from "../backend.ts";
import { finish } from "../finished.ts";
import { userFrame } from "../frame.ts";
import { libraryName } from "../libtensorflow.ts";
import { type CollectiveRuntime, collectiveRuntime, taskName } from "./collective-runtime.ts";
import { type Group, runCollective, sharedTransport, type Transport, tensorflowTransport } from "./collectives.ts";
import {
  createSharedFile,
  openSharedMemory,
  removeSharedFile,
  type SharedMemory,
  type Waiting,
} from "./shared-memory.ts";
import { type Membership, nameOf } from "./tf-config.ts";
import { ANSWER, type Watchdog, watch } from "./watchdog.ts";

export interface JoinOptions {
  /** seconds in which all processes must have started */
  startTimeout: number;
  /** seconds that a collective waits for processes that are alive */
  timeout: number;
  transport: "auto" | "tensorflow";
}

/** A cluster that this process is in. */
export interface Joined extends Group {
  transport: Transport["name"];
  /** Whether each process answers, by rank. */
  health(): Promise<boolean[]>;
  abort(reason: string): void;
  close(): Promise<void>;
}

/** Starts this process's server, waits for the others and agrees with them on how to talk. */
export async function join(membership: Membership, options: JoinOptions): Promise<Joined> {
  const { members, rank } = membership;
  const size = members.length;
  const backend = tensorflowBackend();
  if (!backend)
    throw new Error(`cluster: the device is ${tf.getBackend()}; collectives need TensorFlow (npm run setup brings it)`);
  const { lib } = backend.native;
  const library = path(lib.dir, libraryName("cc"));
  const runtime = collectiveRuntime(library, lib.context);
  backend.native.forgetOps();
  try {
    runtime.enable(membership);
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`cluster: ${nameOf(members[rank])} cannot listen: ${message}. Is its port in use?`);
  }
  await waitForAll(runtime, membership, options.startTimeout);

  const others = members.map((_, r) => r).filter((r) => r !== rank);
  const names = (ranks: number[]) => ranks.map((r) => nameOf(members[r])).join(", ");
  const gone = (ranks: number[]) =>
    `${names(ranks)} ${ranks.length > 1 ? "do" : "does"} not answer: ended, or out of reach`;
  const late = (ranks: number[], among = "") =>
    `${options.timeout} s went by without the same call from ${among}${names(ranks)}`;

  const watchdog: Watchdog = watch({ members, rank, library, context: lib.context });
  let memory: SharedMemory | undefined;
  let transport = tensorflowTransport(backend, { rank, size }, options.timeout);
  /** why no collective runs any more */
  let failure: string | undefined;

  function abort(reason: string) {
    if (failure) return;
    failure = reason;
    memory?.abort(reason);
    runtime.abort(`<<${reason}>>`);
  }

  const waiting: Waiting = {
    seconds: options.timeout,
    check() {
      const lost = watchdog.lost();
      if (lost !== undefined) throw new Stopped(gone([lost]));
    },
    aborted: (r, reason) => new Stopped(`${names([r])} has stopped: ${reason}`),
    differ: (calls) => new Stopped(`the processes do not call the same: ${calls}`),
    late: (ranks) => new Stopped(late(ranks)),
  };

  /** Why a collective failed: TensorFlow's errors do not always name the process that is gone. */
  function reasonOf(error: Error): string {
    if (error instanceof Stopped) return error.message;
    // TensorFlow hands on what another process has aborted with.
    const handed = /<<(.*?)>>/.exec(error.message)?.[1];
    if (handed) return handed;
    const lost = watchdog.lost();
    const silent = lost === undefined ? others.filter((r) => !runtime.answers(taskName(members[r]), ANSWER)) : [lost];
    if (silent.length) return gone(silent);
    if (/timed out|deadline/i.test(error.message)) return late(others, others.length > 1 ? "one of " : "");
    return error.message.replace(/^\w+\(.*?\): /, "").replace(/\n[\s\S]*$/, "");
  }

  const group: Group = {
    rank,
    size,
    run(what, collective) {
      try {
        if (failure) throw new Stopped(failure);
        return collective(transport);
      } catch (error) {
        const reason = reasonOf(error as Error);
        abort(reason);
        const advice = "Start all processes again, from the last checkpoint";
        throw finish(new Error(`${what}: ${reason}${userFrame()}. ${advice}.`, { cause: error }));
      }
    },
  };

  if (options.transport === "auto" && !backend.native.isUsingGpuDevice()) {
    memory = shareMemory(group);
    if (memory) transport = sharedTransport(backend, memory, group, waiting);
  }

  return {
    ...group,
    transport: transport.name,
    health: () => Promise.all(members.map((member, r) => r === rank || runtime.answersAsync(taskName(member), ANSWER))),
    abort,
    async close() {
      failure ??= "this process has closed its cluster";
      await watchdog.close();
    },
  };
}

/** An error that says all there is to say: nobody needs to ask the other processes. */
class Stopped extends Error {}

async function waitForAll(runtime: CollectiveRuntime, { members, rank }: Membership, seconds: number) {
  const absent = new Set(members.filter((_, r) => r !== rank));
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    await Promise.all(
      [...absent].map(async (member) => {
        if (await runtime.answersAsync(taskName(member), 1000)) absent.delete(member);
      }),
    );
    if (absent.size === 0) return;
    if (performance.now() > deadline) {
      const names = [...absent].map(nameOf).join(", ");
      throw new Error(
        `cluster: ${names} did not come within ${seconds} s. ` +
          "Start every process with the same addresses, and see that their ports can be reached.",
      );
    }
    await setTimeout(100);
  }
}

// Whether all processes see one memory: process 0 makes a file, all try to open it, and only if all could it is used.
function shareMemory(group: Group): SharedMemory | undefined {
  const { rank, size } = group;
  const NAME = 48;
  const exchange = (values: Int32Array, kind: "broadcast" | "reduce") =>
    tf.tidy(() => {
      const call = { group, kind, op: "min", root: 0, what: "cluster" } as const;
      return runCollective([tf.tensor1d(values, "int32")], call)[0].dataSync();
    });
  const mine = rank === 0 ? createSharedFile(size, `whetstone-${randomBytes(12).toString("hex")}`) : undefined;
  try {
    const letters = Int32Array.from({ length: NAME }, (_, i) => mine?.charCodeAt(i) || 0);
    const name = String.fromCharCode(...exchange(letters, "broadcast").filter((letter) => letter !== 0));
    const memory = name ? openSharedMemory(name, size, rank) : undefined;
    if (exchange(Int32Array.of(memory ? 1 : 0), "reduce")[0] === 1) return memory;
    memory?.close();
    return undefined;
  } finally {
    if (mine) removeSharedFile(mine);
  }
}
