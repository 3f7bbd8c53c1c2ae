// What the compiler knows, asked by an editor: completions, documentation, whether a cell is whole.
import type { RequestContext } from "./context.ts";
import { toPoints, toUnits } from "./cursor.ts";
import type { Kernel } from "./kernel.ts";

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

export async function inspect({ compiler }: Kernel, { request, reply }: RequestContext) {
  const { code, offset } = cursor(request.content);
  const found = await compiler.inspect(code, offset, request.content.detail_level === 1 ? 1 : 0);
  const data = found === undefined ? {} : { "text/plain": found.text, "text/markdown": found.markdown };
  reply("inspect_reply", { status: "ok", found: found !== undefined, data, metadata: {} });
}

export async function isComplete({ compiler }: Kernel, { request, reply }: RequestContext) {
  const code = String(request.content.code ?? "");
  reply("is_complete_reply", question.test(code) ? { status: "complete" } : await compiler.isComplete(code));
}

/** `name?`, `%help name` and `name??`, as in IPython: documentation, and with two marks the source. */
const question =
  /^\s*(?:%help\s+(?<helped>[\p{ID_Start}$_][\p{ID_Continue}$.]*)|(?<name>[\p{ID_Start}$_][\p{ID_Continue}$.]*)\s*(?<marks>\?\??))\s*$/u;

/** The pager's payload when the cell only asks what a name is. */
export async function page({ compiler }: Kernel, code: string): Promise<object | undefined> {
  const found = question.exec(code);
  if (found === null) return undefined;
  const { name = found.groups!.helped!, marks } = found.groups!;
  const known = await compiler.inspect(name, name.length, marks === "??" ? 1 : 0);
  const data =
    known === undefined
      ? { "text/plain": `${name}: nothing is known by this name` }
      : { "text/plain": known.text, "text/markdown": known.markdown };
  return { source: "page", data, start: 0 };
}

function cursor({ code = "", cursor_pos }: Record<string, any>) {
  const text = String(code);
  return { code: text, offset: cursor_pos === undefined ? text.length : toUnits(text, cursor_pos) };
}
