// Kernels whose reference is TensorFlow in Python, because tfjs' CPU backend is wrong for some of the draws, and where.

/** draws for each dtype of a kernel */
export const DRAWS = 20;

export const referenced: Record<string, string> = {
  FloorDiv: "the CPU backend gives int32 for floats",
  Select: "a vector condition chooses single values, not rows",
  DenseBincount: "binaryOutput is ignored for a vector",
  StridedSlice: "some masks together with negative strides",
  UnsortedSegmentSum: "int32 gives float32",
  Conv3D: "a filter smaller than its stride with padding same",
  Conv3DBackpropInputV2: "a filter smaller than its stride with padding same",
  Conv3DBackpropFilterV2: "a filter smaller than its stride with padding same",
  AvgPool3D: "a filter smaller than its stride with padding same",
  MaxPool3D: "a filter smaller than its stride with padding same",
  AvgPoolGrad: "padded places count in the mean",
  AvgPool3DGrad: "padded places count in the mean",
  MaxPool3DGrad: "a filter smaller than its stride with padding same",
  ResizeBilinearGrad: "height and width change places in the shape",
  ResizeNearestNeighborGrad: "reads beyond the row",
  Transform: "fill modes and rounding",
  NonMaxSuppressionV5: "soft suppression removes boxes over the threshold too",
  Add: "complex64 with broadcasting",
  Multiply: "complex64 with broadcasting",
  Sub: "complex64 with broadcasting",
};
