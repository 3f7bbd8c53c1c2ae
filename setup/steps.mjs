// @ts-check
// What set-up consists of. `done` is cheap and trusts only what a step wrote last; `make` may be cut off anywhere.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { kernelDone, kernelMake, kernelspecDone, kernelspecMake } from "./kernel.mjs";
import { tensorflowDone, tensorflowFor, tensorflowMake } from "./libtensorflow.mjs";
import { modelDone, modelMake } from "./model.mjs";
import { npmDone, npmMake } from "./npm.mjs";
import { place, root } from "./place.mjs";
import { venvDone, venvMake } from "./python.mjs";

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {string} title what the progress line says
 * @property {string} path what it makes
 * @property {string[]} after steps that must be done before
 * @property {number} gigabytes disk it needs while it runs
 * @property {() => boolean} done
 * @property {(onLine: (line: string) => void) => Promise<void>} make
 */

/** @type {Step[]} */
export const steps = [
  {
    name: "npm",
    title: "npm packages and Node 24",
    path: place.modules,
    after: [],
    gigabytes: 1.5,
    done: npmDone,
    make: npmMake,
  },
  {
    name: "venv",
    title: "JupyterLab in .venv",
    path: place.venv,
    after: [],
    gigabytes: 0.5,
    done: venvDone,
    make: venvMake,
  },
  {
    name: "tensorflow",
    title: "TensorFlow's libraries",
    path: place.libtensorflow,
    after: ["venv"],
    gigabytes: "variant" in tensorflowFor() && /** @type {any} */ (tensorflowFor()).variant === "cuda" ? 9 : 1.5,
    done: tensorflowDone,
    make: tensorflowMake,
  },
  {
    name: "minilm",
    title: "MiniLM, the model of notebook 11",
    path: place.minilm,
    after: ["venv"],
    gigabytes: 0.3,
    done: () => modelDone("minilm"),
    make: (/** @type {(line: string) => void} */ onLine) => modelMake("minilm", onLine),
  },
  {
    name: "smollm2",
    title: "SmolLM2, a language model",
    path: place.smollm2,
    after: ["venv"],
    gigabytes: 0.3,
    done: () => modelDone("smollm2"),
    make: (/** @type {(line: string) => void} */ onLine) => modelMake("smollm2", onLine),
  },
  {
    name: "kernel",
    title: "the kernel",
    path: place.kernel,
    after: ["npm"],
    gigabytes: 0.1,
    done: kernelDone,
    make: kernelMake,
  },
  {
    name: "kernelspec",
    title: "kernelspec whetstone",
    path: place.kernelspec,
    after: ["venv", "kernel"],
    gigabytes: 0.01,
    done: kernelspecDone,
    make: kernelspecMake,
  },
].filter(
  ({ name }) => (name !== "kernel" && name !== "kernelspec") || existsSync(join(root, "kernel/build/build.mjs")),
);
