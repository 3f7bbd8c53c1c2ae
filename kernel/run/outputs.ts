// What a cell shows, built from the messages that tell of it: nbformat outputs in order, streams joined, displays updated in place.

export type MimeBundle = Record<string, unknown>;

/** An output as it stands in a notebook. */
export type Output =
  | { output_type: "stream"; name: "stdout" | "stderr"; text: string }
  | { output_type: "display_data"; data: MimeBundle; metadata: object }
  | { output_type: "execute_result"; data: MimeBundle; metadata: object; execution_count: number | null }
  | { output_type: "error"; ename: string; evalue: string; traceback: string[] };

type Display = Extract<Output, { data: MimeBundle }>;

/** All displays of a kernel by their id: an update changes them in whatever cell they stand. */
export type Displays = Map<string, Display[]>;

interface IopubMessage {
  header: { msg_type: string };
  content: Record<string, any>;
}

export interface Collector {
  readonly outputs: Output[];
  /** Takes what the message shows; messages that show nothing are passed over. */
  take(message: IopubMessage): void;
}

/** Collects the outputs of one cell in `outputs`. `displays` is shared by the cells of a kernel. */
export function collectOutputs(displays: Displays, outputs: Output[] = []): Collector {
  let isClearing = false;
  // Streams whose cursor stands before the end of their last line, as after "50 %\r", and where it stands.
  const cursors = new WeakMap<Output, number>();

  function add(output: Output) {
    if (isClearing) outputs.length = 0;
    isClearing = false;
    outputs.push(output);
  }

  function addText(name: "stdout" | "stderr", text: string) {
    const last = isClearing ? undefined : outputs.at(-1);
    let open = last?.output_type === "stream" && last.name === name ? last : undefined;
    if (open === undefined) {
      open = { output_type: "stream", name, text: "" };
      add(open);
    }
    const cursor = cursors.get(open);
    if (cursor === undefined && !/[\r\b]/.test(text)) {
      open.text += text;
      return;
    }
    const start = open.text.lastIndexOf("\n") + 1;
    const line = open.text.slice(start);
    const written = write(line, cursor ?? line.length, text);
    open.text = open.text.slice(0, start) + written.text;
    if (written.isAtEnd) cursors.delete(open);
    else cursors.set(open, written.cursor);
  }

  function addDisplay(output: Display, id: unknown) {
    add(output);
    if (typeof id === "string") displays.set(id, [...(displays.get(id) ?? []), output]);
  }

  return {
    outputs,
    take({ header, content }) {
      const { data = {}, metadata = {}, transient } = content;
      switch (header.msg_type) {
        case "stream":
          return addText(content.name, content.text);
        case "display_data":
          return addDisplay({ output_type: "display_data", data, metadata }, transient?.display_id);
        case "execute_result": {
          const execution_count = content.execution_count ?? null;
          return addDisplay({ output_type: "execute_result", data, metadata, execution_count }, transient?.display_id);
        }
        case "update_display_data":
          for (const display of displays.get(transient?.display_id) ?? []) {
            display.data = data;
            display.metadata = metadata;
          }
          return;
        case "error": {
          const { ename, evalue, traceback } = content;
          return add({ output_type: "error", ename, evalue, traceback });
        }
        case "clear_output":
          if (content.wait) isClearing = true;
          else outputs.length = 0;
      }
    },
  };
}

/** Writes `text` on a line as a terminal does: "\r" goes back to the line's start, "\b" one character, and what follows goes over the old. */
function write(line: string, cursor: number, text: string) {
  let above = "";
  let characters = [...line];
  let at = Math.min(cursor, characters.length);
  for (const character of text) {
    if (character === "\n") {
      above += `${characters.join("")}\n`;
      characters = [];
      at = 0;
    } else if (character === "\r") at = 0;
    else if (character === "\b") at = Math.max(0, at - 1);
    else characters[at++] = character;
  }
  return { text: above + characters.join(""), cursor: at, isAtEnd: at === characters.length };
}
