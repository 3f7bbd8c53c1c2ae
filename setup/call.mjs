// @ts-check
// Runs a program to its end, keeping what it prints.
import { spawn } from "node:child_process";
import { root } from "./place.mjs";

/** A program that ended badly; `output` is all it printed. */
export class CallFailed extends Error {
  /**
   * @param {string} command
   * @param {string} how
   * @param {string} output
   */
  constructor(command, how, output) {
    super(`${command}: ${how}`);
    this.command = command;
    this.output = output;
  }
}

/**
 * Programs that run now, so that a signal can end them with us.
 * @type {Set<import("node:child_process").ChildProcess>}
 */
const running = new Set();

export function endCalls() {
  for (const child of running) child.kill("SIGTERM");
}

/**
 * Runs `command` in the clone without a shell and gives what it printed.
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, timeoutMs?: number, onLine?: (line: string) => void }} [options]
 * @returns {Promise<string>}
 */
export function call(command, args, { env = {}, cwd = root, timeoutMs, onLine } = {}) {
  return new Promise((resolve, reject) => {
    // npm is a .cmd file on Windows, which only a shell starts.
    const shell = process.platform === "win32" && command === "npm";
    const child = spawn(command, args, {
      cwd,
      shell,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      windowsHide: true,
    });
    running.add(child);
    // spawn's own timeout keeps this process waiting for it when the program does not exist.
    const late = timeoutMs === undefined ? undefined : setTimeout(() => child.kill("SIGTERM"), timeoutMs);
    let output = "";
    const line = [command, ...args].join(" ");
    const take = (/** @type {Buffer} */ chunk) => {
      output += chunk;
      const last = chunk
        .toString()
        .trimEnd()
        .split(/[\r\n]+/)
        .at(-1);
      if (last) onLine?.(last);
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", (error) => {
      clearTimeout(late);
      running.delete(child);
      reject(new CallFailed(line, error.message, output));
    });
    child.on("close", (code, signal) => {
      clearTimeout(late);
      running.delete(child);
      if (code === 0) resolve(output);
      else reject(new CallFailed(line, signal ? `ended by ${signal}` : `exit code ${code}`, output));
    });
  });
}
