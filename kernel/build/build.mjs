// Bundles the kernel into kernel/dist, so that it starts fast, and freezes the warm compiler into a V8 start-up snapshot.
//   node kernel/build/build.mjs [--force]
// Does nothing when the sources and the Node that runs it are those of the last build. To be run by the Node that runs the kernel.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { makeSnapshot } from "./snapshot.ts";

const kernel = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(kernel, "dist");
const stamp = join(dist, "build.json");
const require = createRequire(import.meta.url);

/** Entry points by the name of their bundle. Those that are not there are left out: the kernel then does without. */
const entries = {
  front: "front.ts",
  worker: "worker/main.ts",
  interrupt: "worker/interrupt.ts",
  "figure-thread": "worker/figure-thread.ts",
  watch: "compile/watch.ts",
};
const compilerEntry = join(kernel, "compile/main.ts");

/** Builds what is out of date. Returns whether there was anything to do. Throws when a step fails. */
export async function build({ force = false, log = console.error } = {}) {
  const wanted = JSON.stringify({
    sources: hashOfSources(),
    // The snapshot holds paths of TypeScript's libraries.
    folder: kernel,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  });
  if (!force && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return false;
  mkdirSync(dist, { recursive: true });
  rmSync(stamp, { force: true });
  // The kernel package is of modules; a snapshot can only be made from a script.
  writeFileSync(join(dist, "package.json"), `${JSON.stringify({ type: "module" })}\n`);
  const { build: bundle } = await import("esbuild");
  const common = { bundle: true, platform: "node", target: "node24", logLevel: "warning", absWorkingDir: kernel };
  await bundle({
    ...common,
    entryPoints: Object.entries(entries).map(([out, file]) => ({ in: join(kernel, file), out })),
    outdir: dist,
    format: "esm",
    // What cells import is known when they run.
    logOverride: { "unsupported-dynamic-import": "silent" },
    // Native addons and what is large and optional are loaded from node_modules.
    packages: "external",
  });
  if (existsSync(compilerEntry)) await buildCompiler(bundle, common, log);
  writeFileSync(stamp, wanted);
  return true;
}

async function buildCompiler(bundle, common, log) {
  const script = join(dist, "compile.cjs");
  await bundle({
    ...common,
    entryPoints: [compilerEntry],
    outfile: script,
    format: "cjs",
    define: { "import.meta.dirname": "__dirname", "import.meta.url": "__compile_url" },
    banner: { js: 'const __compile_url = require("node:url").pathToFileURL(__filename).href;' },
    logOverride: { "empty-import-meta": "silent" },
  });
  for (const name of ["globals.d.ts", "widgets.d.ts", "tslab.d.ts"])
    copyFileSync(join(kernel, "compile", name), join(dist, name));
  const trouble = makeSnapshot(dist);
  if (trouble !== undefined) log(`kernel: no snapshot of the compiler could be made, it will start cold:\n${trouble}`);
}

/** A hash of everything that goes into the bundles: our sources, and the versions of the packages among them. */
function hashOfSources() {
  const hash = createHash("sha256");
  const visit = (folder) => {
    for (const item of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(folder, item.name);
      if (item.isDirectory()) {
        if (item.name !== "dist" && item.name !== "node_modules" && item.name !== "run") visit(path);
      } else if (/\.(ts|mjs|json)$/.test(item.name)) {
        hash
          .update(`${relative(kernel, path)}\0`)
          .update(readFileSync(path))
          .update("\0");
      }
    }
  };
  visit(kernel);
  for (const name of ["typescript", "ts-blank-space", "esbuild"]) hash.update(require(`${name}/package.json`).version);
  return hash.digest("hex");
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const began = performance.now();
  const built = await build({ force: process.argv.includes("--force") });
  console.error(built ? `kernel built in ${((performance.now() - began) / 1e3).toFixed(1)} s` : "kernel is up to date");
}
