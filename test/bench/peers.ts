// Python peers for the benches, installed on demand into .venv-bench/ of the clone.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const venv = join(import.meta.dirname, "../../.venv-bench");

/** The Python of .venv-bench, with these pinned packages in it (`torch==2.13.0`). */
export function pythonWith(packages: string[]): string {
  const python = process.platform === "win32" ? join(venv, "Scripts/python.exe") : join(venv, "bin/python");
  const run = (command: string, args: string[]) => {
    const { status, error, stderr } = spawnSync(command, args, {
      stdio: ["ignore", "inherit", "pipe"],
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr}`);
  };
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
