// @ts-check
// `npx whetstone copy RECIPE FOLDER [--force]`: a recipe with all that it imports and its test, for a project of your own.
// The files are copied byte by byte and keep their places to each other, so they can be compared with the originals at any time, and the
// next recipe that goes into the same folder shares what is there.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { basename, dirname, join, posix, relative, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { root } from "./place.mjs";

const home = join(root, "recipes");

/** What the user can mend; `code` is the exit code: 2 for a call that says nothing that could be done. */
export class CannotCopy extends Error {
  /** @param {string} message @param {1 | 2} [code] */
  constructor(message, code = 1) {
    super(message);
    this.code = code;
  }
}

/** All recipes, as `compress/prune-weights`; those of `core`, which others build on, come last. @returns {string[]} */
export function recipes() {
  const inCore = (/** @type {string} */ name) => Number(name.startsWith("core/"));
  return readdirSync(home, { recursive: true, encoding: "utf8" })
    .map((file) => file.split(sep).join("/"))
    .filter((file) => /^(?!node_modules).*\/.*(?<!\.test)\.ts$/.test(file))
    .map((file) => file.slice(0, -3))
    .sort((a, b) => inCore(a) - inCore(b) || (a < b ? -1 : 1));
}

/**
 * The recipe that is meant by `prune-weights`, `compress/prune-weights` or `recipes/compress/prune-weights.ts`.
 * @param {string} asked @returns {string}
 * @throws CannotCopy with the names that come closest
 */
export function find(asked) {
  const names = recipes();
  const name = asked
    .split(sep)
    .join("/")
    .replace(/^(\.\/)?(recipes\/)?|(\.ts|\/)$/g, "");
  if (names.includes(name)) return name;
  if (names.includes(`${name}/index`)) return `${name}/index`;
  const same = names.filter((one) => basename(one) === name);
  const inside = names.filter((one) => one.startsWith(`${name}/`));
  const meant = [...same, ...inside];
  if (same.length === 1 && inside.length === 0) return same[0];
  if (meant.length > 0) throw new CannotCopy(`"${asked}" may be ${meant.join(", ")}; say which`, 2);
  const near = nearest(name, names);
  throw new CannotCopy(
    `there is no recipe "${asked}"${near.length > 0 ? `; did you mean ${near.join(" or ")}?` : ";"} there are ${names.join(", ")}`,
    2,
  );
}

/** @param {string} wanted @param {string[]} names */
function nearest(wanted, names) {
  const most = Math.max(1, Math.floor(wanted.length / 3));
  return names
    .map((name) => ({ name, far: Math.min(distance(wanted, name), distance(wanted, basename(name))) }))
    .filter(({ far }) => far <= most)
    .sort((a, b) => a.far - b.far)
    .slice(0, 2)
    .map(({ name }) => name);
}

/** How many letters have to be added, dropped or replaced. @param {string} a @param {string} b */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + Number(a[i - 1] !== b[j - 1]));
    row = next;
  }
  return row[b.length];
}

/**
 * The files of a recipe, as paths in `recipes/`, and the packages that they import: the recipe, its test where it has one, and whatever
 * these import, types too.
 * @param {string} name @returns {{ files: string[], packages: string[] }}
 */
export function needed(name) {
  const packages = new Set();
  const files = new Set([`${name}.ts`]);
  if (existsSync(join(home, `${name}.test.ts`))) files.add(`${name}.test.ts`);
  // A set grows while it is walked through.
  for (const file of files)
    for (const specifier of imports(readFileSync(join(home, file), "utf8"))) {
      if (!specifier.startsWith(".")) {
        if (!isBuiltin(specifier)) packages.add(/^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0]);
        continue;
      }
      const path = posix.join(posix.dirname(file), specifier);
      if (path.startsWith(".."))
        throw new Error(`${file} imports ${specifier}, which is no recipe and cannot be copied`);
      files.add(path);
    }
  return { files: [...files].sort(), packages: [...packages].sort() };
}

/** @param {string} source of a recipe, in Biome's format @returns {string[]} */
function imports(source) {
  const patterns = [/^(?:import|export)\s+(?:[\w\s{},*$]+\sfrom\s+)?"([^"]+)"/gm, /\bimport\("([^"]+)"\)/g];
  return patterns.flatMap((pattern) => Array.from(source.matchAll(pattern), ([, specifier]) => specifier));
}

