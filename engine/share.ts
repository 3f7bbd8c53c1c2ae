// One tfjs for danfojs and for the engine. danfojs-node asks for @tensorflow/tfjs-node; npm's overrides make that a second copy of
// @tensorflow/tfjs, with the same core but another object at the top.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);

/** Makes the copy of tfjs that danfojs asks for be the one that the engine uses, where nobody has loaded it yet. */
export function shareTfjs(): void {
  let copy: string;
  try {
    copy = require.resolve("@tensorflow/tfjs-node");
    // The real tfjs-node has kernels of its own and stays what it is.
    const { name } = JSON.parse(readFileSync(join(dirname(copy), "..", "package.json"), "utf8"));
    if (name !== "@tensorflow/tfjs" || require.cache[copy]) return;
  } catch {
    return; // danfojs is not installed
  }
  require("@tensorflow/tfjs");
  require.cache[copy] = require.cache[require.resolve("@tensorflow/tfjs")];
}
