// Rematerialization: f's intermediates are not kept for the gradient, but computed again from its inputs.
// T. Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
import * as tf from "@tensorflow/tfjs-core";
import { tensorflowBackend } from "./backend.ts";
import { hold, isTaped, release, untaped, vjp, watch } from "./closure.ts";
import { type Flat, flatten } from "./pytree.ts";
import { apart } from "./scan.ts";

const KERNEL = "Checkpoint";

interface Attrs {
  run: (leaves: tf.Tensor[]) => Flat;
  given: number;
  closed: tf.Tensor[];
  rebuild?: Flat["rebuild"];
}

/**
 * Gives a function with the value and the gradient of `f` that holds less memory between the two: only its arguments and what
 * it closes over. It costs one more forward pass of `f`. Arguments and result are pytrees.
 */
export function checkpoint<F extends (...args: any[]) => any>(f: F): F {
  return ((...args: any[]) => {
    if (!isTaped()) return f(...args);
    register();
    const { leaves, rebuild } = flatten(args, "arguments");
    const attrs: Attrs = {
      run: (values) => flatten(f(...rebuild(values)), "result"),
      given: leaves.length,
      closed: [],
    };
    const outputs = tf.engine().runKernel(KERNEL, [...leaves] as never, attrs as never) as unknown as tf.Tensor[];
    return attrs.rebuild!(outputs);
  }) as F;
}

function register(): void {
  const backendName = tf.getBackend();
  if (tf.getKernel(KERNEL, backendName)) return;
  tf.registerKernel({
    kernelName: KERNEL,
    backendName,
    kernelFunc: ({ inputs, attrs: some }) => {
      const all = inputs as unknown as tf.Tensor[];
      const attrs = some as unknown as Attrs;
      const { result, closed } = watch(all, () =>
        tf.tidy(() => {
          const flat = attrs.run(all);
          attrs.rebuild = flat.rebuild;
          // Also of an argument that f returns: the tape knows outputs by their identity.
          return flat.leaves.map((leaf) => tf.clone(leaf));
        }),
      );
      hold(closed);
      attrs.closed = closed;
      // tfjs records its inputs after this, so these count.
      all.push(...closed);
      return result;
    },
  });
  if (tf.getGradient(KERNEL)) return;
  tf.registerGradient({
    kernelName: KERNEL,
    saveAllInputs: true,
    gradFunc: (some, saved, attrs) => {
      const { run, given, closed } = attrs as unknown as Attrs;
      const dys = [some].flat() as tf.Tensor[];
      const all = [...saved.slice(0, given), ...closed];
      const places = all.map((_, i) => i).filter((i) => all[i].dtype === "float32");
      const back = (inputs: tf.Tensor[]) => {
        const args = inputs.slice(0, given);
        return vjp(
          () => run(args).leaves,
          places.map((i) => (i < given ? args[i] : all[i])),
          inputs.slice(given),
        );
      };
      const inputs = [...saved.slice(0, given), ...dys];
      const traced = tensorflowBackend()?.native.tracer();
      const grads = tf.tidy(() => (traced ? untaped(() => apart(back, inputs)) : back(inputs)));
      release(closed);
      return Object.fromEntries(
        all.map((x, i) => [i, () => (places.includes(i) ? grads[places.indexOf(i)] : tf.zeros(x.shape))]),
      );
    },
  });
}
