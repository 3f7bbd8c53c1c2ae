// Every kernel on TensorFlow against tfjs' CPU backend, on drawn dtypes, shapes, values and attributes; where the CPU backend
// is wrong, against TensorFlow in Python.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { jit, tf, useDevice } from "@whetstone/engine";
import { difference, type Read, read } from "./compare.ts";
import { build, run, type Tensors } from "./drawn.ts";
import { DRAWS, referenced } from "./kernel-references.ts";
import { type Drawn, drawsOf, table } from "./kernel-table.ts";

const references: Record<string, Read[][]> = JSON.parse(
  readFileSync(`${import.meta.dirname}/../fixtures/engine/kernels.json`, "utf8"),
);

/** Kernels without a row, and why. */
const without: Record<string, string> = {
  Multinomial: "draws at random: its distribution is tested in random.test.ts",
  Scan: "the loop of scan(), tested in scan.test.ts",
  Checkpoint: "the function of checkpoint(), tested in scan.test.ts",
  CopyTo: "a copy to another device, tested in devices.test.ts",
  Collective: "an exchange between processes, tested in collectives.test.ts",
};

const valueShape = "the shape of its result depends on values";
const noXla = "XLA has no kernel for it";
/** Kernels that cannot stand in a jitted function, and why. */
const notCompiled: Record<string, string> = {
  Unique: valueShape,
  SparseSegmentMean: valueShape,
  SparseSegmentSum: valueShape,
  NonMaxSuppressionV3: valueShape,
  NonMaxSuppressionV5: valueShape,
  RaggedGather: valueShape,
  RaggedRange: valueShape,
  RaggedTensorToTensor: valueShape,
  SparseFillEmptyRows: valueShape,
  StringNGrams: valueShape,
  StringSplit: valueShape,
  MaxPoolWithArgmax: noXla,
  Dilation2D: noXla,
  Dilation2DBackpropInput: noXla,
  Dilation2DBackpropFilter: noXla,
  ResizeNearestNeighborGrad: noXla,
  CropAndResize: noXla,
  Transform: noXla,
  SparseReshape: noXla,
  StringToHashBucketFast: noXla,
  StaticRegexReplace: noXla,
};

async function results(backend: string, kernel: string, draws: Drawn[]): Promise<(Read[] | Error)[]> {
  await tf.setBackend(backend);
  return draws.map((drawn) => {
    tf.engine().startScope();
    try {
      return read(run(kernel, build(drawn), drawn.attrs));
    } catch (error) {
      return error as Error;
    } finally {
      tf.engine().endScope();
    }
  });
}

describe("kernels on drawn inputs", function () {
  this.timeout(20_000);
  before(() => useDevice("auto"));
  after(() => useDevice("auto"));

  for (const [kernel, { dtypes }] of Object.entries(table)) {
    const reference = referenced[kernel] ? "TensorFlow in Python" : "tfjs' CPU backend";
    it(`${kernel} ${dtypes.join(" ")} equals ${reference}`, async () => {
      const draws = drawsOf(kernel, DRAWS);
      const wanted = referenced[kernel] ? references[kernel] : await results("cpu", kernel, draws);
      const found = await results("tensorflow", kernel, draws);
      assert.equal(wanted.length, draws.length, "the fixture is of other draws: run test/fixtures/engine/kernels.py");
      const faults = draws.flatMap((drawn, i) => {
        const [f, w] = [found[i], wanted[i]];
        const says = f instanceof Error ? f.message : w instanceof Error ? w.message : difference(f, w, 2e-5);
        return says ? [`${says}\n    ${JSON.stringify(drawn).slice(0, 600)}`] : [];
      });
      assert.equal(faults.length, 0, `${faults.length} of ${draws.length} differ\n${faults.slice(0, 3).join("\n")}`);
    });
  }

  // Compiled alone each would take as long as all of them together.
  it("all that XLA compiles, in one program, equal eager", function () {
    this.timeout(60_000);
    const kernels = Object.keys(table).filter((kernel) => !notCompiled[kernel]);
    const draws = kernels.map((kernel) => drawsOf(kernel, 1)[0]);
    const tensors = draws.map(build);
    const all = (inputs: Tensors[]) => kernels.map((kernel, i) => run(kernel, inputs[i], draws[i].attrs));
    const compiled = jit(all)(tensors);
    const eager = all(tensors);
    const faults = kernels.flatMap((kernel, i) => {
      const says = difference(read(compiled[i]), read(eager[i]), 2e-5);
      return says ? [`${kernel}: ${says}`] : [];
    });
    assert.deepEqual(faults, []);
    for (const kernel of Object.keys(notCompiled)) {
      const [drawn] = drawsOf(kernel, 1);
      const alone = jit((inputs: Tensors) => run(kernel, inputs, drawn.attrs));
      assert.throws(() => alone(build(drawn)), /^Error: jit/, kernel);
    }
  });

  it("every kernel that is registered has a row, or a reason", () => {
    const registered = tf.getKernelsForBackend("tensorflow").map(({ kernelName }) => kernelName);
    assert.ok(registered.length >= 170, `${registered.length} kernels`);
    assert.deepEqual(
      registered.filter((name) => !table[name] && !without[name]),
      [],
    );
    assert.deepEqual(
      Object.keys(table).filter((name) => !registered.includes(name)),
      [],
    );
  });

  it("every kernel that tfjs-core dispatches is registered, or has a reason", async () => {
    const names = Object.values(await import("@tensorflow/tfjs-core/dist/kernel_names.js")).filter(
      (name) => typeof name === "string",
    );
    const absent: Record<string, string> = {
      BroadcastTo: "tf.broadcastTo is made of Tile and Reshape",
      LogSoftmax: "tf.logSoftmax is made of other ops",
      LogicalXor: "tf.logicalXor is made of other ops",
      MatrixBandPart: "tf.linalg.bandPart is made of other ops",
      LowerBound: "tf.lowerBound runs SearchSorted",
      UpperBound: "tf.upperBound runs SearchSorted",
      Pool: "tf.pool runs AvgPool and MaxPool",
      FromPixels: "of the browser; tf.browser.fromPixels takes arrays of pixels without it",
      Draw: "draws on a canvas of the browser",
    };
    assert.deepEqual(
      names.filter((name) => !tf.getKernel(name, "tensorflow") && !absent[name]),
      [],
    );
  });
});
