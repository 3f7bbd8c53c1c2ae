// What the type check of a cell costs in a notebook that imports the engine and danfojs, and what 200 cells leave in memory.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { median } from "../peers.ts";
import type { Row } from "../run.ts";

const CELLS = 200;
const notebooks = join(import.meta.dirname, "../../../notebooks");

export function* rows(): Generator<Row> {
  // A process of its own: what it keeps is what the language process of a kernel would keep.
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--expose-gc", import.meta.filename], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`the checks of ${CELLS} cells failed:\n${stderr}`);
  const { checks, first, early, late } = JSON.parse(stdout) as Measured;
  const longest = `longest ${Math.max(...checks).toFixed(1)} ms; the cell with the imports ${first.toFixed(0)} ms`;
  yield { id: "check-with-engine", value: median(checks), unit: "ms", note: longest };
  const note = `heap ${(late / 1e6).toFixed(0)} MB after cell ${CELLS}, ${(early / 1e6).toFixed(0)} MB after cell 20`;
  yield { id: "check-with-engine-memory", value: late / early, unit: "ratio", note };
}

interface Measured {
  /** milliseconds of each cell's check */
  checks: number[];
  first: number;
  /** bytes of the heap after cell 20 and after the last */
  early: number;
  late: number;
}

async function measure(): Promise<Measured> {
  const { createCells } = await import("../../../kernel/compile/cells.ts");
  const cells = createCells(notebooks);
  const check = (name: string, code: string) => {
    const begin = performance.now();
    const { diagnostics } = cells.check(name, code);
    const error = diagnostics.find(({ category }) => category === "error");
    if (error !== undefined) throw new Error(`${code}\n${error.message}`);
    return performance.now() - begin;
  };
  const first = check(
    "In[1]",
    'import * as tf from "@tensorflow/tfjs-core"; import { jit, valueAndGrad, random } from "@whetstone/engine"; ' +
      'import { dfd } from "@whetstone/engine/danfojs";',
  );
  const heap = () => {
    globalThis.gc?.();
    return process.memoryUsage().heapUsed;
  };
  let early = 0;
  const checks = Array.from({ length: CELLS }, (_, i) => {
    if (i === 20) early = heap();
    return check(`In[${i + 2}]`, cell(i));
  });
  return { checks, first, early, late: heap() };
}

/** Cells as notebooks have them: tensors, a function over them, a table. */
const cell = (i: number) =>
  [
    `const w${i} = random.normal(random.key(${i}), [4, 4]); const y${i} = tf.matMul(w${i}, w${i}).sum();`,
    `const loss${i} = (p: { w: tf.Tensor }, x: tf.Tensor) => tf.mean(tf.square(tf.matMul(x, p.w)));\n` +
      `const step${i} = jit((p: { w: tf.Tensor }, x: tf.Tensor) => valueAndGrad(loss${i})(p, x)); step${i}`,
    `const table${i} = new dfd.DataFrame([{ step: ${i}, loss: 0.5 }]); table${i}.shape`,
    `function summarize${i}(xs: number[]) { return { mean: xs.reduce((a, b) => a + b, 0) / xs.length } } summarize${i}([1, 2])`,
  ][i % 4];

if (process.argv[1] === import.meta.filename) console.log(JSON.stringify(await measure()));
