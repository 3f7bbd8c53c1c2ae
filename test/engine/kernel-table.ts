// For every kernel: which dtypes it takes and how to draw inputs and attributes that are valid for it.
import { type Draw, type DType, draw, type Spec } from "./draw.ts";

type Inputs = Record<string, Spec | Spec[]> | Spec[];

export interface Drawn {
  inputs: Inputs;
  attrs?: Record<string, unknown>;
}

export interface Entry {
  dtypes: DType[];
  draw: (d: Draw, dtype: DType) => Drawn;
}

/** Inputs that are another kernel's output from the same draw: the gradients of pools and of LRN take what the forward gave. */
export const derived: Record<string, { input: string; kernel: string; from: string }> = {
  MaxPoolGrad: { input: "output", kernel: "MaxPool", from: "input" },
  MaxPool3DGrad: { input: "output", kernel: "MaxPool3D", from: "input" },
  LRNGrad: { input: "y", kernel: "LRN", from: "x" },
};

/** The draws of a kernel, the same on every machine. */
export function drawsOf(kernel: string, count: number): Drawn[] {
  const { dtypes, draw: drawOne } = table[kernel];
  // Named, not numbered: a new row does not change the draws of the others.
  const seed = [...kernel].reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) | 0, 7);
  return dtypes.flatMap((dtype) => Array.from({ length: count }, (_, i) => drawOne(draw(seed + i), dtype)));
}

const float: DType[] = ["float32"];
const numeric: DType[] = ["float32", "int32"];
const any: DType[] = ["float32", "int32", "bool"];
const every: DType[] = [...any, "string", "complex64"];

export const table: Record<string, Entry> = {};

const add = (names: string, dtypes: DType[], draw: Entry["draw"]) => {
  for (const name of names.split(" ")) table[name] = { dtypes, draw };
};

// One input, value by value. Ranges keep clear of poles and of the ends of float32.
const unary = (names: string, dtypes: DType[], low: number, high: number, attrs?: (d: Draw) => object) =>
  add(names, dtypes, (d, dtype) => ({
    inputs: { x: d.tensor(d.shape(0, 4), dtype, low, high) },
    attrs: attrs?.(d) as Record<string, unknown>,
  }));
unary("Abs Neg Relu Relu6 Sign Square", numeric, -8, 8);
unary("Ceil Cos Cosh Elu Erf Expm1 Floor Selu Sigmoid Sin Sinh Softplus Tanh", float, -4, 4);
unary("Exp Round", numeric, -4, 4);
unary("Acos Asin", float, -1, 1);
unary("Atan Asinh", float, -5, 5);
unary("Acosh", float, 1, 6);
unary("Atanh", float, -0.9, 0.9);
unary("Tan", float, -1.4, 1.4);
unary("Log Sqrt Rsqrt Reciprocal", float, 0.1, 9);
unary("Log1p", float, -0.9, 9);
unary("IsFinite IsInf IsNan", numeric, -4, 4);
unary("LogicalNot", ["bool"], 0, 1);
unary("Identity", every, -9, 9);
unary("OnesLike ZerosLike", [...any, "complex64"], -9, 9);
unary("Step", numeric, -4, 4, (d) => ({ alpha: d.pick([0, 0.5]) }));
unary("LeakyRelu", numeric, -4, 4, (d) => ({ alpha: d.pick([0.1, 0.2, 0.5]) }));
unary("ClipByValue", numeric, -8, 8, (d) => ({ clipValueMin: d.int(-4, 0), clipValueMax: d.int(1, 4) }));
add("Cast", [...any, "complex64"], (d, dtype) => ({
  inputs: { x: d.tensor(d.shape(0, 3), dtype, -4, 4) },
  attrs: { dtype: d.pick(["float32", "int32", "bool", "complex64"]) },
}));
add("Prelu", float, (d) => {
  const shape = d.shape(1, 3);
  return { inputs: { x: d.tensor(shape), alpha: d.tensor(shape.slice(d.int(0, shape.length - 1)), "float32", 0, 1) } };
});
add("EluGrad", float, (d) => {
  const shape = d.shape(0, 3);
  return { inputs: { dy: d.tensor(shape), y: d.tensor(shape, "float32", -0.9, 2) } };
});

// Two inputs with broadcasting.
const binary = (names: string, dtypes: DType[], low: number, high: number) =>
  add(names, dtypes, (d, dtype) => {
    const [a, b] = d.broadcastPair();
    return { inputs: { a: d.tensor(a, dtype, low, high), b: d.tensor(b, dtype, low, high) } };
  });
