// `npm run nb -- ts | ipynb | check | format | new`: notebooks as source, their code checked without running it, new ones from the template.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { readNotebook, writeNotebook, writeWhole } from "../../kernel/run/notebook.ts";
import { checkStyle, checkTypes, type Finding, formatted, withSolutions } from "./cells.ts";
import { newNotebook } from "./new.ts";
import { fromSource, toSource, withOutputs } from "./source.ts";

const folder = join(import.meta.dirname, "..");
const usage = `npm run nb -- command

  ts notebook [file.ts]        the notebook as source (// %% cells, ids and tags kept, no outputs); to the terminal where no file is named
  ipynb file.ts [notebook]     the notebook of a source; outputs stay where a cell has not changed
  check [notebooks]            types and lint of the cells, without running them; all of notebooks/ where none is named
  format [notebooks]           writes the code of the cells as Biome has it
  new NN-slug [track/name]     a notebook with its recipe and test, from the template; NN- may be left out for what is planned`;

/** A mistake in the command line: told without a stack. */
class UsageError extends Error {}

/** The notebooks of a folder, in the order of their names. */
export function notebooksIn(where: string): string[] {
  const names = readdirSync(where).filter((name) => name.endsWith(".ipynb") && !name.startsWith("."));
  return names.sort().map((name) => join(where, name));
}

/** The paths of the notebooks that the arguments mean: paths, names (00-start-here), folders; all where there is none. */
export function pathsOf(names: readonly string[]): string[] {
  if (names.length === 0) return notebooksIn(folder);
  return names.flatMap((name) => {
    const places = [name, `${name}.ipynb`, join(folder, name), join(folder, `${name}.ipynb`)].map((place) =>
      resolve(place),
    );
    const path = places.find(existsSync);
    if (path === undefined)
      throw new UsageError(`there is no notebook ${name}; looked for ${places.map(near).join(", ")}`);
    return statSync(path).isDirectory() ? notebooksIn(path) : [path];
  });
}

const near = (path: string) => relative(process.cwd(), path) || ".";

/** As compilers write it, with the cell instead of a line of the file. */
export function told({ path, cell, position, line, column, message, excerpt }: Finding): string {
  return `${near(path)}, cell ${position} (${cell}), ${line}:${column}: ${message}${excerpt ? `\n${excerpt}` : ""}`;
}

function check(names: readonly string[]): number {
  const paths = pathsOf(names);
  const found = [...paths.flatMap((path) => checkTypes(path, withSolutions(readNotebook(path)))), ...checkStyle(paths)];
  for (const finding of found) console.log(told(finding));
  console.log(`notebooks: ${paths.length}, findings: ${found.length}`);
  return found.length === 0 ? 0 : 1;
}

function format(names: readonly string[]): number {
  for (const { path, notebook, cells } of formatted(pathsOf(names))) {
    if (cells.length > 0) writeNotebook(path, notebook);
    console.log(`${near(path)}: ${cells.length === 0 ? "as it was" : `written anew: ${cells.join(", ")}`}`);
  }
  return 0;
}

function write(to: string | undefined, text: string): number {
  if (to === undefined) process.stdout.write(text);
  else writeWhole(resolve(to), text);
  return 0;
}

function toNotebook(from: string, to = from.replace(/\.ts$/, ".ipynb")): number {
  if (to === from) throw new UsageError(`${from}: a source ends in .ts, or the notebook to write has to be named`);
  const fresh = fromSource(readFileSync(from, "utf8"), from);
  writeNotebook(resolve(to), existsSync(to) ? withOutputs(fresh, readNotebook(to)) : fresh);
  console.log(`${near(resolve(to))}: written`);
  return 0;
}

function main([command, first, second, ...more]: string[]): number {
  const needed = (what: string) => first ?? refuse(`${command} needs ${what}`);
  switch (command) {
    case "ts":
      // Git hands over files without a name of their own.
      return write(second, toSource(readNotebook(existsSync(needed("a notebook")) ? first! : pathsOf([first!])[0]!)));
    case "ipynb":
      return toNotebook(needed("a source file"), second);
    case "check":
      return check([first, second, ...more].filter((name) => name !== undefined));
    case "format":
      return format([first, second, ...more].filter((name) => name !== undefined));
    case "new":
      for (const line of newNotebook(needed("a name, such as 12-pruning-structure"), second)) console.log(line);
      return 0;
    default:
      return refuse(command === undefined ? "which command?" : `there is no command "${command}"`);
  }
}

function refuse(what: string): never {
  throw new UsageError(`${what}\n\n${usage}`);
}

if (import.meta.main) {
  try {
    process.exitCode = main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  }
}
