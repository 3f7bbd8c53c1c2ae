// The next step for each failure. The message itself says what happened and where; this says what to do about it.
import { basename } from "node:path";
import { KernelDied } from "./client.ts";
import { isCode, type Notebook, tagsOf } from "./notebook.ts";
import { ParameterError } from "./parameters.ts";
import { type CellResult, isFailure, labelOf, type NotebookResult } from "./result.ts";
import { Trouble } from "./trouble.ts";

/** What to do about what kept a notebook from running. */
export function adviseOnProblem(error: Error, path: string): string {
  if (error instanceof Trouble) return error.next;
  if (error instanceof ParameterError) return "--set takes a name of that cell, with a value of its type";
  if (error instanceof KernelDied || /did not answer within/.test(error.message))
    return "npm run doctor says what the machine lacks; a kernel of somebody else: install it again";
  if (/the run was stopped/.test(error.message)) return resume;
  return `npm run notebooks -- ${basename(path, ".ipynb")} runs it alone`;
}

const resume = "npm run notebooks -- --resume goes on where the run was stopped";

/** Gives each failed cell of a notebook its next step, unless it has one. */
export function adviseOnCells(notebook: Notebook, { cells, path }: NotebookResult): void {
  for (const result of cells) if (isFailure(result)) result.next ??= adviseOnCell(notebook, result, path);
}

function adviseOnCell(notebook: Notebook, result: CellResult, path: string): string {
  const reason = result.reason ?? "";
  const named = (pattern: RegExp) => pattern.exec(reason)?.[1];
  if (/is expected\), and ran through/.test(reason))
    return "let the cell fail again, or take its tags raises-exception and expect:... away";
  if (/is expected; it failed with/.test(reason))
    return "if the new error is the right one, put its name or a part of its text into the tag expect:...";
  if (/differs from/.test(reason))
    return "if the new output is right, run it with --write; if it differs each time, give the cell the tag volatile or a wider rtol (metadata whetstone.compare)";
  if (result.verdict === "dead") return adviseOnDeath(reason);
  if (result.verdict === "timeout")
    return "something that the cell has started goes on in a timer or loop: await it, or end it";
  if (reason.startsWith("after the cell had ended"))
    return "a promise or timer of this cell failed when nobody waited for it: await it in the cell";
  const module = named(/Cannot find (?:module|package) '([^']+)'/) ?? named(/No module named '([^']+)'/);
  if (module !== undefined) return adviseOnModule(module);
  const name =
    named(/Cannot find name '([^']+)'/) ??
    named(/ReferenceError: (\S+) is not defined/) ??
    named(/NameError: name '([^']+)'/);
  const later = name === undefined ? undefined : definedLater(notebook, result, name);
  if (later !== undefined) return `${later} defines ${name}, and comes later: move it up; it only worked by hand`;
  if (/^TS\d+:/.test(reason))
    return "the cell was not run: mend the type error; %%js as its first line would run it without type check";
  if (/^ClaimError:/.test(reason))
    return "a claim is never tuned until it holds: find what changed the value since the last committed output";
  if (/stdin|nobody can be asked|StdinNotImplemented|cannot ask/i.test(reason))
    return "nobody is there to answer in a headless run: give the answer as a parameter (tag parameters, --set)";
  if (/heap|allocation|out of memory|RESOURCE_EXHAUSTED|OOM/i.test(reason)) return memory;
  return `open ${basename(path)} at ${labelOf(result)}, or see what it showed until then in the executed notebook of the reports`;
}

const memory =
  "make the cell's data smaller or free it (tidy, dispose), run with fewer --workers, or on a machine with more memory";

function adviseOnDeath(reason: string): string {
  if (/OutOfMemory|heap out of memory/.test(reason)) return memory;
  if (/SIGKILL/.test(reason))
    return "nothing but the system or a person sends SIGKILL; if memory ran out (dmesg says so), run with fewer --workers or smaller data";
  if (/SIGSEGV|SIGABRT|SIGBUS|SIGILL/.test(reason))
    return "native code crashed: run it again, and if it stays so, npm run doctor, and report it with these last words";
  if (/exit code/.test(reason))
    return "the code of the cell, or a library, ends the process: throw an error instead, or look for process.exit";
  return "run it again; if it stays so, npm run doctor says what the machine lacks";
}

/** The kernel has already said which names there are. */
function adviseOnModule(module: string): string {
  const name = module
    .split("/")
    .slice(0, module.startsWith("@") ? 2 : 1)
    .join("/");
  if (!/^[./]/.test(module))
    return `if that package is meant: npm install ${name}, or pip install ${name} for Python, where the notebook is`;
  return `correct the path, which is read from the notebook's folder, or bring the file back: git log --diff-filter=D --oneline -- '*${basename(module)}' names the commit that removed it`;
}

/** The cell after this one that declares the name. */
function definedLater({ cells }: Notebook, { position }: CellResult, name: string): string | undefined {
  const escaped = name.replaceAll(/[^\w]/g, "\\$&");
  const declares = new RegExp(
    `^(?:export\\s+)?(?:const|let|var|function\\*?|async function\\*?|class|interface|type|enum|def)\\s+${escaped}\\b|^${escaped}\\s*=|^import\\b[^;\\n]*\\b${escaped}\\b`,
    "m",
  );
  const at = cells.findIndex(
    (cell, i) =>
      i >= position && isCode(cell) && !tagsOf(cell).includes("skip-execution") && declares.test(cell.source),
  );
  return at < 0 ? undefined : labelOf({ id: cells[at]!.id, position: at + 1 });
}
