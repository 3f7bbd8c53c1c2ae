// A widget that holds output: what code prints and displays while it is captured.
import { captured, type Sink } from "../worker/context.ts";
import { display } from "../worker/display.ts";
import { describeError } from "../worker/errors.ts";
import type { View } from "../worker/protocol.ts";
import { createControl, domState } from "./controls.ts";
import type { Kind, Widget } from "./model.ts";
import type { State } from "./state.ts";

type Output =
  | { output_type: "stream"; name: string; text: string }
  | ({ output_type: "display_data" } & View)
  | { output_type: "error"; ename: string; evalue: string; traceback: string[] };

const module = { module: "@jupyter-widgets/output", version: "1.0.0" };
/** The whole output is sent at each change, so that of text only so many of the last characters are kept. */
const maxText = 100_000;

const kind: Kind = {
  ...module,
  name: "Output",
  model: "OutputModel",
  view: { ...module, name: "OutputView" },
  state: { ...domState, msg_id: "", outputs: [] },
  own: ["msg_id"],
  describe: ({ outputs }) => `Output(${(outputs as Output[]).map((output) => `\n${textOf(output)}`).join("")}\n)`,
};

function textOf(output: Output): string {
  if (output.output_type === "stream") return output.text.trimEnd();
  if (output.output_type === "error") return output.traceback.join("\n");
  return String(output.data["text/plain"] ?? "");
}

export function Output(options: State = {}): Widget {
  const widget = createControl(kind, options);
  /** By the id of a display, its place among the outputs. */
  let places = new Map<string, Output>();
  let isCleared = false;
  const outputs = (): Output[] => widget.outputs;
  const put = (next: Output[]) => widget.set({ outputs: next });
  const add = (output: Output) => {
    const before = isCleared ? [] : outputs();
    if (isCleared) places = new Map();
    isCleared = false;
    put([...before, output]);
  };
  const sink: Sink = {
    text(name, text) {
      const last = isCleared ? undefined : outputs().at(-1);
      if (last?.output_type !== "stream" || last.name !== name)
        return add({ output_type: "stream", name, text: cut(text) });
      put([...outputs().slice(0, -1), { ...last, text: cut(last.text + text) }]);
    },
    display(view, id, isUpdate) {
      const output: Output = { output_type: "display_data", ...view };
      const old = places.get(id);
      if (isUpdate && old === undefined) return;
      places.set(id, output);
      if (isUpdate) put(outputs().map((each) => (each === old ? output : each)));
      else {
        add(output);
        places.set(id, output);
      }
    },
    clear(wait) {
      isCleared = wait;
      if (!wait) put([]);
    },
    error: (error) => add({ output_type: "error", ...error }),
  };

  /** Errors are shown in the widget, and thrown on. */
  function capture<T>(code: () => T): T {
    const failed = (error: unknown): never => {
      sink.error(describeError(error));
      throw error;
    };
    try {
      const result = captured(sink, code);
      return result instanceof Promise ? (result.catch(failed) as T) : result;
    } catch (error) {
      return failed(error);
    }
  }

  return Object.defineProperties(widget, {
    capture: { value: capture },
    append: { value: (value: unknown) => captured(sink, () => display(value)) },
    clear: { value: (wait = false) => sink.clear(wait) },
  });
}

function cut(text: string): string {
  return text.length <= maxText ? text : `... ${text.slice(-maxText)}`;
}
