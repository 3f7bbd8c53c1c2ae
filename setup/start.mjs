// @ts-check
// `npm start`: JupyterLab on notebooks/, with its settings, workspaces and signatures in .jupyter/ of the clone.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { place, root } from "./place.mjs";

const notebooks = join(root, "notebooks");
const home = join(root, ".jupyter");
const args = process.argv.slice(2);

if (process.getuid?.() === 0 && !args.includes("--allow-root")) {
  console.error(
    "JupyterLab does not run as root, because every notebook could then change the whole machine. Use an account of your own, or, where the machine is yours alone (a container), npm start -- --allow-root.",
  );
  process.exit(1);
}

const env = {
  ...process.env,
  JUPYTER_CONFIG_DIR: home,
  JUPYTER_DATA_DIR: join(home, "data"),
  JUPYTER_RUNTIME_DIR: join(home, "runtime"),
  JUPYTERLAB_SETTINGS_DIR: join(home, "settings"),
  JUPYTERLAB_WORKSPACES_DIR: join(home, "workspaces"),
  IPYTHONDIR: join(home, "ipython"),
};

// Written once: whoever wants the news can have them by JupyterLab's own settings editor.
const notification = join(
  env.JUPYTERLAB_SETTINGS_DIR,
  "@jupyterlab/apputils-extension/notification.jupyterlab-settings",
);
if (!existsSync(notification)) {
  mkdirSync(dirname(notification), { recursive: true });
  writeFileSync(notification, `${JSON.stringify({ fetchNews: "false", checkForUpdates: false }, null, 2)}\n`);
}

// The project's own notebooks are trusted, so that their stored tables and drawings show before they are run.
const own = readdirSync(notebooks).filter((name) => /^\d\d-.*\.ipynb$/.test(name));
if (own.length > 0)
  spawn(place.python, ["-m", "nbformat.sign", ...own], { cwd: notebooks, env, stdio: "ignore" }).unref();

// A session of its own: Ctrl-C of the terminal comes here, and JupyterLab gets the SIGTERM that ends it and its kernels
// without asking back.
const defaults = [
  "--LabApp.default_url=/lab/tree/00-start-here.ipynb",
  "--MultiKernelManager.default_kernel_name=whetstone",
];
const lab = spawn(place.python, ["-m", "jupyterlab", ...defaults, ...args], {
  cwd: notebooks,
  env,
  stdio: ["ignore", "inherit", "inherit"],
  detached: process.platform !== "win32",
});
lab.on("error", (error) => {
  console.error(`${place.python} does not start: ${error.message}; npm run setup makes it anew after rm -r .venv`);
  process.exit(1);
});

let ending = false;
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.on(signal, () => {
    if (ending) return;
    ending = true;
    lab.kill("SIGTERM");
    setTimeout(() => lab.kill("SIGKILL"), 10_000).unref();
  });
}
lab.on("exit", (code) => process.exit(ending ? 0 : (code ?? 1)));
