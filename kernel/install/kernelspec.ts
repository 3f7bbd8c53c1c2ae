// Registers the kernel with Jupyter: writes kernel.json and the logos where a Jupyter server looks for them.
//   node kernel/install/kernelspec.ts <folder>     e.g. .venv/share/jupyter/kernels/whetstone
// A folder named `tslab` or `jslab` makes an alias for notebooks that were written for these kernels.
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { versions } from "../versions.ts";

export interface KernelspecOptions {
  /** The folder of the spec; its name is the name of the kernel. */
  folder: string;
  /** What front ends call the kernel. */
  displayName?: string;
  /** The Node that runs the kernel. */
  node?: string;
  /** The folder with the built kernel. */
  dist?: string;
}

/** A kernelspec as it stands in a folder. */
export interface Installed {
  name: string;
  folder: string;
  argv: string[];
  /** Whether it starts this kernel, of whatever version, and not somebody else's. */
  isOurs: boolean;
  /** A file that it starts and that is not there. */
  missing?: string;
}

const logos = ["logo-svg.svg", "logo-32x32.png", "logo-64x64.png"];
const builtFront = resolve(import.meta.dirname, "../dist/front.js");

/** Writes the kernelspec and returns its folder. Throws when the kernel has not been built. */
export function installKernelspec(options: KernelspecOptions): string {
  const { folder, node = process.execPath, dist } = options;
  const front = dist === undefined ? builtFront : join(dist, "front.js");
  if (!existsSync(front)) throw new Error(`${front} is missing: build the kernel first (npm run setup)`);
  mkdirSync(folder, { recursive: true });
  const name = basename(folder);
  const isJavaScript = name === "jslab";
  const isAlias = isJavaScript || name === "tslab";
  const spec = {
    argv: [node, front, "{connection_file}"],
    display_name: options.displayName ?? (isJavaScript ? "JavaScript (Whetstone)" : "TypeScript (Whetstone)"),
    language: isJavaScript ? "javascript" : "typescript",
    ...(isAlias && { env: { WHETSTONE_DIALECT: name } }),
    interrupt_mode: "message",
    // JupyterLab shows its panel of variables only for kernels that say so. Breakpoints are refused with a reason.
    metadata: { debugger: true, whetstone: { version: versions.kernel } },
  };
  for (const logo of logos) copyFileSync(join(import.meta.dirname, logo), join(folder, logo));
  // Last: without it there is no kernelspec yet.
  writeFileSync(join(folder, "kernel.json"), `${JSON.stringify(spec, null, 2)}\n`);
  return folder;
}

/** The kernelspec in a folder; undefined when there is none that can be read. */
export function readInstalled(folder: string): Installed | undefined {
  let spec: { argv?: unknown; metadata?: { whetstone?: unknown } } | null;
  try {
    spec = JSON.parse(readFileSync(join(folder, "kernel.json"), "utf8"));
  } catch {
    return undefined;
  }
  const argv = Array.isArray(spec?.argv) ? spec.argv.map(String) : [];
  // Before version 0.1.0 the metadata did not tell.
  const isOurs = spec?.metadata?.whetstone !== undefined || /kernel[\\/]dist[\\/]front\.js$/.test(argv[1] ?? "");
  const missing = isOurs ? argv.slice(0, 2).find((path) => !existsSync(path)) : undefined;
  return { name: basename(folder), folder, argv, isOurs, missing };
}

/** All kernelspecs in folders of them, one folder after the other. */
export function listInstalled(folders: Iterable<string>): Installed[] {
  return [...folders].flatMap((folder) => {
    const names = existsSync(folder) ? readdirSync(folder).sort() : [];
    return names.flatMap((name) => readInstalled(join(folder, name)) ?? []);
  });
}

export const removeInstalled = ({ folder }: Installed) => rmSync(folder, { recursive: true });

if (import.meta.main) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) {
    console.error("usage: node kernel/install/kernelspec.ts <folder>");
    process.exit(2);
  }
  console.log(installKernelspec({ folder: resolve(folder) }));
}
