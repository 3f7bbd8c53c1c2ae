// A widget: a state that the kernel and all views of it in front ends share, by one comm.
import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { type Comm, type CommMessage, comms } from "../worker/comms.ts";
import { displaySymbol, type MimeBundle, textOf } from "../worker/format.ts";
import { reportLate } from "../worker/late-errors.ts";
import { pack, type State, unpack } from "./state.ts";

/** What the front end's classes are called, and the state that a widget begins with. */
export interface Kind {
  /** `IntSlider`: the name in messages to the user. */
  name: string;
  module: string;
  version: string;
  model: string;
  view: { name: string; module: string; version: string };
  state: State;
  /** Names of state that the user may not set: they are the widget's own. */
  own?: readonly string[];
  /** Properties that are made from the state, such as the value of a list of options from its index. */
  derived?: Record<string, Derived>;
  /** Puts a state right that somebody sets: a value outside its range. Throws for what has no meaning. */
  normalize?(next: State): State;
  /** What stands for the widget where none can be drawn. */
  describe?(state: State): string;
}

export interface Derived {
  from: string;
  get(state: State): unknown;
  set(value: unknown, state: State): State;
}

type Change = (value: any, old: any) => unknown;
type Message = (content: any, buffers: Uint8Array[]) => unknown;

/** Every widget has these, and its state as properties. */
export interface Widget {
  readonly id: string;
  [property: string]: any;
  /** Sets several at once. */
  set(state: State): void;
  /** Calls the handler after each change; what it prints stands under the cell that called `onChange`. Returns what removes it. */
  onChange(name: string, handler: Change): () => void;
  /** Settles with the value at the next change. */
  changed(name: string): Promise<any>;
  /** Calls the handler with messages of the view that are no changes of the state. */
  onMessage(handler: Message): () => void;
  /** Sends a message to the views. */
  send(content: object, buffers?: readonly (ArrayBuffer | ArrayBufferView)[]): void;
  close(): void;
}

interface Model {
  widget: Widget;
  kind: Kind;
  state: State;
  flush(): void;
}

const protocolVersion = "2.1.0";
/** Milliseconds between two messages of one widget: a loop that counts a million steps sends not a million. */
const syncMs = 50;

const models = new Map<string, Model>();
const ids = new WeakMap<object, string>();
const idOf = (value: object) => ids.get(value);
const widgetOf = (id: string) => models.get(id)?.widget;

/** Makes a widget and tells the front ends of it. Throws for a name that its state does not have. */
export function createWidget(kind: Kind, options: State = {}): Widget {
  const id = randomUUID().replaceAll("-", "");
  const names = [...Object.keys(kind.state), ...Object.keys(kind.derived ?? {})];
  const settable = names.filter((name) => !name.startsWith("_") && !kind.own?.includes(name));
  const state: State = {
    _model_module: kind.module,
    _model_module_version: kind.version,
    _model_name: kind.model,
    _view_module: kind.view.module,
    _view_module_version: kind.view.version,
    _view_name: kind.view.name,
    ...kind.state,
  };
  const changes = new Map<string, Set<Change>>();
  const messages = new Set<Message>();
  const dirty = new Set<string>();
  let sentAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let comm: Comm | undefined;

  /** State from properties, those that are derived among them. */
  function plain(wanted: State): State {
    const next = { ...state };
    for (const [name, value] of Object.entries(wanted)) {
      if (!settable.includes(name)) {
        throw new TypeError(`${kind.name} has no "${name}" to set; it has ${settable.sort().join(", ")}`);
      }
      const derived = kind.derived?.[name];
      if (derived === undefined) next[name] = value;
      else Object.assign(next, derived.set(value, next));
    }
    return kind.normalize?.(next) ?? next;
  }

  const read = (name: string, from: State) => kind.derived?.[name]?.get(from) ?? from[name];

  /** Takes a new state over. Returns what the handlers of changes promise. */
  function assign(next: State): { changed: string[]; handled: Promise<unknown> } {
    const before = { ...state };
    const changed = Object.keys(next).filter((name) => !isSame(next[name], state[name]));
    Object.assign(state, next);
    const derived = Object.entries(kind.derived ?? {}).filter(([, { from }]) => changed.includes(from));
    const handled = [...changed, ...derived.map(([name]) => name)].flatMap((name) =>
      [...(changes.get(name) ?? [])].map((handle) => handle(read(name, state), read(name, before))),
    );
    return { changed, handled: Promise.all(handled) };
  }

  function set(wanted: State) {
    const { changed } = assign(plain(wanted));
    sync(changed);
  }

  function sync(names: readonly string[]) {
    for (const name of names) dirty.add(name);
    if (dirty.size === 0 || comm === undefined || comm.isClosed) return;
    const wait = sentAt + syncMs - performance.now();
    if (wait <= 0) return flush();
    timer ??= setTimeout(flush, wait);
    timer.unref();
  }

  function flush() {
    clearTimeout(timer);
    timer = undefined;
    if (dirty.size === 0 || comm === undefined || comm.isClosed) return;
    const part = Object.fromEntries([...dirty].map((name) => [name, state[name]]));
    dirty.clear();
    sentAt = performance.now();
    tell("update", part);
  }

  function tell(method: "update" | "echo_update", part: State) {
    const { state: packed, buffer_paths, buffers } = pack(part, idOf);
    comm!.send({ method, state: packed, buffer_paths }, { buffers });
  }

  function receive({ data, buffers }: CommMessage): unknown {
    switch (data.method) {
      case "update": {
        const { state: sent = {}, buffer_paths = [] } = data;
        const known = Object.entries(unpack(sent, buffer_paths, buffers, widgetOf)).filter(([name]) =>
          Object.hasOwn(state, name),
        );
        const wanted = Object.fromEntries(known);
        // Other views of the same widget hear of it, and the one that sent it knows that it has arrived.
        if (known.length > 0) tell("echo_update", wanted);
        const next = kind.normalize?.({ ...state, ...wanted }) ?? wanted;
        const { changed, handled } = assign(next);
        sync(changed.filter((name) => !(name in wanted) || !isSame(wanted[name], next[name])));
        return handled;
      }
      case "request_state":
        return tell("update", state);
      case "custom":
        return Promise.all([...messages].map((handle) => handle(data.content, buffers)));
      default:
        throw new Error(`${kind.name}: the front end sent a message with the unknown method "${data.method}"`);
    }
  }

  const widget = {
    set,
    onChange(name: string, handler: Change) {
      if (!names.includes(name)) {
        throw new TypeError(`${kind.name} has no "${name}" that could change; it has ${settable.sort().join(", ")}`);
      }
      const set = changes.get(name) ?? new Set();
      changes.set(name, set);
      return addTo(set, inThisCell(handler));
    },
    changed(name: string) {
      return new Promise((resolve) => {
        const remove = widget.onChange(name, (value) => {
          remove();
          resolve(value);
        });
      });
    },
    onMessage: (handler: Message) => addTo(messages, inThisCell(handler)),
    send(content: object, buffers?: readonly (ArrayBuffer | ArrayBufferView)[]) {
      flush();
      comm!.send({ method: "custom", content }, { buffers });
    },
    close() {
      comm?.close();
      models.delete(id);
      for (const part of [state.layout, state.style] as (Widget | undefined)[]) part?.close();
    },
  } as Widget;
  for (const [name, method] of Object.entries(widget)) {
    Object.defineProperty(widget, name, { value: method, enumerable: false });
  }
  Object.defineProperty(widget, "id", { value: id });
  Object.defineProperty(widget, displaySymbol, { value: () => viewOf(id) });
  Object.defineProperty(widget, inspect.custom, { value: () => describe(widget) });
  for (const name of names.filter((each) => !each.startsWith("_"))) {
    const write = settable.includes(name) ? (value: unknown) => set({ [name]: value }) : undefined;
    Object.defineProperty(widget, name, { get: () => read(name, state), set: write, enumerable: true });
  }
  Object.assign(state, plain(options));
  ids.set(widget, id);
  models.set(id, { widget, kind, state, flush });
  const { state: packed, buffer_paths, buffers } = pack(state, idOf);
  try {
    comm = comms.open(
      "jupyter.widget",
      { state: packed, buffer_paths },
      { id, metadata: { version: protocolVersion }, buffers },
    );
  } catch (error) {
    models.delete(id);
    throw error;
  }
  comm.onMessage(receive);
  comm.onClose(() => models.delete(id));
  return widget;
}

