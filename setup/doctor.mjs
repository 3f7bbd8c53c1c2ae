// @ts-check
// `npm run doctor`: what the project needs and whether it is there, without changing anything. A red line says how to
// mend it; the exit code is 1 when something needed is red. `npm run doctor -- GPU devices` looks at these only.
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { join } from "node:path";
import { CallFailed, call } from "./call.mjs";
import { tensorflowDone, tensorflowFor } from "./libtensorflow.mjs";
import { modelDone } from "./model.mjs";
import { npmDone } from "./npm.mjs";
import { describeGpu, oldestDriver, readGpus } from "./nvidia-smi.mjs";
import { node24, place, root } from "./place.mjs";
import { choosePython, venvDone } from "./python.mjs";
import { Trouble } from "./trouble.mjs";

/** @typedef {{ state: "good" | "bad" | "note", text: string, cure?: string }} Finding */

const good = (/** @type {string} */ text) => /** @type {Finding} */ ({ state: "good", text });
const note = (/** @type {string} */ text) => /** @type {Finding} */ ({ state: "note", text });
const bad = (/** @type {string} */ text, /** @type {string} */ cure) =>
  /** @type {Finding} */ ({ state: "bad", text, cure });
const gigabytes = (/** @type {number} */ bytes) => `${(bytes / 1e9).toFixed(1)} GB`;
/** The last line that says something, for one line of the report. @param {unknown} error */
const lastLine = (error) =>
  (error instanceof CallFailed && error.output.trim().split("\n").at(-1)) || /** @type {Error} */ (error).message;

const setupCure = "npm run setup";
const node = node24();
const env = { JUPYTER_CONFIG_DIR: join(root, ".jupyter"), IPYTHONDIR: join(root, ".jupyter/ipython") };

/** @type {[string, () => Promise<Finding | Finding[]>][]} */
const checks = [
  ["Node", checkNode],
  ["npm", checkNpm],
  ["Python", checkPython],
  ["JupyterLab", checkJupyter],
  ["kernel", checkKernel],
  ["TensorFlow", checkTensorFlow],
  ["devices", checkDevices],
  ["GPU", checkGpu],
  ["WebGPU", checkWebGpu],
  ["MiniLM", checkMiniLM],
  ["SmolLM2", checkSmolLM2],
  ["memory", checkMemory],
  ["disk", checkDisk],
];

async function checkNode() {
  if (!node) {
    return bad(
      `no Node 24 (this is ${process.versions.node})`,
      "npm run setup brings one; else install Node 24 or newer",
    );
  }
  try {
    const version = (await call(node, ["--version"])).trim();
    return good(`${version} runs the project (${node})`);
  } catch (error) {
    return bad(`${node} does not run: ${lastLine(error)}`, "rm -r node_modules && npm run setup");
  }
}

async function checkNpm() {
  const script = process.env.npm_execpath;
  /** @type {string} */
  let version;
  try {
    version =
      (script?.endsWith(".js") ? await call(process.execPath, [script, "--version"]) : await call("npm", ["--version"]))
        .trim()
        .split("\n")
        .at(-1) ?? "";
  } catch (error) {
    return bad(`npm does not run: ${lastLine(error)}`, "install Node with npm (npm comes with Node's installers)");
  }
  if (!npmDone()) return bad(`${version}; packages in node_modules are not those of package-lock.json`, setupCure);
  return good(`${version}, packages as in package-lock.json`);
}

async function checkPython() {
  try {
    const { version, path } = await choosePython();
    return good(`${version.join(".")} (${path})`);
  } catch (error) {
    if (error instanceof Trouble) return bad(error.message, "as said in this line, then npm run setup");
    throw error;
  }
}

async function checkJupyter() {
  if (!existsSync(place.python)) return bad("no .venv", setupCure);
  const names = ["jupyterlab", "plotly", "ipywidgets", "anywidget"];
  try {
    const code = `from importlib.metadata import version as v; print(", ".join(f"{n} {v(n)}" for n in ${JSON.stringify(names)}))`;
    const versions = (await call(place.python, ["-c", code])).trim();
    return venvDone() ? good(versions) : bad(`${versions}; not as setup/requirements.txt says`, setupCure);
  } catch (error) {
    return bad(`.venv is broken: ${lastLine(error)}`, `rm -r .venv && ${setupCure}`);
  }
}

async function checkKernel() {
  const file = join(place.kernelspec, "kernel.json");
  if (!existsSync(file)) return bad("no kernelspec whetstone in .venv", setupCure);
  /** @type {string[]} */
  const argv = JSON.parse(readFileSync(file, "utf8")).argv;
  const gone = argv.slice(0, 2).find((path) => !existsSync(path));
  if (gone) return bad(`kernelspec whetstone names ${gone}, which does not exist`, setupCure);
  try {
    const ready = (await call(place.python, [join(root, "setup/try_kernel.py")], { env, timeoutMs: 120_000 })).trim();
    return good(`kernelspec whetstone starts in ${ready.split("\n").at(-1)} s and runs a cell`);
  } catch (error) {
    return bad(`kernelspec whetstone does not run a cell: ${lastLine(error)}`, `rm -r kernel/dist && ${setupCure}`);
  }
}

async function checkTensorFlow() {
  const wheel = tensorflowFor();
  if ("none" in wheel) return note(wheel.none);
  if (!tensorflowDone())
    return bad("no TensorFlow in .libtensorflow; the engine runs on WASM, 10 to 100 times slower", setupCure);
  const { version, variant } = JSON.parse(readFileSync(join(place.libtensorflow, "version.json"), "utf8"));
  return good(`${version}, ${variant} build`);
}

