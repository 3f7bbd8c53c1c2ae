// The gradient of every kernel that has one against central finite differences, on the draws of the kernel table.
import assert from "node:assert/strict";
import { tf, useDevice } from "@whetstone/engine";
import { make } from "./compare.ts";
import { draw, type Spec } from "./draw.ts";
import { type Drawn, drawsOf, table } from "./kernel-table.ts";

const DRAWS = 4;
/** places of each input that are moved */
const PLACES = 5;

const discrete = "its result is not a float, or a step function of its inputs";
const second = "is itself the gradient of another kernel";
const fused = "tf.fused's ops carry a gradient of their own, tested in ops.test.ts";
const absent = "neither TensorFlow.js nor the engine has one";
/** Kernels of float inputs without a gradient, and why. */
const without: Record<string, string> = {
  Equal: discrete,
  NotEqual: discrete,
  Greater: discrete,
  Less: discrete,
  LessEqual: discrete,
  SearchSorted: discrete,
  Unique: discrete,
  NonMaxSuppressionV3: discrete,
  NonMaxSuppressionV4: discrete,
  NonMaxSuppressionV5: discrete,
  EluGrad: second,
  Conv2DBackpropFilter: second,
  DepthwiseConv2dNativeBackpropInput: second,
  DepthwiseConv2dNativeBackpropFilter: second,
  Conv3DBackpropInputV2: second,
  Conv3DBackpropFilterV2: second,
  AvgPoolGrad: second,
  MaxPoolGrad: second,
  AvgPool3DGrad: second,
  MaxPool3DGrad: second,
  Dilation2DBackpropInput: second,
  Dilation2DBackpropFilter: second,
  ResizeBilinearGrad: second,
  ResizeNearestNeighborGrad: second,
  LRNGrad: second,
  _FusedMatMul: fused,
  FusedConv2D: fused,
  FusedDepthwiseConv2D: fused,
  Bincount: absent,
  DenseBincount: absent,
  SparseSegmentMean: absent,
  SparseSegmentSum: absent,
  MaxPoolWithArgmax: absent,
  CropAndResize: absent,
  RotateWithOffset: absent,
  Transform: absent,
  RaggedGather: absent,
  RaggedRange: absent,
  RaggedTensorToTensor: absent,
  SparseFillEmptyRows: absent,
  Complex: "the autodiff of tfjs carries float32 only",
};
/** Kernels with a gradient in tfjs-core through which nothing flows: their results are no floats. */
const blocked = /^(Is[A-Z]|Arg|GreaterEqual$)/;

type Inputs = Drawn["inputs"];
const named = (inputs: Inputs): [string, Spec | Spec[]][] => Object.entries(inputs);

/** A weighted sum of the float outputs, so that gradients which would cancel in a plain sum are seen. */
function objective(kernel: string, attrs: object, inputs: Record<string, tf.Tensor> | tf.Tensor[]): tf.Scalar {
  const outputs = [tf.engine().runKernel(kernel, inputs as never, attrs as never)].flat() as tf.Tensor[];
  const parts = outputs
    .filter((out) => out.dtype === "float32")
    .map((out, k) => tf.sum(tf.mul(tf.reshape(out, [-1]), make(draw(k + 1).tensor([out.size], "float32", 0.5, 2)))));
  return parts.reduce((a, b) => tf.add(a, b), tf.scalar(0)) as tf.Scalar;
}

function check(kernel: string, drawn: Drawn, seed: number): { faults: string[]; compared: number } {
  const attrs = drawn.attrs ?? {};
  const entries = named(drawn.inputs).filter(([, spec]) => !Array.isArray(spec)) as [string, Spec][];
  const isList = Array.isArray(drawn.inputs);
  const collect = (tensors: tf.Tensor[]) =>
    isList ? tensors : Object.fromEntries(entries.map(([name], i) => [name, tensors[i]]));
  const tensors = entries.map(([, spec]) => make(spec));
  const moving = entries.map(([, { dtype }], i) => (dtype === "float32" ? i : -1)).filter((i) => i >= 0);
  const value = (at: tf.Tensor[]) => objective(kernel, attrs, collect(at));
  const { grads } = tf.engine().gradients(
    () => value(tensors),
    moving.map((i) => tensors[i]),
    undefined,
    true,
  );
  const random = draw(seed);
  const faults: string[] = [];
  let compared = 0;
  moving.forEach((i, k) => {
    const [name, spec] = entries[i];
    const found = grads[k]?.dataSync();
    if (found && String(grads[k].shape) !== String(spec.shape))
      faults.push(`d${name} has the shape [${grads[k].shape}]`);
    for (const place of random.permutation(spec.values.length).slice(0, PLACES)) {
      const at = (h: number) => {
        const values = spec.values.slice() as number[];
        values[place] += h;
        return value(tensors.map((t, j) => (j === i ? make({ ...spec, values }) : t))).dataSync()[0];
      };
      const slope = (h: number) => (at(h) - at(-h)) / (2 * h);
      const [coarse, fine] = [slope(1 / 64), slope(1 / 128)];
      const scale = Math.max(1, Math.abs(fine));
      // A kink or a step between the two points: no derivative to compare with.
      if (!(Math.abs(coarse - fine) <= 5e-3 * scale)) continue;
      compared++;
      const g = found?.[place] ?? 0;
      if (!(Math.abs(g - fine) <= 1e-2 * scale)) faults.push(`d${name}[${place}]: ${g}, finite difference ${fine}`);
    }
  });
  return { faults, compared };
}

describe("gradients of kernels equal finite differences", function () {
  this.timeout(20_000);
  before(() => useDevice("auto"));

  const floats = Object.keys(table).filter((kernel) => takesFloats(drawsOf(kernel, 1)[0]));
  for (const kernel of floats.filter((name) => tf.getGradient(name) && !blocked.test(name))) {
    it(kernel, () => {
      let compared = 0;
      const faults = drawsOf(kernel, DRAWS)
        .slice(0, DRAWS)
        .flatMap((drawn, i) => {
          tf.engine().startScope();
          try {
            const result = check(kernel, drawn, i);
            compared += result.compared;
            return result.faults.map((fault) => `${fault}\n    ${JSON.stringify(drawn).slice(0, 500)}`);
          } catch (error) {
            return [`${(error as Error).message}\n    ${JSON.stringify(drawn).slice(0, 500)}`];
          } finally {
            tf.engine().endScope();
          }
        });
      assert.equal(faults.length, 0, `${faults.length} faults\n${faults.slice(0, 3).join("\n")}`);
      assert.ok(compared > 0, "no place has a finite difference");
    });
  }

  it("every kernel of floats has one, or a reason", () => {
    assert.deepEqual(
      floats.filter((kernel) => !tf.getGradient(kernel) && !without[kernel]),
      [],
    );
  });
});

function takesFloats({ inputs }: Drawn): boolean {
  return Object.values(inputs)
    .flat()
    .some((spec) => (spec as Spec).dtype === "float32");
}
