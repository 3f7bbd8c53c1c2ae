// How fast the device in use is: products of square matrices in each precision, and sums of long vectors, which only move memory.
// No peer: on a card these are to be read beside its data sheet.
import { devices, jit, tensorFloat32, tf } from "@whetstone/engine";
import { median } from "../peers.ts";
import type { Row } from "../run.ts";

const ROUNDS = 7;

export async function* rows(): AsyncGenerator<Row> {
  const { type, name } = (await devices()).find(({ active }) => active)!;
  const onCard = type === "cuda";
  // Large enough to fill a card, small enough for two cores.
  const n = onCard ? 8192 : 1024;
  const note = `${n} x ${n} on ${name}`;
  yield await product("float32", n, note);
  if (onCard) {
    tensorFloat32(true);
    try {
      yield await product("float32", n, `${note}, TF32`, "tf32");
    } finally {
      tensorFloat32(false);
    }
    yield await product("float16", n, note);
  }
  // WASM computes in float32 whatever it is told.
  if (type !== "wasm") yield await product("bfloat16", n, note);
  yield await sum(onCard ? 2 ** 28 : 2 ** 24, name);
}

async function product(matmul: "float32" | "bfloat16" | "float16", n: number, note: string, name: string = matmul) {
  const [a, b] = [tf.randomUniform([n, n]), tf.randomUniform([n, n])];
  // One value comes back, which waits for the product and moves nothing.
  const run = jit((a: tf.Tensor, b: tf.Tensor) => tf.max(tf.matMul(a, b)), { matmul });
  const seconds = await time(() => run(a, b));
  tf.dispose([a, b]);
  return row(`matmul-${name}`, seconds, (2 * n ** 3) / 1e9, "GFLOP/s", note);
}

async function sum(size: number, name: string) {
  const x = tf.randomUniform([size]);
  // Two passes over memory: x is read once.
  const run = jit((x: tf.Tensor, y: tf.Tensor) => tf.add(x, y));
  const seconds = await time(() => {
    const z = run(x, x);
    const first = tf.slice(z, 0, 1);
    z.dispose();
    return first;
  });
  x.dispose();
  return row(
    "add-bandwidth",
    seconds,
    (2 * 4 * size) / 1e9,
    "GB/s",
    `${size / 2 ** 20} Mi float32 on ${name}, x + x: one read, one write`,
  );
}

/** Seconds of each round; the first call, which compiles, does not count. */
async function time(run: () => tf.Tensor): Promise<number[]> {
  const seconds: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const begin = performance.now();
    const out = run();
    await out.data();
    if (round > 0) seconds.push((performance.now() - begin) / 1e3);
    out.dispose();
  }
  return seconds;
}

function row(id: string, seconds: number[], work: number, unit: string, note: string): Row {
  const spread = `${(work / Math.max(...seconds)).toFixed(0)} to ${(work / Math.min(...seconds)).toFixed(0)}`;
  return { id, value: work / median(seconds), unit, note: `${note}; ${ROUNDS} rounds, ${spread}` };
}