/** Calls from views run in the context of the cell that registers: its output goes there, and its errors are shown there. */
function inThisCell<A extends unknown[]>(handler: (...args: A) => unknown): (...args: A) => Promise<unknown> {
  if (typeof handler !== "function") throw new TypeError(`a handler is a function, not ${textOf(handler)}`);
  const enter = AsyncLocalStorage.snapshot();
  return (...args) =>
    enter(async () => {
      try {
        return await handler(...args);
      } catch (error) {
        reportLate(error);
      }
    });
}

function addTo<T>(set: Set<T>, item: T): () => void {
  set.add(item);
  return () => void set.delete(item);
}

function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (!Array.isArray(a) || !Array.isArray(b)) return false;
  return a.length === b.length && a.every((part, i) => isSame(part, b[i]));
}

/** Sends what is still held back: a cell's last states come before its end. */
export function flushWidgets() {
  for (const { flush } of models.values()) flush();
}

/** True for a widget. */
export const isWidget = (value: unknown): value is Widget =>
  typeof value === "object" && value !== null && ids.has(value);

/** What stands for a widget where none can be drawn. */
export function describe(widget: Widget): string {
  const { kind, state } = models.get(widget.id) ?? {};
  if (kind === undefined || state === undefined) return "a closed widget";
  if (kind.describe !== undefined) return kind.describe(state);
  const shown = ["description", ...Object.keys(kind.derived ?? {}), "value", "min", "max"];
  const parts = [...new Set(shown)]
    .map((name) => [name, kind.derived?.[name]?.get(state) ?? state[name]] as const)
    .filter(([, value]) => value !== undefined && value !== "");
  return `${kind.name}(${parts.map(([name, value]) => `${name}=${textOf(value)}`).join(", ")})`;
}

function viewOf(id: string): MimeBundle {
  const model = models.get(id);
  if (model === undefined) return { "text/plain": "a closed widget" };
  model.flush();
  const text = describe(model.widget);
  const escaped = text.replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`);
  return {
    "application/vnd.jupyter.widget-view+json": { version_major: 2, version_minor: 0, model_id: id },
    "text/html": `<pre>${escaped}</pre>`,
    "text/plain": text,
  };
}

/** A page that is loaded anew asks for all states at once. */
comms.register("jupyter.widget.control", (control) => {
  control.onMessage(({ data }) => {
    if (data.method !== "request_states") throw new Error(`the front end asks widgets for "${data.method}"`);
    const all = [...models].map(([id, { kind, state }]) => {
      const names = { model_name: kind.model, model_module: kind.module, model_module_version: kind.version };
      return [id, { ...names, state: { ...state } }];
    });
    const { state: states, buffer_paths, buffers } = pack(Object.fromEntries(all), idOf);
    control.send({ method: "update_states", states, buffer_paths }, { buffers });
  });
});
