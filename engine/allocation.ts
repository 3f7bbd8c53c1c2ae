// Functions of tfjs that take memory in JavaScript before any kernel runs: without it, they fail with V8's words, which name nothing.
import { createRequire } from "node:module";
import { finish } from "./finished.ts";
import { userFrame } from "./frame.ts";
import { replace } from "./replace.ts";

/** The shape that a call asks for. */
type ShapeOf = (...args: any[]) => number[];

const first: ShapeOf = (shape) => [shape].flat();
const functions: Record<string, ShapeOf> = {
  zeros: first,
  ones: first,
  buffer: first,
  rand: first,
  randomGamma: first,
  randomNormal: first,
  randomStandardNormal: first,
  randomUniform: first,
  randomUniformInt: first,
  truncatedNormal: first,
  eye: (rows, columns, batch) => [...(batch ?? []), rows, columns ?? rows],
  dropout: (x) => x.shape ?? [],
};

// They are replaced in what `require` gives. That is the engine's `tf`, and `import * as tf from "@tensorflow/tfjs-core"` copies it
// when it is first evaluated: where that is before the engine, V8's error stays. So this file imports nothing of tfjs, and is first.
const core = createRequire(import.meta.url)("@tensorflow/tfjs-core");
for (const [name, shapeOf] of Object.entries(functions)) {
  replace(core, name, "explain", (plain) => {
    const explained = (...args: unknown[]) => {
      try {
        return plain(...args);
      } catch (error) {
        if (!(error instanceof RangeError) || !/allocation failed|Invalid .*length/.test(error.message)) throw error;
        const dtype =
          args.find((arg) => typeof arg === "string") ?? (name === "randomUniformInt" ? "int32" : "float32");
        throw finish(new Error(`${name}: ${noMemory(String(dtype), shapeOf(...args))}${userFrame()}`));
      }
    };
    // tfjs calls its ops `randomNormal__op`, which errors look for.
    return Object.defineProperty(explained, "name", { value: plain.name });
  });
}

function noMemory(dtype: string, shape: number[]): string {
  const bytes = shape.reduce((size, n) => size * n, dtype === "bool" ? 1 : 4);
  return `no memory for ${dtype}[${shape}] (${(bytes / 1e9).toFixed(1)} GB)`;
}
