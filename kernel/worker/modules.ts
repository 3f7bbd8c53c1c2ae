// What `import` and `require` do in a cell. The compiler turns imports into calls of `__import`.
import { readFileSync } from "node:fs";
import { createRequire, findPackageJSON, registerHooks } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { rememberFile, rememberPackage } from "./errors.ts";
import {
  closure,
  forget,
  knownFiles,
  localPath,
  noteFinished,
  noteRead,
  renewEdited,
  unfinished,
  versionedURL,
  withoutVersion,
} from "./local-files.ts";
import { checkScheme, explain, findTypeScript, ImportError, isFileSpecifier } from "./resolve.ts";
import { tslab, tslabURL } from "./tslab.ts";
import { loadTypeScript, syntaxError } from "./typescript-files.ts";

/** What `import.meta` is in a cell: the notebook's folder, and a file in it that stands for the notebook. */
interface CellMeta {
  url: string;
  dirname: string;
  filename: string;
  main: boolean;
  resolve(specifier: string): string;
}

export interface Import {
  (specifier: string, options?: ImportCallOptions): Promise<unknown>;
  meta: CellMeta;
}

/** Marks what cells import, so that it resolves against the notebook's folder instead of the kernel's. */
const mark = "cell:";
/** The name under which modules report that their code has run to its end. */
const finished = Symbol.for("whetstone.finished");
const isTypeScript = /\.[mc]?ts$|\.tsx$/;
/** Files with imports that only types use, though not marked by `type`: Node's stripping keeps them, and linking fails. */
const elided = new Set<string>();
/** Beyond so many files of this kind in one import its error is shown as it is. */
const maxElided = 100;

/** Takes over the resolution of modules in this process; specifiers in cells are seen from the folder. */
export function createModules(folder: string): { import: Import; require: NodeJS.Require } {
  const cell = join(folder, "cell.ts");
  const cellURL = pathToFileURL(cell).href;
  Object.defineProperty(globalThis, finished, { value: noteFinished });

  registerHooks({
    resolve(specifier, context, next) {
      const isCell = specifier.startsWith(mark);
      const wanted = isCell ? specifier.slice(mark.length) : specifier;
      const parentURL = isCell ? cellURL : context.parentURL;
      const from = localPath(parentURL);
      // Packages and Node resolve among themselves as ever.
      if (from === undefined) return versioned(next(specifier, context), undefined);
      if (wanted === "tslab") return { url: tslabURL, format: "module", shortCircuit: true };
      try {
        checkScheme(wanted);
        const file = findTypeScript(wanted, parentURL!);
        const isRequire = context.conditions?.includes("require");
        const target = file === undefined ? wanted : isRequire ? fileURLToPath(file) : file;
        const found = next(target, { ...context, parentURL });
        if (!isFileSpecifier(wanted) && localPath(found.url) !== undefined) rememberPackage(packageFolder(found.url));
        return versioned(found, from === cell ? undefined : from);
      } catch (error) {
        throw explain(error, wanted, parentURL!, cell);
      }
    },
    load(url, context, next) {
      const path = localPath(url);
      if (path === undefined) return next(url, context);
      if (!isTypeScript.test(path)) return loadOther(url, path, next(url, context));
      const content = readFileSync(path);
      const text = content.toString();
      rememberFile(url, text);
      const { format, js, map } = loadTypeScript(path, text, elided.has(path));
      if (map !== undefined) rememberFile(url, text, map);
      noteRead(path, content, format === "module");
      return { format, source: format === "module" ? js + report : js, shortCircuit: true };
    },
  });

  function versioned(found: ReturnType<Parameters<typeof registerHooks>[0]["resolve"] & {}>, from: string | undefined) {
    const path = localPath(found.url);
    if (path === undefined) return found;
    const url = versionedURL(found.url, path, from);
    // JSON needs no `with { type: "json" }`: the type check of cells does not ask for it either.
    return path.endsWith(".json") && found.format !== "commonjs"
      ? { ...found, url, importAttributes: { type: "json" } }
      : { ...found, url };
  }

  /** Imports as a cell does. What fails is tried anew by the next import, since the user may have mended it. */
  async function importModule(specifier: string, options?: ImportCallOptions): Promise<unknown> {
    renewEdited();
    for (let tries = 0; ; tries++) {
      try {
        return await import(mark + specifier, options);
      } catch (error) {
        const failed = failedFiles(specifier);
        forget(failed);
        const wrong = typeOnlyImporter(error);
        if (wrong !== undefined && !elided.has(wrong) && tries < maxElided) {
          elided.add(wrong);
          continue;
        }
        throw told(error, failed);
      }
    }
  }

  function failedFiles(specifier: string): string[] {
    try {
      const path = localPath(import.meta.resolve(mark + specifier));
      return path === undefined ? [] : unfinished(closure(path));
    } catch {
      return [];
    }
  }

  const native = createRequire(cell);
  const requireModule = (id: string) => {
    if (id === "tslab") return tslab;
    renewEdited();
    try {
      return native(id);
    } catch (error) {
      throw told(error, []);
    }
  };
  return {
    import: Object.assign(importModule, {
      meta: {
        url: cellURL,
        dirname: folder,
        filename: cell,
        main: true,
        resolve: (specifier: string) => withoutVersion(import.meta.resolve(mark + specifier)),
      },
    }),
    require: Object.assign(requireModule, native) as NodeJS.Require,
  };
}

/** The user stopped a cell: modules whose code was stopped with it are loaded anew by the next import. */
export function forgetStopped() {
  forget(unfinished(knownFiles()));
}

/** The folder of the package that a file belongs to. */
function packageFolder(url: string): string {
  return dirname(findPackageJSON(url) ?? fileURLToPath(url));
}

const report = `\n;globalThis[Symbol.for("${finished.description}")]?.(import.meta.url);`;

type Loaded = ReturnType<Parameters<typeof registerHooks>[0]["load"] & {}>;

function loadOther(url: string, path: string, loaded: Loaded): Loaded {
  const isModule = loaded.format === "module";
  const content = loaded.source == null ? readFileSync(path) : Buffer.from(loaded.source as string | Uint8Array);
  noteRead(path, content, isModule);
  if (isModule || loaded.format === "commonjs") rememberFile(url, content.toString());
  return isModule ? { ...loaded, source: content.toString() + report } : loaded;
}

/** The .ts file that imports a type as if it were a value: then Node says that the other file has no such export. */
function typeOnlyImporter(error: unknown): string | undefined {
  if (!(error instanceof SyntaxError) || !error.message.includes("does not provide an export named")) return undefined;
  const path = localPath(/^(file:\S+?):\d+\n/.exec(error.stack ?? "")?.[1]);
  return path !== undefined && isTypeScript.test(path) ? path : undefined;
}

/** The error as the user should see it: made here, its stack leads to the import in the cell. */
function told(error: unknown, failed: string[]): unknown {
  if (error instanceof ImportError) return new ImportError(error.message, error.code);
  if (!(error instanceof SyntaxError)) return error;
  // V8 does not say in which file a module's syntax is wrong.
  for (const path of failed) {
    const found = syntaxError(path, readFileSync(path, "utf8"));
    if (found !== undefined) return found;
  }
  return error;
}
