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

/** Shortens the way of what is not recorded. To be called before other functions of tfjs' engine are replaced. */
export function lightenKernels(): void {
  const engine = tf.engine() as unknown as Engine;
  const find = finder();
  replace(
    engine,
    "runKernel",
    "light",
    (runKernel) =>
      function (this: Engine, name: string, inputs: tf.NamedTensorInfoMap, attrs?: tf.NamedAttrMap) {
        const { state, ENV } = this;
        const taped = state.gradientDepth > 0 && state.kernelDepth === 0;
        if (taped || state.profiling || ENV.getBool("DEBUG") || ENV.getBool("IS_TEST"))
          return runKernel.call(this, name, inputs, attrs);
        // The first question for it chooses one and gives it its name.
        const { backend } = this;
        const kernel = find(name, this.backendName);
        if (!kernel) return runKernel.call(this, name, inputs, attrs);
        state.kernelDepth++;
        try {
          const out = kernel.kernelFunc({ inputs, attrs, backend });
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

// tfjs looks a kernel up twice in every call, and joins the name to look for each time.
function finder(): (name: string, backend: string) => tf.KernelConfig | undefined {
  const registry: unknown = (globalThis as { _tfGlobals?: Map<string, unknown> })._tfGlobals?.get("kernelRegistry");
  if (!(registry instanceof Map)) return tf.getKernel;
  const keys = new Map<string, string>();
  let of: string | undefined;
  return (name, backend) => {
    if (backend !== of) {
      keys.clear();
      of = backend;
    }
    let key = keys.get(name);
    if (key === undefined) {
      key = `${backend}_${name}`;
      keys.set(name, key);
    }
    return registry.get(key);
  };
}

// tfjs-node's kernels give tensors, others what describes one.
const tensorOf = (engine: Engine, out: tf.TensorInfo): tf.Tensor =>
  (out as tf.Tensor).rank != null ? (out as tf.Tensor) : engine.makeTensorFromTensorInfo(out);
