// @ts-check
// `npm run pack [-- workspaces]`: packages for people who have no clone, as dist/NAME-VERSION.tgz. Node takes no TypeScript from
// node_modules, so a package holds JavaScript and declarations; the sources in the clone stay the only ones that are run here.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { dirname, join, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { CallFailed, call } from "./call.mjs";
import { node24, place, root } from "./place.mjs";

/**
 * Packages of which a workspace takes single files along: they want to run an install script that would fetch what it does not need.
 * @type {Record<string, string[]>}
 */
const vendored = { engine: ["@tensorflow/tfjs-node-gpu"] };

/**
 * What a workspace builds for itself in `dist`, and by which script; its package takes it along, but for what fits this machine only.
 * @type {Record<string, { script: string, stays: RegExp }>}
 */
const built = { kernel: { script: "kernel/build/build.mjs", stays: /^\.|\.blob|^(build|snapshot)\.json$/ } };

/** @typedef {Record<string, any>} Manifest */

/**
 * Packs a workspace.
 * @param {string} workspace its folder in the clone: `engine`
 * @param {string} [to] where the package goes
 * @returns {Promise<string>} path of the .tgz
 * @throws Error when its types do not hold, or when something in it would not be found outside of the clone
 */
export async function pack(workspace, to = join(root, "dist")) {
  const source = join(root, workspace);
  const manifest = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
  mkdirSync(to, { recursive: true });
  const work = mkdtempSync(join(to, `${workspace}-`));
  try {
    const stage = join(work, "package");
    await compile(source, stage, work, manifest.engines?.node);
    for (const file of filesOf(source)) {
      if (!/(?<!\.d)\.ts$/.test(file) && file !== "package.json") cpSync(join(source, file), join(stage, file));
    }
    if (built[workspace]) await takeBuilt(source, stage, built[workspace]);
    if (!existsSync(join(stage, "LICENSE"))) cpSync(join(root, "LICENSE"), join(stage, "LICENSE"));
    nameWhatIsThere(stage);
    const dependencies = { ...manifest.dependencies };
    for (const name of vendored[workspace] ?? []) {
      delete dependencies[name];
      Object.assign(dependencies, vendor(stage, name), dependencies);
    }
    const published = toPublish({ ...manifest, dependencies });
    writeFileSync(join(stage, "package.json"), `${JSON.stringify(published, null, 2)}\n`);
    checkEntries(stage, published);
    const printed = await npm(["pack", "--json", "--pack-destination", to], stage);
    const told = JSON.parse(printed.slice(printed.search(/^[[{]/m)));
    // A list up to npm 11, a record by name from 12 on.
    return join(to, /** @type {any} */ (Object.values(told)[0]).filename);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * JavaScript and declarations of all TypeScript of a workspace, which may use only what the oldest Node it promises to run on has.
 * @param {string} source @param {string} stage @param {string} work @param {string} [engines]
 */
async function compile(source, stage, work, engines) {
  const config = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: {
      noEmit: false,
      declaration: true,
      rewriteRelativeImportExtensions: true,
      rootDir: source,
      outDir: stage,
      allowJs: false,
      ...(engines?.startsWith(">=20") && { lib: ["es2023"] }),
      types: ["node"],
      typeRoots: [join(place.modules, "@types")],
    },
    include: [source],
    exclude: [join(source, "dist"), join(source, "node_modules"), join(source, "**/*.test.ts")],
  };
  const file = join(work, "tsconfig.json");
  writeFileSync(file, JSON.stringify(config));
  const node = node24() ?? process.execPath;
  await call(node, [join(place.modules, "typescript/bin/tsc"), "-p", file]);
}

/** @param {string} source @param {string} stage @param {{ script: string, stays: RegExp }} built */
async function takeBuilt(source, stage, { script, stays }) {
  await call(node24() ?? process.execPath, [join(root, script)]);
  const files = readdirSync(join(source, "dist")).filter((name) => !stays.test(name));
  for (const file of files) cpSync(join(source, "dist", file), join(stage, "dist", file));
}

/**
 * All files of a workspace but what is made (`dist`), hidden, or a test's.
 * @param {string} folder @returns {string[]} paths in it
 */
function filesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((path) => !path.split(sep).some((part) => /^(\..*|dist|node_modules|__pycache__)$/.test(part)));
}

// tsc rewrites imports in JavaScript only: not in declarations, and not the files that are started as a thread or a process.
/** @param {string} stage */
function nameWhatIsThere(stage) {
  for (const file of filesOf(stage).filter((name) => /\.([cm]?js|ts)$/.test(name))) {
    const path = join(stage, file);
    const text = readFileSync(path, "utf8");
    const named = text.replace(/(["'])(\.{1,2}\/[\w./-]*?)\.ts\1/g, (whole, quote, stem) =>
      existsSync(join(dirname(path), `${stem}.js`)) ? `${quote}${stem}.js${quote}` : whole,
    );
    if (named !== text) writeFileSync(path, named);
  }
}

/**
 * Copies what a package's files import of a vendored one, and makes them import the copies.
 * @param {string} stage @param {string} name
 * @returns {Record<string, string>} the packages that the copies import, in the versions of this clone
 */
function vendor(stage, name) {
  const from = join(place.modules, name);
  const to = join(stage, "vendor", name);
  const imports = new RegExp(`(["'])${name}/([^"']+)\\1`, "g");
  /** @type {{ files: Set<string>, packages: Set<string> }} */
  const taken = { files: new Set(), packages: new Set() };
  for (const file of filesOf(stage).filter((path) => /\.(js|d\.ts)$/.test(path))) {
    const path = join(stage, file);
    const text = readFileSync(path, "utf8");
    const named = text.replace(imports, (_whole, quote, inner) => {
      if (file.endsWith(".js")) takeWithImports(from, to, inner, taken);
      const local = relative(dirname(path), join(to, inner)).split(sep).join("/");
      return `${quote}${local.startsWith(".") ? local : `./${local}`}${quote}`;
    });
    if (named !== text) writeFileSync(path, named);
  }
  if (taken.files.size === 0) throw new Error(`${name} is to be vendored, but nothing imports a file of it`);
  const { version, license } = JSON.parse(readFileSync(join(from, "package.json"), "utf8"));
  writeFileSync(join(to, "package.json"), `${JSON.stringify({ name, version, license, type: "commonjs" }, null, 2)}\n`);
  for (const file of ["LICENSE", "NOTICE"]) if (existsSync(join(from, file))) cpSync(join(from, file), join(to, file));
  const versionOf = (/** @type {string} */ other) =>
    JSON.parse(readFileSync(join(place.modules, other, "package.json"), "utf8")).version;
  return Object.fromEntries([...taken.packages].sort().map((other) => [other, versionOf(other)]));
}

/** @param {string} from @param {string} to @param {string} inner @param {{ files: Set<string>, packages: Set<string> }} taken */
function takeWithImports(from, to, inner, taken) {
  const file = createRequire(join(from, "package.json")).resolve(`./${inner}`);
  const path = relative(from, file);
  if (taken.files.has(path)) return;
  taken.files.add(path);
  const text = readFileSync(file, "utf8");
  mkdirSync(dirname(join(to, path)), { recursive: true });
  writeFileSync(join(to, path), text.replace(/^\/\/# sourceMappingURL=.*$/m, ""));
  for (const [, , next] of text.matchAll(/require\((["'])([^"']+)\1\)/g)) {
    if (next.startsWith(".")) takeWithImports(from, to, relative(from, join(dirname(file), next)), taken);
    else if (!isBuiltin(next)) taken.packages.add(/^(@[^/]+\/)?[^/]+/.exec(next)?.[0] ?? next);
  }
}

/** The manifest of the package: what pointed at sources points at what they became. @param {Manifest} manifest @returns {Manifest} */
function toPublish({ devDependencies: _, ...manifest }) {
  /** @param {any} target @returns {any} */
  const exported = (target) => {
    if (typeof target === "string" && target.endsWith(".ts")) {
      const stem = target.slice(0, -3);
      return { types: `${stem}.d.ts`, default: `${stem}.js` };
    }
    if (target === null || typeof target !== "object") return target;
    return Object.fromEntries(Object.entries(target).map(([key, value]) => [key, exported(value)]));
  };
  const compiled = (/** @type {string} */ path) => path.replace(/\.ts$/, ".js");
  const bin = typeof manifest.bin === "string" ? compiled(manifest.bin) : manifest.bin && { ...manifest.bin };
  if (typeof bin === "object") for (const name of Object.keys(bin)) bin[name] = compiled(bin[name]);
  return { ...manifest, ...(bin && { bin }), exports: exported(manifest.exports) };
}

/** What a package promises is in it. @param {string} stage @param {Manifest} manifest */
function checkEntries(stage, { exports, bin }) {
  const missing = [];
  const visit = (/** @type {any} */ target) => {
    if (typeof target === "string") {
      if (!target.includes("*") && !existsSync(join(stage, target))) missing.push(target);
    } else if (target) Object.values(target).forEach(visit);
  };
  visit(exports);
  visit(bin);
  for (const file of filesOf(stage).filter((name) => name.endsWith(".js") && !name.startsWith("vendor"))) {
    const text = readFileSync(join(stage, file), "utf8");
    const source = /new URL\((["'])(\.{1,2}\/[^"']+\.ts)\1/.exec(text)?.[2];
    if (source) missing.push(`${source}, which ${file} starts`);
  }
  if (missing.length > 0) throw new Error(`the package would lack ${missing.join(", ")}`);
}

/** @param {string[]} args @param {string} cwd */
function npm(args, cwd) {
  const script = process.env.npm_execpath;
  return script?.endsWith(".js") ? call(process.execPath, [script, ...args], { cwd }) : call("npm", args, { cwd });
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  /** @type {string[]} */
  const there = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).workspaces;
  const asked = process.argv.slice(2);
  const strange = asked.find((name) => !there.includes(name));
  if (strange) {
    console.error(`there is no workspace "${strange}"; there are ${there.join(", ")}`);
    process.exit(2);
  }
  for (const workspace of asked.length > 0 ? asked : there) {
    try {
      const file = await pack(workspace);
      console.log(`${relative(root, file)}`);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      console.error(`${workspace}: ${message}${error instanceof CallFailed ? `\n${error.output.trim()}` : ""}`);
      process.exitCode = 1;
    }
  }
}
