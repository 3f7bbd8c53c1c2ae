// What the compiler knows, asked by an editor: completions, documentation, whether a cell is whole.
import type { Inspected } from "../compile/inspect.ts";
import type { RequestContext } from "./context.ts";
import { toPoints, toUnits } from "./cursor.ts";
import type { Kernel } from "./kernel.ts";
import { textIn } from "./text.ts";
import { askVariables } from "./variables.ts";

export async function complete({ compiler }: Kernel, { request, reply }: RequestContext) {
  const { code, offset } = cursor(request.content);
  const { matches, start, end, items } = await compiler.complete(code, offset);
  const types = items.map((item) => ({ ...item, start: toPoints(code, item.start), end: toPoints(code, item.end) }));
  reply("complete_reply", {
    status: "ok",
    matches,
    cursor_start: toPoints(code, start),
    cursor_end: toPoints(code, end),
    metadata: { _jupyter_types_experimental: types },
  });
}

/** How long a tooltip waits for the value of a variable: a cell that computes leaves the worker no time to answer. */
const previewMs = { busy: 300, idle: 2_000 };

export async function inspect(kernel: Kernel, { request, reply }: RequestContext) {
  const { code, offset } = cursor(request.content);
  const found = await kernel.compiler.inspect(code, offset, request.content.detail_level === 1 ? 1 : 0);
  const data = found === undefined ? {} : await described(kernel, found);
  reply("inspect_reply", { status: "ok", found: found !== undefined, data, metadata: {} });
}

/** What the compiler knows of a name, and the value of a variable in one line. */
async function described(kernel: Kernel, { text, markdown, variable }: Inspected) {
  const patience = kernel.running === undefined ? previewMs.idle : previewMs.busy;
  const answer = variable && (await askVariables(kernel, { what: "preview", name: variable }, patience));
  const value = answer && "variables" in answer ? answer.variables[0]?.value : undefined;
  if (value === undefined) return { "text/plain": text, "text/markdown": markdown };
  const fence = "`".repeat(Math.max(0, ...(value.match(/`+/g) ?? []).map(({ length }) => length)) + 1);
  const code = fence.length === 1 ? `\`${value}\`` : `${fence} ${value} ${fence}`;
  return { "text/plain": `${text}\n\nValue: ${value}`, "text/markdown": `${markdown}\n\n**Value:** ${code}` };
}

export async function isComplete({ compiler }: Kernel, { request, reply }: RequestContext) {
  const code = textIn(request.content, "code");
  reply("is_complete_reply", question.test(code) ? { status: "complete" } : await compiler.isComplete(code));
}

/** `name?`, `%help name` and `name??`, as in IPython: documentation, and with two marks the source. */
const question =
  /^\s*(?:%help\s+(?<helped>[\p{ID_Start}$_][\p{ID_Continue}$.]*)|(?<name>[\p{ID_Start}$_][\p{ID_Continue}$.]*)\s*(?<marks>\?\??))\s*$/u;

/** The pager's payload when the cell only asks what a name is. */
export async function page(kernel: Kernel, code: string): Promise<object | undefined> {
  const found = question.exec(code);
  if (found === null) return undefined;
  const { name = found.groups!.helped!, marks } = found.groups!;
  const known = await kernel.compiler.inspect(name, name.length, marks === "??" ? 1 : 0);
  const data =
    known === undefined ? { "text/plain": `${name}: nothing is known by this name` } : await described(kernel, known);
  return { source: "page", data, start: 0 };
}

function cursor(content: Record<string, any>) {
  const code = textIn(content, "code");
  const { cursor_pos } = content;
  return { code, offset: typeof cursor_pos === "number" ? toUnits(code, cursor_pos) : code.length };
}
