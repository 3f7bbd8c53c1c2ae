// GPT-2 and Llama from and to the tensors of Hugging Face's files: names, GPT-2's turned weights, and a check of every shape.
import * as tf from "@tensorflow/tfjs-core";
import { get, type Params } from "../core/params.ts";
import { complete, type GPTConfig, shapes } from "./gpt-config.ts";

// GPT-2's file keeps these as [in, out], as its Conv1D layer does.
const conv1d = /(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_gate|mlp\.c_proj)\.weight$/;

/**
 * Parameters from the tensors of a Hugging Face file, checked against the configuration. For GPT-2 the number of heads is
 * enough: the file tells the rest.
 */
export function fromHF(file: Params, of: number | GPTConfig): { params: Params; cfg: GPTConfig } {
  const named: Params = {};
  const llama = typeof of !== "number" && of.family === "llama";
  for (const [name, tensor] of Object.entries(file)) {
    const short = llama ? name : name.replace(/^transformer\./, "");
    if (/\.attn\.(masked_)?bias$|rotary_emb\.inv_freq$/.test(short)) continue; // constants, which old files carry
    named[short] = conv1d.test(short) ? tf.transpose(tensor) : tensor;
  }
  const cfg = typeof of === "number" ? gpt2Sizes(named, of) : of;
  if (complete(cfg).tied) delete named["lm_head.weight"]; // the embedding once more
  const wanted = shapes(cfg);
  for (const [name, shape] of Object.entries(wanted)) {
    const found = get(named, name).shape;
    if (String(found) !== String(shape)) throw new Error(`gpt: ${name} is [${found}]; wanted [${shape}].`);
  }
  const foreign = Object.keys(named).find((name) => !wanted[name]);
  if (foreign) throw new Error(`gpt: "${foreign}" is not a parameter of ${llama ? "this Llama" : "GPT-2"}.`);
  return { params: Object.fromEntries(Object.keys(wanted).map((name) => [name, named[name]])), cfg };
}

function gpt2Sizes(named: Params, heads: number): GPTConfig {
  const [vocab, dim] = get(named, "wte.weight").shape;
  const [ctx] = get(named, "wpe.weight").shape;
  const layers = new Set(Object.keys(named).flatMap((name) => /^h\.(\d+)\./.exec(name)?.[1] ?? [])).size;
  return { layers, dim, heads, ctx, vocab };
}

/** The tensors as a Hugging Face file names and lays them out: `save(path, toHF(params))`. */
export function toHF(params: Params): Params {
  return Object.fromEntries(
    Object.entries(params).map(([name, tensor]) => [name, conv1d.test(name) ? tf.transpose(tensor) : tensor]),
  );
}