/** Checks what is copied, where the project says nothing of its own about TypeScript. */
const tsconfig = `${JSON.stringify(
  {
    compilerOptions: {
      target: "esnext",
      module: "nodenext",
      types: ["node"],
      strict: true,
      skipLibCheck: true, // tfjs' own declarations do not hold without it
      allowImportingTsExtensions: true,
      noEmit: true,
    },
  },
  null,
  2,
)}\n`;

/**
 * Copies a recipe into a folder of someone's project.
 * @param {string} asked @param {string} folder @param {{ force?: boolean }} [options]
 * @returns {{ name: string, project: string, written: string[], kept: string[], steps: string[] }} paths in `folder`, and what is left to do
 * @throws CannotCopy before anything is written
 */
export function copy(asked, folder, { force = false } = {}) {
  const name = find(asked);
  const to = resolve(folder);
  if (existsSync(to) && !statSync(to).isDirectory())
    throw new CannotCopy(`${folder} is a file; wanted a folder, which may be a new one`);
  const project = projectOf(to);
  const { files, packages } = needed(name);
  const contents = new Map(files.map((file) => [file, readFileSync(join(home, file), "utf8")]));
  const config = nearestAbove(to, project, "tsconfig.json");
  if (config === undefined) contents.set("tsconfig.json", tsconfig);
  contents.set("LICENSE-whetstone", readFileSync(join(root, "LICENSE"), "utf8"));

  const kept = [...contents.keys()].filter((file) =>
    sameAs(join(to, file), /** @type {string} */ (contents.get(file))),
  );
  const different = [...contents.keys()].filter((file) => existsSync(join(to, file)) && !kept.includes(file));
  if (different.length > 0 && !force)
    throw new CannotCopy(
      `${relative(process.cwd(), to) || "."} has other files of these names, and nothing was written: ${different.join(", ")}. ` +
        "Take an empty folder, or --force to overwrite them",
    );
  const written = [...contents.keys()].filter((file) => !kept.includes(file));
  try {
    for (const file of written) {
      mkdirSync(dirname(join(to, file)), { recursive: true });
      writeFileSync(join(to, file), /** @type {string} */ (contents.get(file)));
    }
  } catch (error) {
    throw new CannotCopy(`the recipe cannot be written: ${/** @type {Error} */ (error).message}`);
  }
  return { name, project, written, kept, steps: stepsLeft({ name, to, project, packages, config, files }) };
}

/** @param {string} path @param {string} content */
function sameAs(path, content) {
  try {
    return readFileSync(path, "utf8") === content;
  } catch {
    return false; // not there, or no file
  }
}

/** The folder of the package.json that a folder belongs to. @param {string} folder */
function projectOf(folder) {
  const manifest = nearestAbove(folder, undefined, "package.json");
  if (manifest === undefined)
    throw new CannotCopy(`${folder} is in no npm project; make one first: npm init -y in the folder that shall be it`);
  const project = dirname(manifest);
  if (project === root || project.startsWith(root + sep))
    throw new CannotCopy(
      `${folder} is in Whetstone's own clone, where the recipe is already; name a folder of your project`,
    );
  return project;
}

/**
 * The file of that name in a folder or above it, up to and with `last`.
 * @param {string} folder @param {string | undefined} last @param {string} name @returns {string | undefined}
 */
function nearestAbove(folder, last, name) {
  if (existsSync(join(folder, name))) return join(folder, name);
  const above = dirname(folder);
  return folder === last || above === folder ? undefined : nearestAbove(above, last, name);
}

/**
 * @param {{ name: string, to: string, project: string, packages: string[], config: string | undefined, files: string[] }} what
 * @returns {string[]}
 */
