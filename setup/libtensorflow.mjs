// @ts-check
// Step: TensorFlow's shared libraries in .libtensorflow, as the engine's own set-up fetches them.
import { fetchTensorFlow, hasTensorFlow, tensorflowFor } from "../engine/install/libtensorflow.mjs";
import { place } from "./place.mjs";
import { python } from "./wheel.mjs";

export { cudaRequirements, hasNvidia, tensorflowFor } from "../engine/install/libtensorflow.mjs";

export function tensorflowDone() {
  const wanted = tensorflowFor();
  return "none" in wanted || hasTensorFlow(place.libtensorflow, wanted);
}

/** @param {(line: string) => void} onLine */
export async function tensorflowMake(onLine) {
  const wanted = tensorflowFor();
  if ("none" in wanted) return;
  await fetchTensorFlow(wanted, place.libtensorflow, { python, work: place.work, onLine });
}
