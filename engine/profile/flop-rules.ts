// How many floating-point operations TensorFlow's ops do, from shapes alone.
import { type OpAttr, sizeOf, TF_COMPLEX64, TF_FLOAT } from "../binding.ts";
import type { Form } from "../trace.ts";

export type Kind = "matmul" | "conv" | "einsum" | "elementwise" | "reduction" | "softmax" | "norm" | "pool" | "fft";

interface Node {
  attrs: OpAttr[];
  inputs: Form[];
  outputs: Form[];
}
type Rule = { kind: Kind; flops: (node: Node) => number };

const TF_HALF = 19;
const TF_BFLOAT16 = 14;
const floats = new Set([TF_FLOAT, TF_COMPLEX64, TF_HALF, TF_BFLOAT16]);

const out = ({ outputs }: Node) => sizeOf(outputs[0].shape);
const into = ({ inputs }: Node, i = 0) => sizeOf(inputs[i].shape);
const last = ({ shape }: Form) => shape[shape.length - 1] ?? 1;
const attr = ({ attrs }: Node, name: string) => attrs.find((each) => each.name === name)?.value;
const product = (values: number[]) => values.reduce((a, b) => a * b, 1);

const rules: Record<string, Rule> = {};
const set = (names: string, kind: Kind, flops: Rule["flops"]) => {
  for (const name of names.trim().split(/\s+/)) rules[name] = { kind, flops };
};

set("MatMul", "matmul", (node) => {
  const [rows, columns] = node.inputs[0].shape;
  return 2 * out(node) * (attr(node, "transpose_a") ? rows : columns);
});
set("BatchMatMul BatchMatMulV2 BatchMatMulV3", "matmul", (node) => {
  const { shape } = node.inputs[0];
  return 2 * out(node) * shape[shape.length - (attr(node, "adj_x") ? 2 : 1)];
});
set("Einsum", "einsum", einsum);

// Every number of the result (of the gradient's dy) is a window of multiplications and additions over the filter's inputs.
const window = (filter: number[]) => 2 * product(filter.slice(0, -1));
set("Conv2D Conv3D", "conv", (node) => out(node) * window(node.inputs[1].shape));
set("Conv2DBackpropInput Conv3DBackpropInputV2", "conv", (node) => into(node, 2) * window(node.inputs[1].shape));
set("Conv2DBackpropFilter Conv3DBackpropFilterV2", "conv", (node) => into(node, 2) * window(node.outputs[0].shape));
const depthwise = (filter: number[]) => 2 * product(filter.slice(0, 2));
set("DepthwiseConv2dNative", "conv", (node) => out(node) * depthwise(node.inputs[1].shape));
set("DepthwiseConv2dNativeBackpropInput", "conv", (node) => into(node, 2) * depthwise(node.inputs[1].shape));
set("DepthwiseConv2dNativeBackpropFilter", "conv", (node) => into(node, 2) * depthwise(node.outputs[0].shape));

set(
  `Abs Acos Acosh Add AddV2 Asin Asinh Atan Atan2 Atanh Ceil ComplexAbs Cos Cosh Div DivNoNan Elu EluGrad Erf Exp Expm1 Floor
   FloorDiv FloorMod LeakyRelu Log Log1p Maximum Minimum Mod Mul Neg Pow Prelu RealDiv Reciprocal Relu Relu6 Round Rsqrt Selu
   Sigmoid Sign Sin Sinh Softplus Sqrt Square Sub Tan Tanh BiasAdd`,
  "elementwise",
  out,
);
set("SquaredDifference", "elementwise", (node) => 2 * out(node));
set("AddN", "elementwise", (node) => (node.inputs.length - 1) * out(node));
// They add to the numbers that are there; a scatter into zeros adds where rows meet.
set("UnsortedSegmentSum SparseSegmentSum DenseBincount Bincount", "reduction", (node) => into(node));

set("Sum Prod Max Min", "reduction", (node) => into(node) - out(node));
set("Mean SparseSegmentMean", "reduction", (node) => into(node));
set("Cumsum Cumprod", "reduction", (node) => into(node));

