// `whetstone launch --workers N [--threads T] script.ts [arguments]`: runs a script as a local cluster, N processes with TF_CONFIG
// set, so that cluster() in it finds the others. Their lines come out with `[rank]` in front; they end with this process, and when one
// of them fails the others are ended and its code is the exit code.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { availableParallelism, constants } from "node:os";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { endWithParent } from "./end-with-parent.ts";

const USAGE = "whetstone launch --workers N [--threads T] script.ts [arguments]";
const GRACE = 5000; // milliseconds between asking a process to end and ending it

interface Options {
  workers: number;
  /** threads of TensorFlow's kernels in each process */
  threads: number;
  script: string;
  args: string[];
}

function fail(message: string): never {
  console.error(`launch: ${message}\n${USAGE}`);
  process.exit(2);
}

/** Options stand before the script; what follows it is the script's. */
function parse(words: string[]): Options {
  const numbers: Record<string, number> = {};
  let at = 0;
  for (; words[at]?.startsWith("--"); at++) {
    const [name, joined] = words[at].slice(2).split("=", 2);
    if (name === "") {
      at++;
      break;
    }
    if (name !== "workers" && name !== "threads") fail(`there is no option --${name}`);
    const text = joined ?? words[++at];
    const value = Number(text);
    if (!Number.isInteger(value) || value < 1) fail(`--${name} takes a whole number above 0, not ${text ?? "nothing"}`);
    numbers[name] = value;
  }
  const [script, ...args] = words.slice(at);
  const { workers } = numbers;
  if (!workers) fail("--workers is missing");
  if (!script) fail("which script?");
  if (!existsSync(script)) fail(`there is no file ${resolve(script)}`);
  const share = Math.max(1, Math.floor(availableParallelism() / workers));
  const threads = numbers.threads ?? (process.env.TF_NUM_INTRAOP_THREADS || share);
  return { workers, threads: Number(threads), script, args };
}

/** Ports that are free now, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<Server>((done, failed) => {
          const server = createServer();
          server.once("error", failed);
          server.listen(0, "127.0.0.1", () => done(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

const { workers, threads, script, args } = parse(process.argv.slice(2));
const ports = await freePorts(workers);
const cluster = { worker: ports.map((port) => `127.0.0.1:${port}`) };
const children: ChildProcess[] = [];
let running = 0;
let code: number | undefined;

/** Ends all, at the first reason to. */
function end(exitCode: number, signal: NodeJS.Signals = "SIGTERM") {
  code ??= exitCode;
  for (const child of children) child.kill(signal);
  setTimeout(() => {
    for (const child of children) child.kill("SIGKILL");
  }, GRACE).unref();
}

/** A child's lines, whole, with its rank in front. */
function relay(from: NodeJS.ReadableStream, to: NodeJS.WritableStream, rank: number) {
  createInterface({ input: from }).on("line", (line) => to.write(`[${rank}] ${line}\n`));
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    // From the keyboard, Ctrl-C reaches the children too.
    end(128 + constants.signals[signal], signal);
  });
}
endWithParent(() => end(1));

const node = [...process.execArgv, "--import", new URL("./end-with-parent-import.ts", import.meta.url).href];
for (let rank = 0; rank < workers; rank++) {
  const child = spawn(process.execPath, [...node, script, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      // TensorFlow's own variable for the threads of its kernels and of XLA's programs.
      TF_NUM_INTRAOP_THREADS: String(threads),
      TF_CONFIG: JSON.stringify({ cluster, task: { type: "worker", index: rank } }),
    },
  });
  children.push(child);
  running++;
  relay(child.stdout!, process.stdout, rank);
  relay(child.stderr!, process.stderr, rank);
  child.on("error", (error) => {
    console.error(`launch: worker ${rank} does not start: ${error.message}`);
    end(1);
  });
  // `close`: its output has been read to the end.
  child.on("close", (status, signal) => {
    running--;
    const failed = signal ? 128 + constants.signals[signal] : status;
    if (failed && code === undefined) {
      console.error(`launch: worker ${rank} ended with ${signal ?? `code ${status}`}; the others are ended`);
      end(failed);
    }
    if (running === 0) process.exitCode = code ?? 0;
  });
}