binary("Add Multiply Sub", [...numeric, "complex64"], -9, 9);
binary("Maximum Minimum SquaredDifference", numeric, -9, 9);
binary("Equal NotEqual", [...any, "string"], -2, 2);
binary("Greater GreaterEqual Less LessEqual", numeric, -2, 2);
binary("Mod FloorDiv", numeric, 1, 9);
// tfjs-core divides integers with FloorDiv.
binary("RealDiv", float, 1, 9);
binary("Pow", numeric, 0.5, 3);
binary("Atan2", float, 0.2, 4);
binary("LogicalAnd LogicalOr", ["bool"], 0, 1);
add("BitwiseAnd", ["int32"], (d) => {
  const shape = d.shape(0, 3);
  return { inputs: { a: d.tensor(shape, "int32", -99, 99), b: d.tensor(shape, "int32", -99, 99) } };
});
add("AddN", numeric, (d, dtype) => {
  const shape = d.shape(0, 3);
  return { inputs: Array.from({ length: d.int(2, 4) }, () => d.tensor(shape, dtype)) };
});
add("BroadcastArgs", ["int32"], (d) => {
  const [a, b] = d.broadcastPair();
  const spec = (values: number[]): Spec => ({ dtype: "int32", shape: [values.length], values });
  return { inputs: { s0: spec(a), s1: spec(b) } };
});
add("Select", any, (d, dtype) => {
  const shape = d.shape(1, 3);
  const condition = d.bool() ? shape : shape.slice(0, 1);
  return { inputs: { condition: d.tensor(condition, "bool"), t: d.tensor(shape, dtype), e: d.tensor(shape, dtype) } };
});

// Reductions.
const reduction = (names: string, dtypes: DType[], axisName: string, low = -3, high = 3) =>
  add(names, dtypes, (d, dtype) => {
    const shape = d.shape(1, 4);
    return {
      inputs: { x: d.tensor(shape, dtype, low, high) },
      attrs: { [axisName]: d.axes(shape.length), keepDims: d.bool() },
    };
  });
reduction("Sum", numeric, "axis");
reduction("Mean", any, "axis");
reduction("Prod", numeric, "axis", 1, 3);
reduction("Max", numeric, "reductionIndices");
reduction("Min", numeric, "axis");
reduction("All Any", ["bool"], "axis");
add("ArgMax ArgMin", any, (d, dtype) => {
  const shape = d.shape(1, 3);
  return { inputs: { x: d.distinct(shape, dtype) }, attrs: { axis: d.int(0, shape.length - 1) } };
});
add("Cumsum Cumprod", numeric, (d, dtype) => {
  const shape = d.shape(1, 3);
  return {
    inputs: { x: d.tensor(shape, dtype) },
    attrs: { axis: d.int(0, shape.length - 1), exclusive: d.bool(), reverse: d.bool() },
  };
});
add("Softmax", float, (d) => {
  const shape = d.shape(1, 3);
  return { inputs: { logits: d.tensor(shape) }, attrs: { dim: shape.length - 1 } };
});
add("TopK", numeric, (d, dtype) => {
  const shape = d.shape(1, 3);
  return { inputs: { x: d.distinct(shape, dtype) }, attrs: { k: d.int(1, shape[shape.length - 1]), sorted: true } };
});
add("Unique", [...any, "string"], (d, dtype) => ({
  inputs: { x: d.tensor(d.bool() ? [d.int(1, 8)] : d.shape(2, 2), dtype, 0, 2) },
  attrs: { axis: 0 },
}));
add("Bincount", numeric, (d, dtype) => {
  const n = d.int(1, 9);
  return { inputs: { x: d.tensor([n], "int32", 0, 5), weights: d.tensor([n], dtype) }, attrs: { size: d.int(3, 7) } };
});
add("DenseBincount", numeric, (d, dtype) => {
  const shape = d.shape(1, 2, 6);
  const weights = d.bool() ? d.tensor(shape, dtype) : d.tensor([0], dtype);
  return {
    inputs: { x: d.tensor(shape, "int32", 0, 4), weights },
    attrs: { size: d.int(5, 7), binaryOutput: weights.values.length === 0 && d.bool() },
  };
});
add("SearchSorted", numeric, (d, dtype) => {
  const rows = d.int(1, 3);
  const width = d.int(1, 6);
  const sorted = d.tensor([rows, width], dtype);
  const lines = Array.from({ length: rows }, (_, r) =>
    (sorted.values.slice(r * width, (r + 1) * width) as number[]).sort((a, b) => a - b),
  );
  return {
    inputs: { sortedSequence: { ...sorted, values: lines.flat() }, values: d.tensor([rows, d.int(1, 4)], dtype) },
    attrs: { side: d.pick(["left", "right"]) },
  };
});

