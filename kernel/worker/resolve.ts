// Where an import leads, and what to tell the user when it leads nowhere.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { builtinModules, isBuiltin } from "node:module";
import { basename, dirname, extname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { nearest } from "./nearest.ts";

/** An import that cannot be done, with the next step in its message. `code` is that of Node's own error. */
export class ImportError extends Error {
  override name = "ImportError";
  declare code: string;
  constructor(message: string, code: string) {
    super(message);
    Object.defineProperty(this, "code", { value: code });
  }
}

/** Whether a specifier names a file rather than a package. */
export function isFileSpecifier(specifier: string): boolean {
  return /^\.\.?(\/|$)|^\/|^file:/.test(specifier);
}

/**
 * The TypeScript file that an import of a local file means: TypeScript looks at `model.ts` first for "./model", and for "./model.js" too. A file
 * that is there as it is written comes before a folder's index. Nothing where Node's own resolution is right.
 */
export function findTypeScript(specifier: string, parentURL: string): string | undefined {
  if (!isFileSpecifier(specifier)) return undefined;
  const url = new URL(specifier, parentURL);
  const path = fileURLToPath(url).replace(/[\\/]$/, "");
  const isFile = (file: string) => statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
  const found = typeScriptCandidates(path).find(isFile);
  if (found === undefined || (extname(path) === "" && isFile(path))) return undefined;
  return `${pathToFileURL(found)}${url.search}${url.hash}`;
}

/** Refuses addresses that Node would refuse only when it loads them, and then it no longer knows who wants them. */
export function checkScheme(specifier: string) {
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(specifier)?.[1];
  const fail = (code: string) => Object.assign(new Error(`cannot import ${specifier}`), { code });
  if (scheme === "node" && !isBuiltin(specifier)) throw fail("ERR_UNKNOWN_BUILTIN_MODULE");
  if (scheme !== undefined && !["node", "file", "data"].includes(scheme)) throw fail("ERR_UNSUPPORTED_ESM_URL_SCHEME");
}

/** Says what was looked for and what to do. `error` is Node's; it is given back when there is nothing better to say. */
export function explain(error: unknown, specifier: string, parentURL: string, cell: string): unknown {
  if (!(error instanceof Error)) return error;
  const code = String((error as NodeJS.ErrnoException).code ?? "");
  const importer = fileURLToPath(parentURL.replace(/[?#].*$/, ""));
  const where = importer === cell ? "" : ` (imported by ${placeOf(specifier, importer, dirname(cell))})`;
  const fail = (message: string) => new ImportError(message, code);
  switch (code) {
    case "ERR_MODULE_NOT_FOUND":
    case "MODULE_NOT_FOUND":
    case "ERR_UNSUPPORTED_DIR_IMPORT":
      if (isFileSpecifier(specifier)) return fail(missingFile(specifier, parentURL, where));
      if (specifier.startsWith("#")) return error;
      return fail(missingPackage(specifier, dirname(importer), where, error));
    case "ERR_PACKAGE_PATH_NOT_EXPORTED":
      return fail(`${error.message.replace(/ imported from .*$/s, "")}${where}${exportsOf(error.message)}`);
    case "ERR_UNKNOWN_BUILTIN_MODULE": {
      const near = nearest(specifier.slice("node:".length), builtinModules);
      const meant = near.length === 0 ? "" : `. Did you mean ${near.map((name) => `"node:${name}"`).join(" or ")}?`;
      return fail(`Node ${process.versions.node} has no module "${specifier}"${where}${meant}`);
    }
    case "ERR_UNSUPPORTED_ESM_URL_SCHEME":
      return fail(otherScheme(specifier, where));
    default:
      return error;
  }
}

/** What to do about a module that the type check does not find; `importer` is the file that wants it. */
export function explainMissing(specifier: string, importer: string): string {
  const parentURL = pathToFileURL(importer).href;
  if (isFileSpecifier(specifier)) return missingFile(specifier, parentURL, "");
  try {
    checkScheme(specifier);
  } catch (error) {
    return (explain(error, specifier, parentURL, importer) as Error).message;
  }
  return missingPackage(specifier, dirname(importer), "");
}

function missingFile(specifier: string, parentURL: string, where: string): string {
  const path = fileURLToPath(new URL(specifier, parentURL));
  const folder = dirname(path);
  const what = `Cannot find "${specifier}"${where}: `;
  if (!existsSync(folder)) return `${what}there is no folder ${folder}`;
  const candidates = typeScriptCandidates(path);
  if (existsSync(path)) return `${what}${path} is a folder without an index.ts or index.js`;
  const near = nearest(basename(path), readdirSync(folder));
  const tried = candidates.length > 0 && extname(path) === "" ? `${path}.ts (nor .js, .json, a folder)` : path;
  const base = dirname(fileURLToPath(parentURL.replace(/[?#].*$/, "")));
  const written = (name: string) => {
    const from = relative(base, join(folder, name)).split(sep).join("/");
    return `"${from.startsWith("../") ? from : `./${from}`}"`;
  };
  if (near.length > 0) return `${what}there is no ${tried}. Did you mean ${near.map(written).join(" or ")}?`;
  return `${what}there is no ${tried}`;
}

function missingPackage(specifier: string, folder: string, where: string, error?: Error): string {
  const name = packageName(specifier);
  if (isBuiltin(`node:${specifier}`)) return `Cannot find "${specifier}"${where}: write "node:${specifier}"`;
  const installed = findUp(folder, join("node_modules", name));
  if (installed !== undefined) {
    // The package is there, a file in it is not.
    const missing = error === undefined ? undefined : /Cannot find module '([^']+)'/.exec(error.message)?.[1];
    return `The package "${name}" has no "${specifier.slice(name.length + 1) || "main file"}"${where}${
      missing === undefined ? "" : `: there is no ${missing}`
    }. Its folder is ${join(installed, "node_modules", name)}`;
  }
  const home = findUp(folder, "package.json") ?? folder;
  const near = /[./:]/.test(specifier)
    ? []
    : nearest(specifier, readdirSync(folder)).filter((found) => /\.[mc]?[jt]s$/.test(found));
  const orFile = near.length === 0 ? "" : `, or write "./${near[0]}" if you mean the file`;
  return `Cannot find the package "${name}"${where}. Install it with \`npm install ${name}\` in ${home}${orFile}`;
}

function otherScheme(specifier: string, where: string): string {
  const scheme = specifier.slice(0, specifier.indexOf(":"));
  if (scheme === "npm" || scheme === "jsr") {
    const name = specifier.slice(scheme.length + 1);
    const bare = name.replace(/^\//, "").replace(/(?<=.)@[^/]*(?=$|\/)/, "");
    return `Cannot import "${specifier}"${where}: write "${bare}", after \`npm install ${packageName(bare)}\``;
  }
  return `Cannot import "${specifier}"${where}: imports lead to packages and files, not to ${scheme}: addresses`;
}

function packageName(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

/** The names that a package's exports map gives, for a message that one of them is missing. */
function exportsOf(message: string): string {
  const file = /(?:in|config) (\S*package\.json)/.exec(message)?.[1];
  if (file === undefined) return "";
  try {
    const { name, exports } = JSON.parse(readFileSync(file, "utf8"));
    const paths = Object.keys(exports ?? {}).filter((key) => key.startsWith("."));
    const names = paths.map((path) => `"${path.replace(/^\./, name)}"`);
    return names.length === 0 ? "" : `. It has ${names.slice(0, 12).join(", ")}${names.length > 12 ? ", ..." : ""}`;
  } catch {
    return "";
  }
}

/** `model.ts:3` where a file imports the specifier, as people name it. */
function placeOf(specifier: string, path: string, folder: string): string {
  const near = relative(folder, path);
  const name = near.startsWith(`..${sep}..${sep}..`) ? path : near;
  try {
    const lines = readFileSync(path, "utf8").split("\n");
    const line = lines.findIndex((text) => text.includes(`"${specifier}"`) || text.includes(`'${specifier}'`));
    return line < 0 ? name : `${name}:${line + 1}`;
  } catch {
    return name;
  }
}

function findUp(from: string, path: string): string | undefined {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    if (existsSync(join(folder, path))) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}

/** The file that stands for an import written as in JavaScript, or without an ending. */
function typeScriptCandidates(path: string): string[] {
  const js = /\.([mc]?)js$/.exec(path);
  if (js !== null) {
    const stem = path.slice(0, -js[0].length);
    return js[1] === "" ? [`${stem}.ts`, `${stem}.tsx`] : [`${stem}.${js[1]}ts`];
  }
  if (/\.[mc]?ts$|\.tsx$|\.json$|\.node$|\.wasm$/.test(path)) return [];
  const endings = [".ts", ".tsx", ".mts", ".cts", ".js", ".mjs", ".cjs", ".json"];
  return [...endings.map((ending) => path + ending), ...endings.map((ending) => join(path, `index${ending}`))];
}
