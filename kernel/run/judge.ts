// The verdict on a cell that has ended: whether it failed, whether it should have, and where.
import { type CodeCell, tagsOf } from "./notebook.ts";
import { type CellResult, plain } from "./result.ts";

export interface Failure {
  ename: string;
  evalue: string;
  traceback: string[];
}

/** What our kernel answers when the process of the cells has ended and taken all variables with it. */
export const lostState = ["ProcessExit", "OutOfMemory"];

/** The error of a cell: that of the reply, or one that it shows although its reply is "ok". */
export function failureOf(cell: CodeCell, reply: Record<string, any>): Failure | undefined {
  const shown = cell.outputs.find((output) => output.output_type === "error");
  if (reply.status === "ok" || reply.status === undefined) return shown;
  const { ename = reply.status ?? "Error", evalue = "", traceback = [] } = reply;
  return { ename, evalue, traceback: traceback.length === 0 ? (shown?.traceback ?? []) : traceback };
}

/** Writes the verdict of a cell that has ended by itself, with `failure` or without. */
export function judge(cell: CodeCell, result: CellResult, failure: Failure | undefined): void {
  const reason = expects(cell)
    ? mismatch(cell, failure)
    : failure === undefined
      ? undefined
      : `${failure.ename}: ${failure.evalue}`;
  if (reason === undefined) {
    result.verdict = "ok";
    return;
  }
  result.verdict = failure !== undefined && lostState.includes(failure.ename) ? "dead" : "error";
  result.reason = reason;
  if (failure !== undefined) Object.assign(result, whereOf(cell, failure.traceback));
}

const expectedTexts = (cell: CodeCell) =>
  tagsOf(cell).flatMap((tag) => (tag.startsWith("expect:") ? [tag.slice("expect:".length)] : []));
export const expects = (cell: CodeCell) => tagsOf(cell).includes("raises-exception") || expectedTexts(cell).length > 0;

/** What the error of a cell that must fail lacks: each `expect:` tag is its name or a part of its text. */
function mismatch(cell: CodeCell, failure: Failure | undefined): string | undefined {
  const wanted = expectedTexts(cell);
  const what = wanted.length === 0 ? "an error" : `an error with ${wanted.join(" and ")}`;
  if (failure === undefined) return `it should fail (${what} is expected), and ran through`;
  const { ename, evalue } = failure;
  const lacking = wanted.filter((text) => ename !== text && !evalue.includes(text));
  return lacking.length === 0 ? undefined : `${what} is expected; it failed with ${ename}: ${evalue}`;
}

/** The traceback, and the line of this cell that it names: `In[3]:4:9` of our kernel, `----> 4` of IPython. */
export function whereOf(
  cell: CodeCell,
  traceback: readonly string[],
): Pick<CellResult, "traceback" | "line" | "source"> {
  const text = traceback.join("\n");
  const found = new RegExp(`\\bIn\\[${cell.execution_count}\\]:(\\d+)`).exec(text) ?? /^-+> (\d+) /m.exec(plain(text));
  const line = found === null ? undefined : Number(found[1]);
  return {
    traceback: [...traceback],
    line,
    source: line === undefined ? undefined : cell.source.split("\n")[line - 1],
  };
}