// Shapes and places.
add("Reshape", every, (d, dtype) => {
  const shape = d.shape(0, 4);
  return { inputs: { x: d.tensor(shape, dtype) }, attrs: { shape: d.permutation(shape.length).map((i) => shape[i]) } };
});
add("ExpandDims", every, (d, dtype) => {
  const shape = d.shape(0, 3);
  return { inputs: { input: d.tensor(shape, dtype) }, attrs: { dim: d.int(0, shape.length) } };
});
add("Transpose", [...any, "string"], (d, dtype) => {
  const shape = d.shape(1, 4);
  return { inputs: { x: d.tensor(shape, dtype) }, attrs: { perm: d.permutation(shape.length) } };
});
add("Reverse", [...any, "string"], (d, dtype) => {
  const shape = d.shape(1, 4);
  return { inputs: { x: d.tensor(shape, dtype) }, attrs: { dims: d.axes(shape.length) } };
});
add("Tile", [...any, "string"], (d, dtype) => {
  const shape = d.shape(1, 3);
  return { inputs: { x: d.tensor(shape, dtype) }, attrs: { reps: shape.map(() => d.int(1, 3)) } };
});
add("Slice", [...any, "string"], (d, dtype) => {
  const shape = d.shape(1, 4);
  const begin = shape.map((n) => d.int(0, n - 1));
  return {
    inputs: { x: d.tensor(shape, dtype) },
    attrs: { begin, size: shape.map((n, i) => d.int(1, n - begin[i])) },
  };
});
add("StridedSlice", [...any, "string"], (d, dtype) => {
  const shape = d.shape(1, 3, 5);
  const bits = () => shape.reduce((mask, _, i) => mask | (d.next() < 0.2 ? 1 << i : 0), 0);
  const strides = shape.map(() => d.pick([1, 1, 2, -1, -2]));
  const begin = shape.map((n, i) => (strides[i] > 0 ? d.int(0, n - 1) : d.int(0, n - 1) - n));
  const end = shape.map((n, i) => (strides[i] > 0 ? d.int(begin[i] + 1, n) : d.int(-n - 1, begin[i] - 1)));
  const shrinkAxisMask = bits();
  for (let i = 0; i < shape.length; i++) if (shrinkAxisMask & (1 << i)) strides[i] = 1;
  return {
    inputs: { x: d.tensor(shape, dtype) },
    attrs: { begin, end, strides, beginMask: bits(), endMask: bits(), ellipsisMask: 0, newAxisMask: 0, shrinkAxisMask },
  };
});
add("Concat", every, (d, dtype) => {
  const shape = d.shape(1, 3);
  const axis = d.int(0, shape.length - 1);
  const part = () =>
    d.tensor(
      shape.map((n, i) => (i === axis ? d.int(1, 3) : n)),
      dtype,
    );
  return { inputs: Array.from({ length: d.int(2, 4) }, part), attrs: { axis } };
});
add("Pack", every, (d, dtype) => {
  const shape = d.shape(0, 3);
  const inputs = Array.from({ length: d.int(1, 4) }, () => d.tensor(shape, dtype));
  return { inputs, attrs: { axis: d.int(0, shape.length) } };
});
add("Unpack", [...any, "string"], (d, dtype) => {
  const shape = d.shape(1, 3);
  return { inputs: { value: d.tensor(shape, dtype) }, attrs: { axis: d.int(0, shape.length - 1) } };
});
add("SplitV", [...any, "string"], (d, dtype) => {
  const shape = d.shape(1, 3);
  const axis = d.int(0, shape.length - 1);
  const sizes = Array.from({ length: d.int(1, 3) }, () => d.int(1, 3));
  shape[axis] = sizes.reduce((a, b) => a + b);
  return { inputs: { x: d.tensor(shape, dtype) }, attrs: { numOrSizeSplits: sizes, axis } };
});
add("PadV2", any, (d, dtype) => {
  const shape = d.shape(1, 4);
  return {
    inputs: { x: d.tensor(shape, dtype) },
    attrs: { paddings: shape.map(() => [d.int(0, 2), d.int(0, 2)]), constantValue: d.int(0, 1) },
  };
});
add("MirrorPad", [...any, "string"], (d, dtype) => {
  const shape = d.shape(1, 3).map((n) => n + 1);
  const mode = d.pick(["reflect", "symmetric"]);
  const most = (n: number) => (mode === "reflect" ? n - 1 : n);
  return {
    inputs: { x: d.tensor(shape, dtype) },
    attrs: { paddings: shape.map((n) => [d.int(0, most(n)), d.int(0, most(n))]), mode },
  };
});
add("Diag", numeric, (d, dtype) => ({ inputs: { x: d.tensor(d.shape(1, 2), dtype) } }));
add("Fill", [...any, "string"], (d, dtype) => ({
  inputs: {},
  attrs: { shape: d.shape(0, 3), value: dtype === "string" ? "é" : d.int(0, 1), dtype },
}));
add("Range", numeric, (d, dtype) => ({
  inputs: {},
  attrs: { start: d.int(-3, 3), stop: d.int(4, 9), step: d.int(1, 3), dtype },
}));
add("LinSpace", float, (d) => ({ inputs: {}, attrs: { start: d.int(-3, 3), stop: d.int(4, 9), num: d.int(1, 7) } }));
add("OneHot", ["int32"], (d) => ({
  inputs: { indices: d.tensor(d.shape(1, 3), "int32", 0, 3) },
  attrs: { depth: d.int(2, 5), onValue: d.int(1, 3), offValue: d.int(-1, 0), dtype: d.pick(["float32", "int32"]) },
}));