function stepsLeft({ name, to, project, packages, config, files }) {
  const read = (/** @type {string} */ path) => JSON.parse(readFileSync(path, "utf8"));
  const manifest = read(join(project, "package.json"));
  const has = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.peerDependencies };
  const { peerDependencies: versions } = read(join(home, "package.json"));
  const { devDependencies: ours, dependencies } = read(join(root, "package.json"));
  const { typescript } = read(join(root, "kernel/package.json")).dependencies;
  const version = { ...dependencies, ...ours, ...versions, typescript };
  const lacks = (/** @type {string[]} */ names) =>
    names.filter((one) => !has[one]).map((one) => `${one}@${version[one]}`);
  const backend = Object.keys(has).find((one) => /^@tensorflow\/tfjs(-backend-\w+|-node(-gpu)?)?$/.test(one));
  const runs = [...packages];
  version["@tensorflow/tfjs-backend-wasm"] = versions["@tensorflow/tfjs-core"];
  if (!backend && packages.includes("@tensorflow/tfjs-core")) runs.push("@tensorflow/tfjs-backend-wasm");
  // What has gradients of tfjs-core's ops on Node: its own files of them are for bundlers.
  const gradients = "@tensorflow/tfjs-layers";
  version[gradients] = versions["@tensorflow/tfjs-core"];
  const learns = files.includes("core/grad.ts");
  if (learns && !/tfjs(-node(-gpu)?)?$/.test(backend ?? "")) runs.push(gradients);
  const types = packages.map((one) => `@types/${one}`).filter((one) => ours[one]);

  const steps = [];
  if (manifest.type !== "module") steps.push("npm pkg set type=module   # recipes are ES modules");
  const [install, develop] = [lacks(runs), lacks(["typescript", "@types/node", ...types])];
  if (install.length > 0) steps.push(`npm install ${install.join(" ")}`);
  if (develop.length > 0) steps.push(`npm install --save-dev ${develop.join(" ")}`);
  const allows = /"(allowImportingTsExtensions|rewriteRelativeImportExtensions)"\s*:\s*true/;
  if (config !== undefined && config !== join(to, "tsconfig.json") && !allows.test(readFileSync(config, "utf8")))
    steps.push(`"rewriteRelativeImportExtensions": true in ${relative(project, config)}   # imports end in .ts`);
  const inProject = (/** @type {string} */ path) => relative(project, path).split(sep).join("/");
  if (config === undefined) steps.push(`npx tsc -p ${inProject(to) || "."}`);
  if (files.includes(`${name}.test.ts`)) {
    const using = runs.includes(gradients) ? [gradients] : [];
    if (packages.includes("@tensorflow/tfjs-core")) using.push(backend ?? "@tensorflow/tfjs-backend-wasm");
    steps.push(
      `node ${using.map((one) => `--import ${one} `).join("")}--test ${inProject(join(to, `${name}.test.ts`))}   # Node 24 runs TypeScript`,
    );
  }
  return steps;
}

const usage = `usage: npx whetstone copy RECIPE FOLDER [--force]

RECIPE   prune-weights or compress/prune-weights; without one they are listed
FOLDER   in your own npm project, such as ../my-project/src/whetstone
--force  overwrites files of the same names`;

/** @param {string[]} args */
function main(args) {
  const { values, positionals } = parseArgs({
    args,
    options: { force: { type: "boolean" }, help: { type: "boolean", short: "h" } },
    allowPositionals: true,
  });
  const [asked, folder, ...more] = positionals;
  if (values.help || asked === undefined) {
    console.log(`${usage}\n\n${recipes().join("\n")}`);
    return;
  }
  find(asked);
  if (folder === undefined || more.length > 0)
    throw new CannotCopy(`copy wants a recipe and one folder, not ${positionals.length} names\n\n${usage}`, 2);
  const { name, written, kept, steps } = copy(asked, folder, values);
  console.log(
    `${name} is in ${folder}: ${written.length} files written${kept.length > 0 ? `, ${kept.length} were there already` : ""}`,
  );
  for (const file of written) console.log(`  ${file}`);
  console.log(`What is left to do in the project:\n${steps.map((step) => `  ${step}`).join("\n")}`);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    const isUsage = /** @type {any} */ (error).code?.startsWith?.("ERR_PARSE_ARGS");
    if (!isUsage && !(error instanceof CannotCopy)) throw error;
    console.error(/** @type {Error} */ (error).message);
    process.exitCode = error instanceof CannotCopy ? error.code : 2;
  }
}
