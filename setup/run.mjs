#!/usr/bin/env node
// @ts-check
// The one door: `node setup/run.mjs COMMAND [arguments]`. Sets up what is missing, then runs the command on Node 24.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { endCalls } from "./call.mjs";
import { node24, root } from "./place.mjs";
import { setUp } from "./setup.mjs";

/**
 * What each command runs, and which steps of set-up it cannot do without; where there is none, the machine stays as it is. A script that has
 * several commands is told which.
 * @type {Record<string, { script?: string, needs: string[], told?: string[] }>}
 */
const commands = {
  setup: { needs: ["npm", "venv", "tensorflow", "minilm", "smollm2", "kernel", "kernelspec"] },
  start: { script: "setup/start.mjs", needs: ["npm", "venv", "kernel", "kernelspec"] },
  lab: { script: "setup/start.mjs", needs: ["npm", "venv", "kernel", "kernelspec"] },
  test: { script: "test/run.ts", needs: ["npm", "kernel"] },
  notebooks: { script: "kernel/run/cli.ts", needs: ["npm", "kernel"] },
  run: { script: "kernel/run/cli.ts", needs: ["npm", "kernel"] },
  mutants: { script: "test/mutants/run.ts", needs: ["npm", "kernel"] },
  bench: { script: "test/bench/run.ts", needs: ["npm", "kernel"] },
  "verify:gpu": { script: "test/verify-gpu.ts", needs: ["npm", "kernel"] },
  data: { script: "data/build.ts", needs: ["npm"] },
  zoo: { script: "data/zoo.ts", needs: ["npm"] },
  claims: { script: "kernel/run/claims.ts", needs: ["npm"] },
  guide: { script: "notebooks/tools/guide.ts", needs: ["npm"] },
  "lint:notebooks": { script: "notebooks/tools/lint.ts", needs: ["npm"] },
  nb: { script: "notebooks/tools/nb.ts", needs: ["npm"] },
  launch: { script: "engine/cluster/launch.ts", needs: ["npm", "tensorflow"] },
  pack: { script: "setup/pack.mjs", needs: ["npm", "kernel"] },
  check: { script: "setup/check.mjs", needs: ["npm"] },
  doctor: { script: "setup/doctor.mjs", needs: [] },
  install: { script: "kernel/install/cli.ts", needs: ["npm", "kernel"], told: ["install"] },
  uninstall: { script: "kernel/install/cli.ts", needs: [], told: ["uninstall"] },
  list: { script: "kernel/install/cli.ts", needs: [], told: ["list"] },
  copy: { script: "setup/copy.mjs", needs: [] },
};

const [name = "", ...rest] = process.argv.slice(2);
const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
if (!command) {
  console.error(
    `${name ? `there is no command "${name}"` : "which command?"} There are: ${Object.keys(commands).join(", ")}.`,
  );
  process.exit(2);
}

/** @type {import("node:child_process").ChildProcess | undefined} */
let child;
let ended = false;
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.on(signal, () => {
    // A terminal sends Ctrl-C to the child itself; a second one would read as impatience.
    if (child && !(signal === "SIGINT" && process.stdin.isTTY)) child.kill(signal);
    if (child) return;
    endCalls();
    if (ended) process.exit(128 + constants.signals[signal]);
    ended = true;
    process.exitCode = 128 + constants.signals[signal];
    setTimeout(() => process.exit(), 2000).unref();
  });
}

const begin = Date.now();
const args = [...(command.told ?? []), ...(rest[0] === "--" ? rest.slice(1) : rest)];
const missing = command.needs.length === 0 ? new Set() : await setUp();
const lacking = command.needs.filter((step) => missing.has(step));
if (ended) process.exit();
if (lacking.length > 0) {
  console.error(
    `${command.told ? "whetstone" : name === "start" || name === "test" ? "npm" : "npm run"} ${name} cannot go on without: ${lacking.join(", ")} (see above).`,
  );
  process.exit(1);
}
if (!command.script) {
  console.log(
    `set up in ${((Date.now() - begin) / 1000).toFixed(1)} s; npm start opens JupyterLab, npm run doctor checks it`,
  );
  process.exit(0);
}
const script = join(root, command.script);
if (!existsSync(script)) {
  console.error(`${command.script} is not in this clone; check it with git status`);
  process.exit(2);
}
// setup/*.mjs runs on any Node; the rest is TypeScript and needs 24.
const node = node24() ?? (command.script.endsWith(".mjs") ? process.execPath : undefined);
if (!node) {
  console.error(
    `there is no Node 24 for ${process.platform}-${process.arch} on npm, and this is Node ${process.versions.node}: install Node 24 or newer`,
  );
  process.exit(1);
}
// These take paths of the caller's own.
const from = ["notebooks", "lint:notebooks", "nb"].includes(name)
  ? process.env.INIT_CWD
  : ["launch", "copy", "run"].includes(name) || command.told
    ? process.cwd()
    : undefined;
child = spawn(node, [script, ...args], { stdio: "inherit", cwd: from || root });
child.on("error", (error) => {
  console.error(`${node} does not start: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1)));
