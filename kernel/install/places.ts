// Where kernelspecs stand: of the user, of a Python environment, below a prefix.
import { execFileSync } from "node:child_process";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Which of them is meant; none is the user's. */
export interface Place {
  user?: boolean;
  sysPrefix?: boolean;
  prefix?: string;
}

/** A folder that cannot be found. Its message says the next step. */
export class NoPlace extends Error {
  override name = "NoPlace";
}

/** The folder of kernelspecs of a place. Throws NoPlace where there is no such place. */
export function kernelsFolder({ sysPrefix, prefix }: Place, env: NodeJS.ProcessEnv = process.env): string {
  if (prefix !== undefined) return join(resolve(prefix), "share/jupyter/kernels");
  if (!sysPrefix) return join(userDataFolder(env), "kernels");
  const found = pythonPrefix(env);
  if (found !== undefined) return join(found, "share/jupyter/kernels");
  throw new NoPlace(
    "--sys-prefix is the folder of a Python environment, and there is no Python on the PATH: activate the environment, or take --user or --prefix",
  );
}

/** Jupyter's data folder of the user, as Jupyter looks for it. */
export function userDataFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.JUPYTER_DATA_DIR) return env.JUPYTER_DATA_DIR;
  const home = env.HOME || homedir();
  if (process.platform === "win32") return join(env.APPDATA ?? home, "jupyter");
  if (process.platform === "darwin") return join(home, "Library/Jupyter");
  return join(env.XDG_DATA_HOME || join(home, ".local/share"), "jupyter");
}

/** The folder of the active Python environment, else that of the Python on the PATH. */
export function pythonPrefix(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const active = env.VIRTUAL_ENV || env.CONDA_PREFIX;
  if (active) return active;
  for (const command of ["python3", "python"]) {
    try {
      const stdio: ["ignore", "pipe", "ignore"] = ["ignore", "pipe", "ignore"];
      const options = { env, encoding: "utf8" as const, stdio, timeout: 20_000 };
      const prefix = execFileSync(command, ["-c", "import sys; print(sys.prefix)"], options).trim();
      if (prefix !== "") return prefix;
    } catch {
      // Not there, or none that answers.
    }
  }
  return undefined;
}
