import assert from "node:assert/strict";
import { type Collector, collectOutputs, type Displays } from "../../kernel/run/outputs.ts";

const stream = (text: string, name = "stdout") => ({ header: { msg_type: "stream" }, content: { name, text } });
const display = (text: string, id?: string, type = "display_data") => ({
  header: { msg_type: type },
  content: { data: { "text/plain": text }, metadata: {}, transient: id === undefined ? {} : { display_id: id } },
});
const clear = (wait: boolean) => ({ header: { msg_type: "clear_output" }, content: { wait } });
const texts = ({ outputs }: Collector) =>
  outputs.map((output) =>
    "text" in output ? output.text : "data" in output ? output.data["text/plain"] : output.ename,
  );

/** What a terminal would hold after these texts. */
function written(...pieces: string[]): string {
  const collector = collectOutputs(new Map());
  for (const piece of pieces) collector.take(stream(piece));
  return texts(collector).join("|");
}

describe("runner: outputs", () => {
  it("joins texts of one stream, keeps the order of several", () => {
    const cell = collectOutputs(new Map());
    for (const message of [stream("a"), stream("b\n"), stream("!", "stderr"), stream("c")]) cell.take(message);
    assert.deepEqual(texts(cell), ["ab\n", "!", "c"]);
  });

  it("keeps results, errors and displays as nbformat has them", () => {
    const cell = collectOutputs(new Map());
    cell.take(display("shown", "id1"));
    const result = { data: { "text/plain": "4" }, metadata: { isolated: true }, execution_count: 3 };
    cell.take({ header: { msg_type: "execute_result" }, content: result });
    const error = { ename: "E", evalue: "v", traceback: ["t"] };
    cell.take({ header: { msg_type: "error" }, content: error });
    cell.take({ header: { msg_type: "status" }, content: { execution_state: "idle" } });
    assert.deepEqual(cell.outputs, [
      { output_type: "display_data", data: { "text/plain": "shown" }, metadata: {} },
      { output_type: "execute_result", ...result },
      { output_type: "error", ...error },
    ]);
  });

  it("takes carriage returns and backspaces as a terminal does, wherever a text is cut", () => {
    assert.equal(written("10 %\r20 %\rdone\n"), "done\n");
    assert.equal(written("10 %", "\r", "20 %", "\r", "100 %"), "100 %");
    assert.equal(written("long line\r", "short\n"), "shortline\n");
    assert.equal(written("long line\r", "\n"), "long line\n");
    assert.equal(written("a\r\nb\r\n"), "a\nb\n");
    assert.equal(written("abc\b\bX", "Y"), "aXY");
    assert.equal(written("\b\ba"), "a");
    assert.equal(written("first\n10 %\r", "20 %"), "first\n20 %");
    assert.equal(written("🙂🙂\r", "a"), "a🙂");
    const text = "one\rtwo three\b\b\n\rfour\r5\r\n6\b7";
    const whole = written(text);
    for (let at = 0; at <= text.length; at++) assert.equal(written(text.slice(0, at), text.slice(at)), whole);
  });

  it("clears at once, or when something new comes", () => {
    const cell = collectOutputs(new Map());
    cell.take(stream("old"));
    cell.take(clear(true));
    assert.deepEqual(texts(cell), ["old"]);
    cell.take(stream("new"));
    assert.deepEqual(texts(cell), ["new"]);
    cell.take(stream(" more"));
    cell.take(clear(false));
    assert.deepEqual(texts(cell), []);
  });

  it("updates all displays of an id, in all cells, and nothing else", () => {
    const displays: Displays = new Map();
    const [first, second] = [collectOutputs(displays), collectOutputs(displays)];
    first.take(display("a", "id1"));
    first.take(display("b", "id2"));
    second.take(display("c", "id1"));
    second.take(display("new", "id1", "update_display_data"));
    second.take(display("stranger", "id3", "update_display_data"));
    assert.deepEqual([texts(first), texts(second)], [["new", "b"], ["new"]]);
  });
});
