// The language process: checks cells and answers editors, beside the process that runs the cells. Set-up freezes it into a V8 start-up snapshot
// with TypeScript loaded, its libraries parsed and its checker warm; without one it starts cold, one second later.
import { Socket } from "node:net";
import { join } from "node:path";
import { startupSnapshot } from "node:v8";
import { Worker } from "node:worker_threads";
import { parseCell } from "./cell-file.ts";
import { type Cells, createCells } from "./cells.ts";
import { complete } from "./complete.ts";
import { inspect } from "./inspect.ts";
import { MagicError } from "./magics.ts";
import { declaredNames } from "./names.ts";
import { type LanguageReply, type LanguageRequest, languageFd } from "./protocol.ts";
import { type Wholeness, wholeness } from "./whole.ts";

let cells: Cells | undefined;

if (startupSnapshot.isBuildingSnapshot()) {
  cells = warm(process.cwd());
  startupSnapshot.setDeserializeMainFunction(serve);
} else serve();

/**
 * Work of the kinds that cells bring, so that it is done before the first one comes. Completions are not among it: they sort by `Intl.Collator`,
 * which no snapshot can hold.
 */
function warm(folder: string): Cells {
  const warmed = createCells(folder);
  warmed.check("In[1]", "1 + 1");
  warmed.check(
    "In[2]",
    "const x: number[] = [1].map((y) => y * 2); console.log(x, await Promise.resolve(1)); let s: string = 1",
  );
  inspect(warmed, "console", 7, 0);
  warmed.reset();
  return warmed;
}

function serve() {
  // A signal for the whole terminal is not for this process: it ends with the front.
  process.on("SIGINT", () => {});
  const socket = new Socket({ fd: languageFd });
  let rest = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk) => {
    watch();
    const lines = (rest + String(chunk)).split("\n");
    rest = lines.pop()!;
    for (const line of lines) socket.write(`${JSON.stringify(reply(JSON.parse(line)))}\n`);
  });
  // The front is gone.
  for (const event of ["end", "error", "close"]) socket.on(event, () => process.exit(0));
}

let watcher: Worker | undefined;

/** A check may take minutes, and nothing that the front does, or that happens to it, is heard meanwhile: a thread ends the process with the front. */
function watch() {
  if (watcher !== undefined) return;
  watcher = new Worker(join(import.meta.dirname, "watch.js"), {
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
  });
  watcher.on("error", (error) => console.error(`nobody waits for the end of the front: ${error.message}`));
  watcher.unref();
}

function reply({ id, ...request }: LanguageRequest & { id: number }): LanguageReply {
  try {
    return { id, answer: answer(request as LanguageRequest) };
  } catch (error) {
    return { id, failed: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

function answer(request: LanguageRequest) {
  if (request.type === "open") {
    if (cells === undefined) cells = warm(request.cwd);
    else cells.project.move(request.cwd);
    return null;
  }
  if (cells === undefined) throw new Error(`${request.type} before open`);
  switch (request.type) {
    case "check":
      return cells.check(request.name, request.code);
    case "complete":
      return complete(cells, request.code, request.offset);
    case "inspect":
      return inspect(cells, request.code, request.offset, request.detail) ?? null;
    case "whole":
      return wholenessOf(cells, request.code);
    case "names":
      return declaredNames(cells);
    case "reset":
      cells.reset();
      return null;
  }
}

function wholenessOf({ project }: Cells, code: string): Wholeness {
  try {
    return wholeness(parseCell("whole", code, project).file);
  } catch (error) {
    if (error instanceof MagicError) return { status: "invalid" };
    throw error;
  }
}
