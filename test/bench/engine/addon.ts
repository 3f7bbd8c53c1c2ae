// An eager op through our FFI beside tfjs-node's own N-API addon, built from its C++ source against the same TensorFlow libraries.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { tf } from "@whetstone/engine";
import { findLibTensorFlow } from "../../../engine/libtensorflow.ts";
import { median, pythonWith } from "../peers.ts";
import type { Row } from "../run.ts";
import { addTime } from "./add-time.ts";

const ROUNDS = 11;
const PEER = "4.22.0";

export async function* rows(): AsyncGenerator<Row> {
  const one = tf.scalar(1);
  const peer = startPeer(buildAddon());
  try {
    const times = { ours: [] as number[], peer: [] as number[] };
    // The first rounds are V8's, which compiles what is hot.
    for (let round = -2; round < ROUNDS; round++) {
      const [own, other] = [addTime(one), await peer.round()];
      if (round < 0) continue;
      times.ours.push(own);
      times.peer.push(other);
    }
    const ratios = times.ours.map((time, i) => time / times.peer[i]);
    yield {
      id: "eager-add-vs-addon",
      value: median(ratios),
      unit: "ratio",
      note: `${median(times.ours).toFixed(1)} us, tfjs-node ${PEER}'s addon ${median(times.peer).toFixed(1)} us; rounds ${ratios.map((r) => r.toFixed(2)).join(" ")}`,
    };
  } finally {
    await peer.stop();
  }
}

/** Compiles tfjs-node's binding into .venv-bench/tfjs-addon/, once; the headers are those of TensorFlow's wheel. */
function buildAddon(): string {
  const libraries = findLibTensorFlow();
  if (!libraries) throw new Error("eager-add-vs-addon: TensorFlow's libraries are missing (npm run setup)");
  const python = pythonWith(["tensorflow-cpu==2.21.0"]);
  const venv = dirname(dirname(python));
  const addon = join(venv, "tfjs-addon", PEER, "tfjs_binding.node");
  if (existsSync(addon)) return addon;
  const include = globSync("lib/python*/site-packages/tensorflow/include", { cwd: venv })[0];
  const source = dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-node-gpu/package.json"));
  const { version } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
  if (version !== PEER) throw new Error(`tfjs-node-gpu is ${version}; this bench is of ${PEER}`);
  mkdirSync(dirname(addon), { recursive: true });
  const { status, stderr, error } = spawnSync(
    "g++",
    [
      ...["-O2", "-std=c++17", "-shared", "-fPIC", "-w"],
      ...[join(dirname(process.execPath), "../include/node"), join(venv, include), source].map((dir) => `-I${dir}`),
      ...["tfjs_backend.cc", "tfjs_binding.cc"].map((file) => join(source, "binding", file)),
      ...[`-L${libraries}`, "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2", `-Wl,-rpath,${libraries}`],
      ...["-o", addon],
    ],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`eager-add-vs-addon: g++ did not compile the addon: ${error?.message ?? stderr}`);
  return addon;
}

function startPeer(addon: string) {
  const child = spawn(process.execPath, [join(import.meta.dirname, "addon-peer.ts"), addon], {
    // As the engine sets them for itself.
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: "3", TF_ENABLE_ONEDNN_OPTS: "0" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    /** Microseconds of an add. */
    async round(): Promise<number> {
      child.stdin.write("\n");
      const { value, done } = await lines.next();
      if (done) throw new Error("addon-peer.ts ended early");
      return Number(value);
    },
    async stop() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}