// On rows of n numbers: greatest n - 1, differences n, exponentials n, their sum n - 1, quotients n.
set("Softmax", "softmax", (node) => (out(node) / last(node.outputs[0])) * (5 * last(node.outputs[0]) - 2));
// ... of which the logarithm has one more a row.
set("LogSoftmax", "softmax", (node) => (out(node) / last(node.outputs[0])) * (5 * last(node.outputs[0]) - 1));
// (x - mean) · factor + offset, the factor 3 operations a channel
set("FusedBatchNorm FusedBatchNormV3", "norm", (node) => 3 * out(node) + 3 * last(node.outputs[0]));

const pooled = (node: Node) => product(attr(node, "ksize") ?? []);
set("MaxPool MaxPool3D", "pool", (node) => out(node) * (pooled(node) - 1));
set("AvgPool AvgPool3D", "pool", (node) => out(node) * pooled(node));
set("MaxPoolGrad MaxPool3DGrad", "pool", (node) => into(node, 2));
set("AvgPoolGrad AvgPool3DGrad", "pool", (node) => into(node, 1) * (1 + pooled(node)));
// 5 n log2 n of the radix-2 algorithm, by which FFTs are compared
set("FFT IFFT", "fft", (node) => 5 * out(node) * Math.log2(Math.max(1, last(node.outputs[0]))));

// What only moves, compares or makes numbers.
const none = new Set(
  `All Any ArgMax ArgMin BatchToSpaceND BroadcastArgs BroadcastTo Cast Complex ConcatV2 Const DepthToSpace Diag Equal ExpandDims
   Fill GatherNd GatherV2 Greater GreaterEqual Identity Imag IsFinite IsInf IsNan Less LessEqual LogicalAnd LogicalNot LogicalOr
   LogicalXor LowerBound MatrixBandPart MirrorPad NotEqual OneHot OnesLike Pack Pad PadV2 Range Real Reshape ReverseV2 ScatterNd
   Select SelectV2 Shape Slice SpaceToBatchND SparseToDense SplitV Squeeze StopGradient StridedSlice TensorScatterUpdate Tile TopKV2
   Transpose Unpack UpperBound ZerosLike XlaDynamicUpdateSlice`.split(/\s+/),
);

/** The operations of a node; undefined where they are not known. Nodes without floating-point numbers have none. */
export function count(
  op: string,
  attrs: OpAttr[],
  inputs: Form[],
  outputs: Form[],
): { kind: Kind; flops: number } | undefined {
  if (none.has(op) || ![...inputs, ...outputs].some(({ dtype }) => floats.has(dtype)))
    return { kind: "elementwise", flops: 0 };
  const rule = rules[op];
  if (!rule) return undefined;
  const node = { attrs, inputs, outputs };
  if (!floats.has(outputs[0].dtype)) return { kind: rule.kind, flops: 0 };
  return { kind: rule.kind, flops: rule.flops(node) };
}

// Two operands: 2 for each combination of labels when some are summed over, 1 when none is. One operand: the additions.
function einsum(node: Node): number {
  const equation = String(attr(node, "equation")).replaceAll(" ", "");
  const [left, right] = equation.split("->");
  const sizes = new Map<string, number>();
  left.split(",").forEach((term, i) => {
    const { shape } = node.inputs[i];
    const [head, tail] = term.split("...").map((part) => [...part]);
    head.forEach((label, axis) => {
      sizes.set(label, Math.max(sizes.get(label) ?? 1, shape[axis]));
    });
    (tail ?? []).forEach((label, axis) => {
      sizes.set(label, Math.max(sizes.get(label) ?? 1, shape[shape.length - (tail.length - axis)]));
    });
    // Axes behind an ellipsis, aligned at the right.
    if (tail) {
      const hidden = shape.slice(head.length, shape.length - tail.length).reverse();
      hidden.forEach((size, k) => {
        sizes.set(`...${k}`, Math.max(sizes.get(`...${k}`) ?? 1, size));
      });
    }
  });
  const all = product([...sizes.values()]);
  const summed = [...sizes.keys()].some((label) => !label.startsWith("...") && !right.includes(label));
  if (node.inputs.length === 1) return summed ? all - out(node) : 0;
  return (summed ? 2 : 1) * all;
}
