// Runs in the process of the cells, before the first of them: notes which files they read, so that a run need not be repeated while none changes.
// Reads by native code and by child processes are not seen.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const read = new Set<string>();
const listed = new Set<string>();
const missing = new Set<string>();
/** What a cell has written itself is its own product. */
const written = new Set<string>();

type Call = (path: unknown, ...rest: any[]) => unknown;

/** From now on reads are noted. */
export function begin(): void {
  const { promises } = fs;
  for (const name of ["readFileSync", "readFile", "createReadStream"] as const) wrap(fs, name, () => read);
  for (const name of ["openSync", "open"] as const) wrap(fs, name, (flags) => (isReading(flags) ? read : written));
  for (const name of ["writeFileSync", "writeFile", "createWriteStream", "mkdirSync", "mkdir"] as const)
    wrap(fs, name, () => written);
  for (const name of ["readdirSync", "readdir"] as const) wrap(fs, name, () => listed);
  wrap(promises, "readFile", () => read);
  wrap(promises, "open", (flags) => (isReading(flags) ? read : written));
  wrap(promises, "writeFile", () => written);
  wrap(promises, "readdir", () => listed);
  for (const name of ["existsSync", "statSync"] as const) {
    wrap(
      fs,
      name,
      () => undefined,
      (path, found) => {
        if (found === false || found === undefined) missing.add(path);
      },
    );
  }
  syncBuiltinESMExports();
}

/** Replaces a function of `fs` by one that first notes its path in the set that `where` gives for the next argument. */
function wrap<Name extends string>(
  owner: Record<Name, any>,
  name: Name,
  where: (next: unknown) => Set<string> | undefined,
  after?: (path: string, found: unknown) => void,
): void {
  const own = owner[name] as Call;
  const noting = function (this: unknown, path: unknown, ...rest: unknown[]) {
    const noted = absolute(path);
    const set = noted === undefined ? undefined : where(rest[0]);
    if (noted !== undefined && !written.has(noted)) set?.add(noted);
    const found = own.call(this, path, ...rest);
    if (noted !== undefined) after?.(noted, found);
    return found;
  };
  // What hangs on the function, such as the promise form of `exists` and `readFile`, and its name.
  Object.defineProperties(noting, Object.getOwnPropertyDescriptors(own));
  owner[name] = noting;
}

const isReading = (flags: unknown) =>
  typeof flags === "string" ? flags === "r" || flags === "rs" : typeof flags !== "number" || (flags & 3) === 0;

function absolute(path: unknown): string | undefined {
  if (typeof path === "string") return resolve(path);
  if (path instanceof URL && path.protocol === "file:") return fileURLToPath(path);
  return Buffer.isBuffer(path) ? resolve(path.toString()) : undefined; // a descriptor has been noted when it was opened
}

/** Writes what was noted into a file, as JSON. */
export function end(file: string): void {
  const found = {
    read: [...read],
    listed: [...listed],
    missing: [...missing].filter((path) => !written.has(path)),
  };
  fs.writeFileSync(file, JSON.stringify(found));
}
