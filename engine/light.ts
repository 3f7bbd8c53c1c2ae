// tfjs' way from an op to its kernel, without what most calls do not need. For every kernel tfjs 4.22 makes four closures and asks
// for a profile and for leaks, and for every op it makes a set of what the op returns: as much time as TensorFlow takes for a small
// op. Here are the same steps for a kernel that nobody records, and for a scope that returns one tensor; the rest stays with tfjs.
import * as tf from "@tensorflow/tfjs-core";
import { replace } from "./replace.ts";

interface Scope {
  id: number;
  track: tf.Tensor[];
}

interface Engine {
  backend: tf.KernelBackend;
  backendName: string;
  ENV: tf.Environment;
  state: {
    gradientDepth: number;
    kernelDepth: number;
    profiling: boolean;
    activeScope: Scope | null;
    scopeStack: Scope[];
  };
  track(tensor: tf.Tensor): tf.Tensor;
  makeTensorFromTensorInfo(info: tf.TensorInfo): tf.Tensor;
}

interface Call {
  /** absent in a call of customGrad */
  kernelName?: string;
  inputs: tf.NamedTensorInfoMap;
  attrs?: tf.NamedAttrMap;
}

/** Shortens the way of what is not recorded. To be called before other functions of tfjs' engine are replaced. */
export function lightenKernels(): void {
  const engine = tf.engine() as unknown as Engine;
  replace(
    engine,
    "runKernelFunc",
    "light",
    (runKernelFunc) =>
      function (this: Engine, call: Call) {
        const { state, ENV } = this;
        const taped = state.gradientDepth > 0 && state.kernelDepth === 0;
        if (taped || state.profiling || call.kernelName == null || ENV.getBool("DEBUG") || ENV.getBool("IS_TEST"))
          return runKernelFunc.call(this, call);
        const { backend } = this;
        const kernel = tf.getKernel(call.kernelName, this.backendName);
        if (!kernel) return runKernelFunc.call(this, call);
        state.kernelDepth++;
        try {
          const out = kernel.kernelFunc({ inputs: call.inputs, attrs: call.attrs, backend });
          return Array.isArray(out) ? out.map((each) => tensorOf(this, each)) : tensorOf(this, out);
        } finally {
          state.kernelDepth--;
        }
      },
  );
  replace(
    engine,
    "endScope",
    "light",
    (endScope) =>
      function (this: Engine, result?: unknown) {
        const { state } = this;
        const scope = state.activeScope;
        if (!(result instanceof tf.Tensor) || !scope) return endScope.call(this, result);
        for (const tensor of scope.track) if (!tensor.kept && tensor.id !== result.id) tensor.dispose();
        state.scopeStack.pop();
        state.activeScope = state.scopeStack.length ? state.scopeStack[state.scopeStack.length - 1] : null;
        if (!result.kept && result.scopeId === scope.id) this.track(result);
      },
  );
}

// tfjs-node's kernels give tensors, others what describes one.
const tensorOf = (engine: Engine, out: tf.TensorInfo): tf.Tensor =>
  (out as tf.Tensor).rank != null ? (out as tf.Tensor) : engine.makeTensorFromTensorInfo(out);
