// The state of a run that is not done: weights, optimizer, step, log, in one file that is replaced whole.
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { load, save } from "../../recipes/core/io.ts";
import type { Params } from "../../recipes/core/params.ts";
import type { AdamWState } from "../../recipes/train/optim.ts";
import type { Recipe } from "./recipes.ts";

export interface LogEntry {
  step: number;
  tokens: number;
  /** mean over the batches since the last line */
  loss: number;
  seconds: number;
  validation?: number;
}

export interface Progress {
  params: Params;
  state: AdamWState;
  /** steps done */
  start: number;
  /** wall and processor time that they took */
  seconds: number;
  cpuSeconds: number;
  /** losses of the last 100 batches, and of those since the last line of the log */
  last: number[];
  recent: number[];
  log: LogEntry[];
}

export function checkpoint(folder: string, id: string, recipe: Recipe) {
  const path = join(folder, `${id}.safetensors`);
  const made = JSON.stringify(recipe);
  const under = (prefix: string, params: Params) =>
    Object.fromEntries(Object.entries(params).map(([name, tensor]) => [`${prefix}/${name}`, tensor]));
  const from = (prefix: string, all: Params) =>
    Object.fromEntries(
      Object.entries(all).flatMap(([name, t]) =>
        name.startsWith(`${prefix}/`) ? [[name.slice(prefix.length + 1), t]] : [],
      ),
    ) as Params;
  return {
    read(): Progress | undefined {
      if (!existsSync(path)) return undefined;
      const { params: all, metadata } = load(path);
      if (metadata.recipe !== made) return undefined; // the recipe has changed: from the beginning
      const state: AdamWState = { t: all.t, m: from("m", all), v: from("v", all) };
      return { params: from("params", all), state, ...JSON.parse(metadata.progress) };
    },
    write({ params, state, ...progress }: Progress) {
      mkdirSync(dirname(path), { recursive: true });
      const all = { ...under("params", params), ...under("m", state.m), ...under("v", state.v), t: state.t };
      save(path, all, { metadata: { recipe: made, progress: JSON.stringify(progress) } });
    },
    remove: () => rmSync(path, { force: true }),
  };
}