// Gather and scatter.
add("GatherV2", [...any, "string"], (d, dtype) => {
  const shape = d.shape(1, 3);
  const axis = d.int(0, shape.length - 1);
  const batchDims = d.bool() ? 0 : d.int(0, axis);
  const indices = [...shape.slice(0, batchDims), ...d.shape(1, 2)];
  return {
    inputs: { x: d.tensor(shape, dtype), indices: d.tensor(indices, "int32", 0, shape[axis] - 1) },
    attrs: { axis, batchDims },
  };
});
/** rows of `depth` coordinates into shape, all different */
function places(d: Draw, shape: number[], depth: number, count: number): Spec {
  const total = shape.slice(0, depth).reduce((a, b) => a * b, 1);
  const rows = d.permutation(total).slice(0, Math.min(count, total));
  const values = rows.flatMap((flat) => {
    const row = new Array<number>(depth);
    for (let i = depth - 1; i >= 0; i--) {
      row[i] = flat % shape[i];
      flat = Math.floor(flat / shape[i]);
    }
    return row;
  });
  return { dtype: "int32", shape: [rows.length, depth], values };
}
add("GatherNd", [...any, "string"], (d, dtype) => {
  const shape = d.shape(1, 3);
  return {
    inputs: { params: d.tensor(shape, dtype), indices: places(d, shape, d.int(1, shape.length), d.int(1, 4)) },
    attrs: {},
  };
});
const scatter =
  (withTensor: boolean) =>
  (d: Draw, dtype: DType): Drawn => {
    const shape = d.shape(1, 3);
    const depth = d.int(1, shape.length);
    const indices = places(d, shape, depth, d.int(1, 4));
    const updates = d.tensor([indices.shape[0], ...shape.slice(depth)], dtype);
    return withTensor
      ? { inputs: { tensor: d.tensor(shape, dtype), indices, updates } }
      : { inputs: { indices, updates }, attrs: { shape } };
  };
add("ScatterNd", any, scatter(false));
add("TensorScatterUpdate", [...any, "string"], scatter(true));
add("SparseToDense", [...any, "string"], (d, dtype) => {
  const shape = d.shape(1, 3);
  const found = places(d, shape, shape.length, d.int(1, 4));
  // TensorFlow wants them in order.
  const rows = Array.from({ length: found.shape[0] }, (_, r) =>
    found.values.slice(r * shape.length, (r + 1) * shape.length),
  ).sort((a, b) => a.map((x, i) => Number(x) - Number(b[i])).find((x) => x !== 0) ?? 0);
  return {
    inputs: {
      sparseIndices: { ...found, values: rows.flat() },
      sparseValues: d.tensor([rows.length], dtype),
      defaultValue: d.tensor([], dtype),
    },
    attrs: { outputShape: shape },
  };
});
add("UnsortedSegmentSum", numeric, (d, dtype) => {
  const shape = d.shape(1, 3);
  return {
    inputs: { x: d.tensor(shape, dtype), segmentIds: d.tensor(shape.slice(0, 1), "int32", 0, 3) },
    attrs: { numSegments: d.int(4, 5) },
  };
});
const sparseSegment: Entry["draw"] = (d, dtype) => {
  const shape = d.shape(1, 3);
  const n = d.int(1, 5);
  const segments = (d.tensor([n], "int32", 0, 1).values as number[]).sort();
  // Segments are numbered without gaps.
  const ids = segments.map((s) => s - segments[0]);
  return {
    inputs: {
      data: d.tensor(shape, dtype),
      indices: d.tensor([n], "int32", 0, shape[0] - 1),
      segmentIds: { dtype: "int32", shape: [n], values: ids },
    },
  };
};
add("SparseSegmentMean", float, sparseSegment);
add("SparseSegmentSum", numeric, sparseSegment);

// Products.
const matrices = (d: Draw) => {
  const [m, k, n] = [d.int(1, 4), d.int(1, 5), d.int(1, 4)];
  const [transposeA, transposeB] = [d.bool(), d.bool()];
  const batch = d.shape(0, 2, 2);
  return {
    a: d.tensor([...batch, ...(transposeA ? [k, m] : [m, k])]),
    b: d.tensor([...(d.bool() ? batch : batch.map(() => 1)), ...(transposeB ? [n, k] : [k, n])]),
    n,
    transposes: { transposeA, transposeB },
  };
};
add("BatchMatMul", float, (d) => {
  const { a, b, transposes } = matrices(d);
  // The kernel takes rank 3 at least on the CPU backend; tf.matMul reshapes.
  const rank3 = (t: Spec) => ({ ...t, shape: t.shape.length < 3 ? [1, ...t.shape] : t.shape });
  return { inputs: { a: rank3(a), b: rank3(b) }, attrs: transposes };
});
const activation = (d: Draw) => d.pick(["linear", "relu", "relu6", "elu", "sigmoid", "leakyrelu", "prelu"]);
add("_FusedMatMul", float, (d) => {
  const [m, k, n] = [d.int(1, 4), d.int(1, 5), d.int(1, 4)];
  const act = activation(d);
  return {
    inputs: {
      a: d.tensor([1, m, k]),
      b: d.tensor([1, k, n]),
      ...(d.bool() && { bias: d.tensor([n]) }),
      ...(act === "prelu" && { preluActivationWeights: d.tensor([n]) }),
    },
    attrs: { transposeA: false, transposeB: false, activation: act, leakyreluAlpha: 0.2 },
  };
});
add("Einsum", float, (d) => {
  const letters = "ijklb";
  const sizes = Object.fromEntries([...letters].map((letter) => [letter, d.int(1, 4)]));
  const equation = d.pick([
    "ij,jk->ik",
    "bij,bjk->bik",
    "ij,kj->ki",
    "i,j->ij",
    "ij->ji",
    "ij->i",
    "ij,ij->",
    "bij,jkl->bikl",
    "ijk,jil->kl",
  ]);
  const terms = equation.split("->")[0].split(",");
  return { inputs: terms.map((term) => d.tensor([...term].map((letter) => sizes[letter]))), attrs: { equation } };
});

