// What of the table of kernels holds on WebGPU, and how exactly.

/** draws of each dtype of a kernel that are tried: each shape and dtype is another shader to compile */
export const TRIED = 3;

/** Kernels whose results are those of tfjs' CPU backend where that differs from TensorFlow (kernel-references.ts says where). */
export const likeCpu = [
  "Conv3DBackpropInputV2",
  "Conv3DBackpropFilterV2",
  "AvgPool3D",
  "MaxPool3D",
  "AvgPoolGrad",
  "AvgPool3DGrad",
  "MaxPool3DGrad",
  "NonMaxSuppressionV5",
];

/** Kernels of tfjs that are wrong on WebGPU. */
export const wrong: Record<string, string> = { Transform: "other places outside of the image than TensorFlow's" };

// WGSL's sine and cosine may be 2^-11 off, and so may be what is made of them.
const coarse: Record<string, number> = { Sin: 5e-4, Cos: 5e-4, Tan: 2e-3, Acos: 1e-4, FFT: 2e-3, IFFT: 2e-3 };

/** Tolerance relative to max(1, |value|). */
export const toleranceOf = (kernel: string): number => coarse[kernel] ?? 2e-5;
