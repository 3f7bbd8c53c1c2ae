#!/usr/bin/env node
// @ts-check
// `npx @whetstone/engine setup [folder]`: fetches TensorFlow's shared libraries for this machine into ./.libtensorflow, where
// the engine of this project finds them. It needs a Python with pip, and nothing of it afterwards.
import { spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fetchTensorFlow, hasTensorFlow, tensorflowFor } from "./libtensorflow.mjs";

const usual = ".libtensorflow";
const usage =
  "npx @whetstone/engine setup [folder]: fetches TensorFlow's libraries into ./.libtensorflow, or the folder";

/**
 * @param {string[]} command
 * @param {string[]} args
 * @param {(line: string) => void} [onLine]
 * @returns {Promise<string>}
 */
function call([program, ...first], args, onLine) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...first, ...args], { stdio: ["ignore", "pipe", "pipe"], windowsHide: true });
    let output = "";
    const take = (/** @type {Buffer} */ chunk) => {
      output += chunk;
      for (const line of chunk.toString().split(/[\r\n]+/)) if (line.trim()) onLine?.(line.trim());
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(output);
      else reject(Object.assign(new Error(`${program} ended with ${code}`), { output }));
    });
  });
}

/** The first Python on the PATH that has pip. @returns {Promise<import("./wheel.mjs").Python | undefined>} */
async function findPython() {
  for (const command of [["python3"], ["python"], ["py", "-3"]]) {
    try {
      await call(command, ["-m", "pip", "--version"]);
      return (args, onLine) => call(command, args, onLine);
    } catch {
      // not there, not Python 3, or without pip
    }
  }
  return undefined;
}

/** @param {string} named @returns {Promise<number>} exit code */
async function setUp(named) {
  const folder = resolve(named);
  const wanted = tensorflowFor();
  if ("none" in wanted) {
    console.error(wanted.none);
    return 1;
  }
  const found = `the engine finds it there${named === usual ? "" : ` by WHETSTONE_LIBTENSORFLOW=${folder}`}`;
  if (hasTensorFlow(folder, wanted)) {
    console.log(`TensorFlow's ${wanted.variant} build is in ${folder} already; ${found}`);
    return 0;
  }
  const python = await findPython();
  if (!python) {
    console.error(
      "no Python with pip was found (looked for python3, python, py -3 on the PATH). It is needed once, to download TensorFlow's wheel: " +
        "install it (apt install python3-pip, brew install python), or set WHETSTONE_LIBTENSORFLOW to a folder with libtensorflow_cc.so.2 of TensorFlow 2.21. Until then the engine runs on WASM.",
    );
    return 1;
  }
  const work = `${folder}.work`;
  mkdirSync(work, { recursive: true });
  console.log(
    `${wanted.name} for ${process.platform}-${process.arch} (${wanted.variant === "cuda" ? "4 GB" : "300 MB"}) ...`,
  );
  try {
    await fetchTensorFlow(wanted, folder, { python, work, onLine: (line) => console.log(`  ${line}`) });
  } catch (error) {
    const { message, output } = /** @type {Error & { output?: string }} */ (error);
    console.error(
      `TensorFlow could not be fetched: ${message}\n${output?.trim().split("\n").slice(-6).join("\n") ?? ""}`,
    );
    return 1;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  // Nobody wants 800 MB of libraries in a repository.
  writeFileSync(join(folder, ".gitignore"), "*\n");
  console.log(`TensorFlow's ${wanted.variant} build is in ${folder}; ${found}`);
  return 0;
}

const [command, folder = usual, ...rest] = process.argv.slice(2);
if (command === "setup" && rest.length === 0) process.exitCode = await setUp(folder);
else {
  const isHelp = command === "--help" || command === "help";
  console[isHelp ? "log" : "error"](usage);
  process.exitCode = isHelp ? 0 : 2;
}
