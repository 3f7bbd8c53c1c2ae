// Peers for the benches, installed on demand: Python's into .venv-bench/ of the clone, Deno into .venv-bench/deno/.
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const venv = join(import.meta.dirname, "../../.venv-bench");
export const denoVersion = "2.9.6";

function run(command: string, args: string[], cwd?: string) {
  const { status, error, stderr } = spawnSync(command, args, {
    cwd,
    stdio: ["ignore", "inherit", "pipe"],
    encoding: "utf8",
    shell: process.platform === "win32" && command === "npm",
  });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr}`);
}

/** Deno's binary, which npm carries as a package for each platform. */
export function deno(): string {
  const folder = join(venv, "deno", denoVersion);
  const find = () => globSync("node_modules/@deno/*/deno{,.exe}", { cwd: folder })[0];
  if (!existsSync(folder) || find() === undefined) {
    console.error(`installing deno ${denoVersion} into ${folder}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), "{}\n");
    run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", `deno@${denoVersion}`], folder);
  }
  const binary = find();
  if (binary === undefined) throw new Error(`deno ${denoVersion} has no binary for this platform in ${folder}`);
  return join(folder, binary);
}

/** A folder with node-llama-cpp, its binary for this processor only: all of them take 725 MB. */
export function llamaCpp(version: string): string {
  const folder = join(venv, "node-llama-cpp", version);
  if (!existsSync(join(folder, "node_modules/node-llama-cpp"))) {
    console.error(`installing node-llama-cpp ${version} into ${folder}`);
    const systems: Record<string, string> = { darwin: "mac", win32: "win" };
    const metal = process.platform === "darwin" && process.arch === "arm64" ? "-metal" : "";
    const binary = `@node-llama-cpp/${systems[process.platform] ?? process.platform}-${process.arch}${metal}`;
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), "{}\n");
    const quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional"];
    run("npm", ["install", ...quietly, `node-llama-cpp@${version}`, `${binary}@${version}`], folder);
  }
  return folder;
}

/** The Python of .venv-bench, with these pinned packages in it (`torch==2.13.0`). */
export function pythonWith(packages: string[]): string {
  const python = process.platform === "win32" ? join(venv, "Scripts/python.exe") : join(venv, "bin/python");
  if (!existsSync(python)) run("python3", ["-m", "venv", venv]);
  const check = packages
    .map((p) => p.split("=="))
    .map(([name, version]) => `assert v(${JSON.stringify(name)}).split("+")[0] == ${JSON.stringify(version)}`);
  const there =
    spawnSync(python, ["-c", ["from importlib.metadata import version as v", ...check].join("\n")]).status === 0;
  if (!there) {
    console.error(`installing ${packages.join(", ")} into ${venv}`);
    run(python, ["-m", "pip", "install", "--quiet", ...packages]);
  }
  return python;
}

/** The middle one; the upper of the two where there are two. */
export const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];