// Convolutions and pools.
const window = (d: Draw) => ({
  strides: [d.int(1, 2), d.int(1, 2)],
  pad: d.pick(["valid", "same"]),
  dataFormat: "NHWC",
  dimRoundingMode: undefined,
});
function convolution(d: Draw, depthwise = false) {
  const [height, width, channels, out] = [d.int(4, 6), d.int(4, 6), d.int(1, 3), d.int(1, 3)];
  const filterShape = [d.int(1, 3), d.int(1, 3), channels, out];
  const attrs = window(d);
  if (depthwise) attrs.strides[1] = attrs.strides[0];
  const size = (n: number, f: number, s: number) =>
    attrs.pad === "same" ? Math.ceil(n / s) : Math.ceil((n - f + 1) / s);
  const batch = d.int(1, 2);
  const outShape = [
    batch,
    size(height, filterShape[0], attrs.strides[0]),
    size(width, filterShape[1], attrs.strides[1]),
    depthwise ? channels * out : out,
  ];
  return { xShape: [batch, height, width, channels], filterShape, outShape, attrs };
}
const dilations = [1, 1];
add("Conv2D", float, (d) => {
  const { xShape, filterShape, attrs } = convolution(d);
  return { inputs: { x: d.tensor(xShape), filter: d.tensor(filterShape) }, attrs: { ...attrs, dilations } };
});
add("Conv2DBackpropInput", float, (d) => {
  const { xShape, filterShape, outShape, attrs } = convolution(d);
  return { inputs: { dy: d.tensor(outShape), filter: d.tensor(filterShape) }, attrs: { ...attrs, inputShape: xShape } };
});
add("Conv2DBackpropFilter", float, (d) => {
  const { xShape, filterShape, outShape, attrs } = convolution(d);
  return { inputs: { x: d.tensor(xShape), dy: d.tensor(outShape) }, attrs: { ...attrs, filterShape } };
});
add("DepthwiseConv2dNative", float, (d) => {
  const { xShape, filterShape, attrs } = convolution(d, true);
  return { inputs: { x: d.tensor(xShape), filter: d.tensor(filterShape) }, attrs: { ...attrs, dilations } };
});
add("DepthwiseConv2dNativeBackpropInput", float, (d) => {
  const { xShape, filterShape, outShape, attrs } = convolution(d, true);
  return {
    inputs: { dy: d.tensor(outShape), filter: d.tensor(filterShape) },
    attrs: { ...attrs, dilations, inputShape: xShape },
  };
});
add("DepthwiseConv2dNativeBackpropFilter", float, (d) => {
  const { xShape, filterShape, outShape, attrs } = convolution(d, true);
  return { inputs: { x: d.tensor(xShape), dy: d.tensor(outShape) }, attrs: { ...attrs, dilations, filterShape } };
});
add("FusedConv2D FusedDepthwiseConv2D", float, (d) => {
  const { xShape, filterShape, attrs } = convolution(d, true);
  const out = xShape[3] * filterShape[3];
  const bias = d.bool();
  return {
    // As many filters as the depthwise one has, so that one draw serves both.
    inputs: { x: d.tensor(xShape), filter: d.tensor(filterShape), ...(bias && { bias: d.tensor([1]) }) },
    attrs: { ...attrs, dilations, activation: d.pick(["linear", "relu", "relu6", "elu"]), out },
  };
});
function convolution3d(d: Draw) {
  const spatial = [d.int(3, 4), d.int(3, 4), d.int(3, 4)];
  const filter = [d.int(1, 2), d.int(1, 2), d.int(1, 2)];
  const [channels, out] = [d.int(1, 2), d.int(1, 2)];
  const strides = Array(3).fill(d.int(1, 2));
  const pad = d.pick(["valid", "same"]);
  const size = (i: number) => Math.ceil((pad === "same" ? spatial[i] : spatial[i] - filter[i] + 1) / strides[i]);
  return {
    xShape: [1, ...spatial, channels],
    filterShape: [...filter, channels, out],
    outShape: [1, size(0), size(1), size(2), out],
    attrs: { strides, pad, dilations: 1 },
  };
}
add("Conv3D", float, (d) => {
  const { xShape, filterShape, attrs } = convolution3d(d);
  return { inputs: { x: d.tensor(xShape), filter: d.tensor(filterShape) }, attrs };
});
add("Conv3DBackpropInputV2", float, (d) => {
  const { xShape, filterShape, outShape, attrs } = convolution3d(d);
  return { inputs: { dy: d.tensor(outShape), filter: d.tensor(filterShape) }, attrs: { ...attrs, inputShape: xShape } };
});
add("Conv3DBackpropFilterV2", float, (d) => {
  const { xShape, filterShape, outShape, attrs } = convolution3d(d);
  return { inputs: { x: d.tensor(xShape), dy: d.tensor(outShape) }, attrs: { ...attrs, filterShape } };
});
function pool(d: Draw) {
  const shape = [d.int(1, 2), d.int(4, 6), d.int(4, 6), d.int(1, 3)];
  const filterSize = [d.int(1, 3), d.int(1, 3)];
  const { strides, pad } = window(d);
  const size = (i: number) =>
    Math.ceil((pad === "same" ? shape[i + 1] : shape[i + 1] - filterSize[i] + 1) / strides[i]);
  return { shape, out: [shape[0], size(0), size(1), shape[3]], attrs: { filterSize, strides, pad } };
}
add("AvgPool MaxPool", float, (d) => {
  const { shape, attrs } = pool(d);
  return { inputs: { x: d.tensor(shape) }, attrs };
});
add("MaxPoolWithArgmax", float, (d) => {
  const { shape, attrs } = pool(d);
  return { inputs: { x: d.distinct(shape) }, attrs: { ...attrs, includeBatchInIndex: d.bool() } };
});
add("AvgPoolGrad", float, (d) => {
  const { shape, out, attrs } = pool(d);
  return { inputs: { dy: d.tensor(out), input: d.tensor(shape) }, attrs };
});
add("MaxPoolGrad", float, (d) => {
  const { shape, out, attrs } = pool(d);
  return { inputs: { dy: d.tensor(out), input: d.distinct(shape) }, attrs };
});
function pool3d(d: Draw) {
  const spatial = [d.int(3, 4), d.int(3, 4), d.int(3, 4)];
  const filterSize = d.int(1, 2);
  const strides = d.int(1, 2);
  const pad = d.pick(["valid", "same"]);
  const size = (n: number) => Math.ceil((pad === "same" ? n : n - filterSize + 1) / strides);
  return {
    shape: [1, ...spatial, 2],
    out: [1, ...spatial.map(size), 2],
    attrs: { filterSize, strides, pad, dataFormat: "NDHWC" },
  };
}
add("AvgPool3D MaxPool3D", float, (d) => {
  const { shape, attrs } = pool3d(d);
  return { inputs: { x: d.tensor(shape) }, attrs };
});
add("AvgPool3DGrad", float, (d) => {
  const { shape, out, attrs } = pool3d(d);
  return { inputs: { dy: d.tensor(out), input: d.tensor(shape) }, attrs };
});
add("MaxPool3DGrad", float, (d) => {
  const { shape, out, attrs } = pool3d(d);
  return { inputs: { dy: d.tensor(out), input: d.distinct(shape) }, attrs };
});
function dilation(d: Draw) {
  const [height, width, channels] = [d.int(4, 6), d.int(4, 6), d.int(1, 3)];
  const pad = d.pick(["valid", "same"]);
  const [fh, fw, s] = [d.int(1, 3), d.int(1, 3), d.int(1, 2)];
  const size = (n: number, f: number) => Math.ceil((pad === "same" ? n : n - f + 1) / s);
  return {
    x: d.distinct([1, height, width, channels]),
    filter: d.tensor([fh, fw, channels], "float32", -0.02, 0.02),
    dy: d.tensor([1, size(height, fh), size(width, fw), channels]),
    attrs: { strides: [s, s], pad, dilations: [1, 1] },
  };
}
add("Dilation2D", float, (d) => {
  const { x, filter, attrs } = dilation(d);
  return { inputs: { x, filter }, attrs };
});
add("Dilation2DBackpropInput Dilation2DBackpropFilter", float, (d) => {
  const { x, filter, dy, attrs } = dilation(d);
  return { inputs: { x, filter, dy }, attrs };
});

