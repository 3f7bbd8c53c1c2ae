// A second tree of the recipes with their tests and notebooks, in which a file can be broken: others may work in the clone meanwhile.
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

export const root = join(import.meta.dirname, "../..");

export interface Ended {
  /** it failed, which a mutant's tests should; null when it did not end within the time */
  failed: boolean | null;
  output: string;
}

/** A tree in reports/, so that packages are found in the clone above it. */
export class Tree {
  readonly folder: string;
  #running: ChildProcess | undefined;

  constructor() {
    mkdirSync(join(root, "reports"), { recursive: true });
    this.folder = mkdtempSync(join(root, "reports", "mutants-"));
    for (const part of ["recipes", "test/recipes", "test/fixtures", "notebooks", "data"]) this.#take(part);
  }

  /** Copies a folder; what is large and never imports a recipe is linked. */
  #take(part: string) {
    mkdirSync(join(this.folder, part), { recursive: true });
    for (const entry of readdirSync(join(root, part), { withFileTypes: true })) {
      const [from, to] = [join(root, part, entry.name), join(this.folder, part, entry.name)];
      if (entry.isDirectory() && part === "data") symlinkSync(from, to, "junction");
      else if (!/^(node_modules|\..*|images|tools)$/.test(entry.name)) cpSync(from, to, { recursive: true });
    }
  }

  write(path: string, content: string) {
    writeFileSync(join(this.folder, path), content);
  }

  has(path: string): boolean {
    return existsSync(join(this.folder, path));
  }

  /** Runs Node with these arguments in the clone, at most `seconds` long. */
  async run(args: string[], seconds: number, env: NodeJS.ProcessEnv = {}): Promise<Ended> {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: process.platform !== "win32", // a group of its own, which ends as one
    });
    this.#running = child;
    let output = "";
    const keep = (chunk: Buffer) => {
      output = (output + chunk).slice(-4000);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#end();
    }, seconds * 1000);
    const code = await new Promise<number | null>((resolve) => {
      child.on("exit", resolve);
      child.on("error", () => resolve(1));
    });
    clearTimeout(timer);
    this.#end(); // what it may have left behind
    this.#running = undefined;
    return { failed: late ? null : code !== 0, output };
  }

  #end() {
    const { pid } = this.#running ?? {};
    try {
      if (pid === undefined) return;
      if (process.platform === "win32") this.#running!.kill("SIGKILL");
      else process.kill(-pid, "SIGKILL");
    } catch {
      // It has ended.
    }
  }

  remove() {
    this.#end();
    if (!basename(this.folder).startsWith("mutants-")) throw new Error(`${this.folder} is no tree of mutants`);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
