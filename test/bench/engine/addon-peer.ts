// tfjs-node's backend on its own N-API addon, without the engine: a line for each line it reads, the microseconds of an add.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import util from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { addTime } from "./add-time.ts";

// tfjs-node 4.22 still calls what Node 23 removed.
Object.assign(util, { isNullOrUndefined: (value: unknown) => value === null || value === undefined });

const addon = createRequire(import.meta.url)(process.argv[2]);
const { NodeJSKernelBackend } = await import("@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js");
tf.registerBackend("tensorflow", () => new (NodeJSKernelBackend as any)(addon, "@tensorflow/tfjs-node"));
await import("@tensorflow/tfjs-node-gpu/dist/register_all_kernels.js");
await tf.setBackend("tensorflow");

const one = tf.scalar(1);
if (tf.add(one, one).dataSync()[0] !== 2) throw new Error("the addon adds wrongly");
for await (const _line of createInterface(process.stdin)) console.log(addTime(one));