// Images and neighbours.
const image = (d: Draw, channels = d.int(1, 3)) => d.tensor([d.int(1, 2), d.int(2, 5), d.int(2, 5), channels]);
const resizing = (d: Draw) => {
  const alignCorners = d.bool();
  return { alignCorners, halfPixelCenters: !alignCorners && d.bool(), size: [d.int(2, 7), d.int(2, 7)] };
};
add("ResizeBilinear ResizeNearestNeighbor", float, (d) => ({ inputs: { images: image(d) }, attrs: resizing(d) }));
add("ResizeBilinearGrad ResizeNearestNeighborGrad", float, (d) => {
  const images = image(d);
  const attrs = resizing(d);
  return { inputs: { images, dy: d.tensor([images.shape[0], ...attrs.size, images.shape[3]]) }, attrs };
});
add("CropAndResize", float, (d) => {
  const images = image(d);
  const n = d.int(1, 3);
  const boxes = Array.from({ length: n }, () => [0, 0, 0, 0].map((_, i) => (d.int(0, 4) + (i > 1 ? 4 : 0)) / 8)).flat();
  return {
    inputs: {
      image: images,
      boxes: { dtype: "float32", shape: [n, 4], values: boxes },
      boxInd: d.tensor([n], "int32", 0, images.shape[0] - 1),
    },
    attrs: { cropSize: [d.int(2, 4), d.int(2, 4)], method: d.pick(["bilinear", "nearest"]), extrapolationValue: 0.5 },
  };
});
add("FlipLeftRight", float, (d) => ({ inputs: { image: image(d) } }));
add("RotateWithOffset", float, (d) => ({
  inputs: { image: image(d, d.pick([1, 3, 4])) },
  attrs: { radians: d.int(-6, 6) / 4, fillValue: d.int(0, 9), center: [d.int(0, 4) / 4, d.int(0, 4) / 4] },
}));
add("Transform", float, (d) => ({
  inputs: {
    image: image(d),
    transforms: d.tensor([1, 8], "float32", -0.2, 0.2),
  },
  attrs: {
    interpolation: d.pick(["nearest", "bilinear"]),
    fillMode: d.pick(["constant", "reflect", "wrap", "nearest"]),
    fillValue: d.int(0, 2),
    outputShape: [d.int(2, 5), d.int(2, 5)],
  },
}));
add("DepthToSpace", any, (d, dtype) => {
  const blockSize = d.int(2, 3);
  return {
    inputs: { x: d.tensor([1, d.int(1, 3), d.int(1, 3), blockSize ** 2 * d.int(1, 2)], dtype) },
    attrs: { blockSize, dataFormat: "NHWC" },
  };
});
add("BatchToSpaceND", numeric, (d, dtype) => {
  const blockShape = [d.int(1, 2), d.int(1, 2)];
  const batch = blockShape[0] * blockShape[1] * d.int(1, 2);
  return {
    inputs: { x: d.tensor([batch, d.int(2, 3), d.int(2, 3), d.int(1, 2)], dtype) },
    attrs: { blockShape, crops: [0, 1].map(() => [d.int(0, 1), 0]) },
  };
});
add("SpaceToBatchND", numeric, (d, dtype) => {
  const blockShape = [d.int(1, 2), d.int(1, 2)];
  const paddings = [0, 1].map(() => [d.int(0, 1), d.int(0, 1)]);
  const spatial = blockShape.map((b, i) => {
    const total = b * d.int(2, 3);
    return total - paddings[i][0] - paddings[i][1];
  });
  return {
    inputs: { x: d.tensor([d.int(1, 2), ...spatial.map((n) => Math.max(n, 0)), d.int(1, 2)], dtype) },
    attrs: { blockShape, paddings },
  };
});
add("LRN", float, (d) => ({
  inputs: { x: image(d, d.int(2, 5)) },
  attrs: { depthRadius: d.int(1, 2), bias: 1, alpha: d.pick([0.1, 1]), beta: d.pick([0.5, 0.75]) },
}));
add("LRNGrad", float, (d) => {
  const x = image(d, d.int(2, 5));
  return {
    inputs: { x, dy: d.tensor(x.shape) },
    attrs: { depthRadius: d.int(1, 2), bias: 1, alpha: d.pick([0.1, 1]), beta: d.pick([0.5, 0.75]) },
  };
});
add("FusedBatchNorm", float, (d) => {
  const x = image(d);
  const row = (low: number) => d.tensor([x.shape[3]], "float32", low, low + 2);
  return {
    inputs: { x, mean: row(-1), variance: row(0.5), offset: row(-1), scale: row(0.5) },
    attrs: { varianceEpsilon: 0.001 },
  };
});
const boxes = (d: Draw) => {
  const n = d.int(2, 6);
  const corners = Array.from({ length: n }, () => {
    const [y, x] = [d.int(0, 6), d.int(0, 6)];
    return [y, x, y + d.int(1, 4), x + d.int(1, 4)];
  });
  return {
    inputs: {
      boxes: { dtype: "float32", shape: [n, 4], values: corners.flat() } as Spec,
      // Different scores, in (0, 1).
      scores: { dtype: "float32", shape: [n], values: d.permutation(n).map((i) => (i + 1) / (n + 1)) } as Spec,
    },
    attrs: { maxOutputSize: d.int(1, n), iouThreshold: 0.3, scoreThreshold: 0.1 },
  };
};
add("NonMaxSuppressionV3", float, boxes);
add("NonMaxSuppressionV4", float, (d) => {
  const { inputs, attrs } = boxes(d);
  return { inputs, attrs: { ...attrs, padToMaxOutputSize: d.bool() } };
});
add("NonMaxSuppressionV5", float, (d) => {
  const { inputs, attrs } = boxes(d);
  return { inputs, attrs: { ...attrs, softNmsSigma: d.pick([0, 0.5]) } };
});

