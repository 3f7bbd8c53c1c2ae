// Registers the kernel with Jupyter: writes kernel.json and the logos where a Jupyter server looks for them.
//   node kernel/install/kernelspec.ts <folder>     e.g. .venv/share/jupyter/kernels/whetstone
// A folder named `tslab` or `jslab` makes an alias for notebooks that were written for these kernels.
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";

export interface KernelspecOptions {
  /** The folder of the spec; its name is the name of the kernel. */
  folder: string;
  /** The Node that runs the kernel. */
  node?: string;
  /** The folder with the built kernel. */
  dist?: string;
}

const logos = ["logo-svg.svg", "logo-32x32.png", "logo-64x64.png"];

/** Writes the kernelspec and returns its folder. Throws when the kernel has not been built. */
export function installKernelspec(options: KernelspecOptions): string {
  const { folder, node = process.execPath, dist = resolve(import.meta.dirname, "../dist") } = options;
  const front = join(dist, "front.js");
  if (!existsSync(front)) throw new Error(`${front} is missing: build the kernel first (npm run setup)`);
  mkdirSync(folder, { recursive: true });
  const name = basename(folder);
  const isJavaScript = name === "jslab";
  const isAlias = isJavaScript || name === "tslab";
  const spec = {
    argv: [node, front, "{connection_file}"],
    display_name: isJavaScript ? "JavaScript (Whetstone)" : "TypeScript (Whetstone)",
    language: isJavaScript ? "javascript" : "typescript",
    ...(isAlias && { env: { WHETSTONE_DIALECT: name } }),
    interrupt_mode: "message",
    // JupyterLab shows its panel of variables only for kernels that say so. Breakpoints are refused with a reason.
    metadata: { debugger: true },
  };
  writeFileSync(join(folder, "kernel.json"), `${JSON.stringify(spec, null, 2)}\n`);
  for (const logo of logos) copyFileSync(join(import.meta.dirname, logo), join(folder, logo));
  return folder;
}

if (import.meta.main) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) {
    console.error("usage: node kernel/install/kernelspec.ts <folder>");
    process.exit(2);
  }
  console.log(installKernelspec({ folder: resolve(folder) }));
}
