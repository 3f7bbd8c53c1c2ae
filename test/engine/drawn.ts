// Drawn inputs as tensors, and the kernel run on them.
import { tf } from "@whetstone/engine";
import { make } from "./compare.ts";
import type { Spec } from "./draw.ts";
import { type Drawn, derived } from "./kernel-table.ts";

export type Tensors = Record<string, tf.Tensor | tf.Tensor[]> | tf.Tensor[];

/** The tensors of a draw, on the active backend. */
export function build({ inputs }: Drawn): Tensors {
  const built = (input: Spec | Spec[]) => (Array.isArray(input) ? input.map(make) : make(input));
  return Array.isArray(inputs)
    ? inputs.map(make)
    : Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, built(input)]));
}

/** Runs a kernel on the active backend. */
export function run(kernel: string, tensors: Tensors, attrs: Drawn["attrs"]): tf.Tensor[] {
  const call = (name: string, from: object) => tf.engine().runKernel(name, from as never, (attrs ?? {}) as never);
  const derive = derived[kernel];
  if (!derive) return [call(kernel, tensors)].flat() as tf.Tensor[];
  const of = tensors as Record<string, tf.Tensor>;
  return [
    call(kernel, { ...of, [derive.input]: call(derive.kernel, { x: of[derive.from] }) as tf.Tensor }),
  ].flat() as tf.Tensor[];
}