// Complex numbers.
add("Complex", float, (d) => {
  const shape = d.shape(0, 3);
  return { inputs: { real: d.tensor(shape), imag: d.tensor(shape) } };
});
add("Real Imag", ["complex64"], (d) => ({ inputs: { input: d.tensor(d.shape(0, 3), "complex64") } }));
add("ComplexAbs", ["complex64"], (d) => ({ inputs: { x: d.tensor(d.shape(0, 3), "complex64") } }));
add("FFT IFFT", ["complex64"], (d) => ({ inputs: { input: d.tensor([d.int(1, 3), d.int(1, 8)], "complex64") } }));

// Ragged, sparse, strings.
const splits = (d: Draw, rows: number, total: number): Spec => {
  const cuts = Array.from({ length: rows - 1 }, () => d.int(0, total)).sort((a, b) => a - b);
  return { dtype: "int32", shape: [rows + 1], values: [0, ...cuts, total] };
};
add("RaggedGather", [...any, "string"], (d, dtype) => {
  const rows = d.int(2, 4);
  const total = d.int(1, 6);
  return {
    inputs: {
      paramsNestedSplits: [splits(d, rows, total)],
      paramsDenseValues: d.tensor([total], dtype),
      indices: d.tensor([d.int(1, 4)], "int32", 0, rows - 1),
    },
    attrs: { outputRaggedRank: 1 },
  };
});
add("RaggedRange", numeric, (d, dtype) => {
  const n = d.int(1, 3);
  return {
    inputs: {
      starts: d.tensor([n], dtype, -2, 2),
      limits: d.tensor([n], dtype, 3, 8),
      deltas: d.tensor([n], dtype, 1, 3),
    },
  };
});
add("RaggedTensorToTensor", any, (d, dtype) => {
  const rows = d.int(2, 4);
  const total = d.int(1, 6);
  const shape: Spec = { dtype: "int32", shape: [2], values: [rows, d.int(3, 6)] };
  return {
    inputs: {
      shape,
      values: d.tensor([total], dtype),
      defaultValue: d.tensor([], dtype),
      rowPartitionTensors: [splits(d, rows, total)],
    },
    attrs: { rowPartitionTypes: ["ROW_SPLITS"] },
  };
});
add("SparseFillEmptyRows", [...any, "string"], (d, dtype) => {
  const shape = [d.int(2, 5), d.int(2, 4)];
  const found = places(d, shape, 2, d.int(1, 4));
  const rows = Array.from({ length: found.shape[0] }, (_, r) => found.values.slice(r * 2, r * 2 + 2) as number[]);
  rows.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return {
    inputs: {
      indices: { ...found, values: rows.flat() },
      values: d.tensor([rows.length], dtype),
      denseShape: { dtype: "int32", shape: [2], values: shape },
      defaultValue: d.tensor([], dtype),
    },
  };
});
add("SparseReshape", ["int32"], (d) => {
  const shape = d.shape(2, 3);
  const row = (values: number[]): Spec => ({ dtype: "int32", shape: [values.length], values });
  const total = shape.reduce((a, b) => a * b, 1);
  return {
    inputs: {
      inputIndices: places(d, shape, shape.length, d.int(1, 4)),
      inputShape: row(shape),
      newShape: row(d.bool() ? [total] : [-1, shape[shape.length - 1]]),
    },
  };
});
add("StringNGrams", ["string"], (d) => {
  const total = d.int(1, 6);
  return {
    inputs: { data: d.tensor([total], "string"), dataSplits: splits(d, d.int(1, 3), total) },
    attrs: {
      separator: "|",
      nGramWidths: d.pick([[1], [2], [1, 3]]),
      leftPad: "<",
      rightPad: ">",
      padWidth: d.pick([-1, 0, 1]),
      preserveShortSequences: d.bool(),
    },
  };
});
add("StringSplit", ["string"], (d) => ({
  inputs: {
    input: d.tensor([d.int(1, 4)], "string"),
    delimiter: { dtype: "string", shape: [], values: [d.pick([" ", ",", ""])] },
  },
  attrs: { skipEmpty: d.bool() },
}));
add("StringToHashBucketFast", ["string"], (d) => ({
  inputs: { input: d.tensor(d.shape(0, 2), "string") },
  attrs: { numBuckets: d.int(1, 1000) },
}));
add("StaticRegexReplace", ["string"], (d) => ({
  inputs: { x: d.tensor(d.shape(0, 2), "string") },
  attrs: { pattern: d.pick(["a", "a+", "[ab]"]), rewrite: "x", replaceGlobal: d.bool() },
}));
