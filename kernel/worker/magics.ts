// What the magic lines of cells do (see compile/magics.ts), as functions that their code calls.
import { type ChildProcess, spawn } from "node:child_process";
import { homedir } from "node:os";
import { resolve } from "node:path";

/** A command that ended badly: its cell fails, and those behind it do not run. */
export class CommandError extends Error {
  override name = "CommandError";
}

const home = process.cwd();
let previous = home;

export const magics = {
  print: (text: string) => console.log(text),

  /** Runs a command of the shell. */
  shell: (command: string) => finished(spawn(command, { shell: true, ...stdio }), command),

  /** Runs a script. */
  script: (shell: string, text: string) => finished(spawn(shell, ["-c", text], stdio), `%%${shell}`),

  cd(folder: string) {
    const wanted = unquote(folder);
    const to = wanted === "-" ? previous : wanted === "" ? homedir() : wanted.replace(/^~(?=$|[\\/])/, homedir());
    const from = process.cwd();
    process.chdir(resolve(to));
    previous = from;
    console.log(process.cwd());
  },

  pwd: () => console.log(process.cwd()),

  env(text: string) {
    const [, name, sign, value] = /^([^\s=]*)(\s*=\s*|\s+)?(.*)$/s.exec(text)!;
    if (name === "") {
      for (const [each, content] of Object.entries(process.env).sort())
        console.log(`${each}=${hidden(each, content!)}`);
    } else if (sign === undefined) {
      const content = process.env[name!];
      if (content === undefined) throw new Error(`the environment has no ${name}; %env ${name}=value sets it`);
      console.log(content);
    } else {
      process.env[name!] = unquote(value!);
      console.log(`${name}=${hidden(name!, unquote(value!))}`);
    }
  },

  /** npm for the notebook's folder; what packages want to run at installation is not run. */
  async npm(text: string) {
    const [action = "", ...packages] = words(text);
    const verb = { add: "install", install: "install", i: "install", remove: "uninstall", rm: "uninstall", ls: "ls" }[
      action
    ];
    if (verb === undefined || (verb !== "ls" && packages.length === 0)) {
      throw new Error(`%npm add <packages>, %npm remove <packages> or %npm ls, not "%npm ${text}"`);
    }
    const quiet = ["--no-audit", "--no-fund", "--no-update-notifier"];
    const args = [verb, ...packages, "--prefix", home, ...quiet, "--ignore-scripts"];
    const isWindows = process.platform === "win32";
    const npm = spawn(isWindows ? "npm.cmd" : "npm", args, { ...stdio, cwd: home, shell: isWindows });
    await finished(npm, `npm ${verb} ${packages.join(" ")}`);
  },

  /** Begins a measurement. Returns nothing: it may stand before the value to measure, among the arguments of `stop`. */
  start() {
    begun.push(clock());
  },

  /** Ends the last measurement, prints it and passes the value on. */
  stop<T>(_started?: undefined, value?: T): T | undefined {
    console.log(elapsed(begun.pop()!));
    return value;
  },

  timeit,
};

const begun: Clock[] = [];
type Clock = ReturnType<typeof clock>;

export function clock() {
  return { wall: performance.now(), cpu: process.cpuUsage() };
}

/** What has passed since then, as IPython writes it. */
export function elapsed({ wall, cpu }: Clock): string {
  const { user, system } = process.cpuUsage(cpu);
  const took = performance.now() - wall;
  const [u, s, total] = [user, system, user + system].map((us) => duration(us / 1e6));
  return `CPU times: user ${u}, sys: ${s}, total: ${total}\nWall time: ${duration(took / 1e3)}`;
}

/** Calls the code in runs of so many loops that one takes at least 0.1 s, and prints mean and deviation of one loop. */
async function timeit({ loops, runs = 7 }: { loops?: number; runs?: number }, code: () => unknown) {
  const first = code();
  const isAsync = typeof (first as Promise<unknown> | undefined)?.then === "function";
  await first;
  const run = async (count: number) => {
    const began = performance.now();
    if (isAsync) for (let i = 0; i < count; i++) await code();
    else for (let i = 0; i < count; i++) code();
    return (performance.now() - began) / 1e3;
  };
  let count = loops ?? 1;
  if (loops === undefined) while (count < 1e9 && (await run(count)) < 0.1) count *= 10;
  const each: number[] = [];
  for (let i = 0; i < runs; i++) each.push((await run(count)) / count);
  const mean = each.reduce((a, b) => a + b, 0) / runs;
  const deviation = Math.sqrt(each.reduce((sum, x) => sum + (x - mean) ** 2, 0) / runs);
  const of = `mean ± std. dev. of ${runs} runs, ${count.toLocaleString("en")} loop${count === 1 ? "" : "s"} each`;
  console.log(`${duration(mean)} ± ${duration(deviation)} per loop (${of})`);
}

function duration(seconds: number): string {
  if (seconds >= 60) return `${Math.floor(seconds / 60)} min ${(seconds % 60).toFixed(1)} s`;
  const [unit, factor] =
    seconds >= 1 ? ["s", 1] : seconds >= 1e-3 ? ["ms", 1e3] : seconds >= 1e-6 ? ["µs", 1e6] : ["ns", 1e9];
  return `${Number((seconds * (factor as number)).toPrecision(3))} ${unit}`;
}

const stdio = { stdio: ["ignore", "inherit", "inherit"] as ["ignore", "inherit", "inherit"] };

/** What a shell ends with when its command was stopped by SIGINT. */
const sigintCode = 130;
/** How long the interrupt of a cell may take to arrive after the signal to its commands. */
const interruptMs = 1_000;

function finished(child: ChildProcess, what: string): Promise<void> {
  // Made here, where its stack still leads to the cell.
  const failure = new CommandError();
  return new Promise((settle, reject) => {
    const fail = (message: string) => reject(Object.assign(failure, { message }));
    child.on("error", (error: NodeJS.ErrnoException) =>
      fail(error.code === "ENOENT" ? `there is no program ${error.path}` : error.message),
    );
    child.on("exit", (code, signal) => {
      if (code === 0) return settle();
      const failed = () =>
        fail(`${what.split("\n")[0]} ended ${signal === null ? `with exit code ${code}` : `by ${signal}`}`);
      // The interrupt of a cell stops its commands too, and they may end before it is heard here: then it is why.
      if (signal === "SIGINT" || code === sigintCode) setTimeout(failed, interruptMs);
      else failed();
    });
  });
}

const secret = /key|token|secret|passw|credential|auth/i;
const hidden = (name: string, value: string) => (secret.test(name) ? "<hidden>" : value);
const unquote = (text: string) => /^\s*(["'])(.*)\1\s*$/s.exec(text)?.[2] ?? text.trim();
const words = (text: string) => [...text.matchAll(/"([^"]*)"|'([^']*)'|\S+/g)].map(([all, a, b]) => a ?? b ?? all);