async function checkDevices() {
  if (!node) return bad("not measured without Node 24", setupCure);
  /** @type {{ name: string, type: string, memoryBytes?: number, gflops: number }[]} */
  let measured;
  try {
    const output = await call(node, [join(root, "setup/backends.mjs")], { timeoutMs: 180_000 });
    measured = JSON.parse(output.trim().split("\n").at(-1) ?? "");
  } catch (error) {
    return bad(
      `the engine does not run: ${lastLine(error)}`,
      `${setupCure}; if that does not help, rm -r node_modules .libtensorflow first`,
    );
  }
  const findings = measured.map(({ name, type, gflops, memoryBytes }) =>
    good(`${type} (${name}) ${gflops.toFixed(0)} GFLOP/s${memoryBytes ? `, ${gigabytes(memoryBytes)}` : ""}`),
  );
  const wheel = tensorflowFor();
  const native = tensorflowDone() && "variant" in wheel ? ["cpu"] : [];
  if (native.length > 0 && "variant" in wheel && wheel.variant === "cuda" && Array.isArray(await readGpus())) {
    if (!measured.some((device) => device.type === "cuda")) {
      const cure =
        "CUDA_VISIBLE_DEVICES must not hide it; rm -r .libtensorflow && npm run setup fetches the CUDA libraries anew";
      findings.push(bad("nvidia-smi lists a card, but TensorFlow does not find it", cure));
    }
  }
  for (const type of [...native, "wasm"]) {
    if (!measured.some((device) => device.type === type)) {
      findings.push(
        bad(`no device ${type}`, `rm -r ${type === "cpu" ? ".libtensorflow" : "node_modules"} && ${setupCure}`),
      );
    }
  }
  return findings;
}

async function checkGpu() {
  const gpus = await readGpus();
  if (!Array.isArray(gpus)) {
    if (gpus.absent) return note(`${gpus.why}: no NVIDIA driver here, or a container that was not given the card`);
    return bad(
      gpus.why,
      "nvidia-smi must list the card: install NVIDIA's driver anew, or restart the machine after an update",
    );
  }
  return gpus.map((gpu) => {
    if (Number.parseInt(gpu.driver, 10) >= oldestDriver) return good(describeGpu(gpu));
    return bad(describeGpu(gpu), `CUDA 12 wants NVIDIA's driver ${oldestDriver} or newer: install a newer one`);
  });
}

async function checkWebGpu() {
  if (!node) return note("not looked for without Node 24");
  // In a process of its own: the doctor runs on Nodes that know no TypeScript.
  const code = `import { findAdapter } from "./engine/webgpu-adapter.ts"; console.log(JSON.stringify(await findAdapter()))`;
  try {
    const told = await call(node, ["--input-type=module", "-e", code], { timeoutMs: 60_000 });
    const adapter = JSON.parse(told.trim().split("\n").at(-1) ?? "");
    if ("missing" in adapter) return note(`no GPU for the device webgpu: ${adapter.missing}`);
    const text = `${adapter.name}, tensors up to ${gigabytes(adapter.maxBufferBytes)}`;
    return adapter.software ? note(`${text}; it computes on the CPU, slower than wasm`) : good(text);
  } catch (error) {
    return bad(`could not be looked for: ${lastLine(error)}`, `rm -r node_modules && ${setupCure}`);
  }
}

async function checkMiniLM() {
  return modelDone("minilm")
    ? good("all-MiniLM-L6-v2 in data/models")
    : bad("no all-MiniLM-L6-v2 (notebook 11 needs it)", setupCure);
}

async function checkSmolLM2() {
  return modelDone("smollm2")
    ? good("SmolLM2-135M-Instruct in data/models")
    : bad("no SmolLM2-135M-Instruct (notebooks with a real language model need it)", setupCure);
}

async function checkMemory() {
  const text = `${gigabytes(freemem())} of ${gigabytes(totalmem())} free`;
  return freemem() < 2e9 ? bad(text, "close other programs and kernels; notebooks need up to 2 GB each") : good(text);
}

async function checkDisk() {
  const { bavail, bsize } = statfsSync(root);
  const text = `${gigabytes(bavail * bsize)} free`;
  return bavail * bsize < 1e9 ? bad(text, "free some space; npm cache clean --force is safe") : good(text);
}

const colours = process.stdout.isTTY && !process.env.NO_COLOR;
const marks = colours
  ? { good: "\x1b[32m✓\x1b[0m", bad: "\x1b[31m✗\x1b[0m", note: "·" }
  : { good: "✓", bad: "✗", note: "·" };

const asked = process.argv.slice(2);
const strange = asked.find((name) => !checks.some(([known]) => known === name));
if (strange !== undefined) {
  console.error(`there is no check "${strange}"; there are ${checks.map(([name]) => name).join(", ")}`);
  process.exit(2);
}
let reds = 0;
for (const [name, check] of checks.filter(([name]) => asked.length === 0 || asked.includes(name))) {
  /** @type {Finding[]} */
  let findings;
  try {
    findings = [await check()].flat();
  } catch (error) {
    findings = [bad(`could not be checked: ${/** @type {Error} */ (error).message}`, setupCure)];
  }
  for (const { state, text, cure } of findings) {
    console.log(`${marks[state]} ${name.padEnd(10)} ${text}${cure ? `\n${" ".repeat(13)}cure: ${cure}` : ""}`);
    if (state === "bad") reds += 1;
  }
}
console.log(reds === 0 ? "all is well" : `${reds} to mend`);
process.exitCode = reds === 0 ? 0 : 1;
