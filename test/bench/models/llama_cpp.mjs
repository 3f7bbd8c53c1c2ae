// llama.cpp on a GGUF file: for each line that it reads, it reads the prompt, or continues it greedily; prints the milliseconds and an id.
// Arguments: `prefill` or `decode`; the GGUF file; a JSON file { prompt, length }. Runs in a folder that has node-llama-cpp.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const here = createRequire(join(process.cwd(), "x.js"));
const { getLlama } = await import(pathToFileURL(here.resolve("node-llama-cpp")).href);
const [task, modelPath, batch] = process.argv.slice(2);
const { prompt, length } = JSON.parse(readFileSync(batch, "utf8"));
const threads = 2;
const llama = await getLlama({ gpu: false, build: "never", logLevel: "error", maxThreads: threads });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: prompt.length + length + 1, threads });
const sequence = context.getSequence();

/** The ids that follow, `count` of them; each is read into the cache before the next. */
async function after(ids, count) {
  let id;
  for await (id of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) if (--count === 0) break;
  return id;
}

async function read() {
  await sequence.clearHistory();
  return after(prompt, 1);
}

const first = await read();
const { version } = JSON.parse(readFileSync("node_modules/node-llama-cpp/package.json", "utf8"));
console.log("ready", version, threads);
for await (const _ of createInterface(process.stdin)) {
  if (task === "decode")
    await sequence.eraseContextTokenRanges([{ start: prompt.length, end: sequence.nextTokenIndex }]);
  const begin = performance.now();
  const id = task === "prefill" ? await read() : await after([first], length);
  console.log(performance.now() - begin, id);
}
process.exit(0);
