// The state of widgets as Jupyter's widget protocol sends it: other widgets by their id, bytes beside the JSON.

export type State = Record<string, unknown>;

/** Where in the state the bytes of one buffer belong. */
export type BufferPath = (string | number)[];

export interface Packed {
  state: State;
  buffer_paths: BufferPath[];
  buffers: ArrayBufferView[];
}

const reference = "IPY_MODEL_";

/** Takes bytes out of a state, and puts references in the place of widgets; `idOf` knows those. */
export function pack(state: State, idOf: (value: object) => string | undefined): Packed {
  const buffer_paths: BufferPath[] = [];
  const buffers: ArrayBufferView[] = [];
  const visit = (value: unknown, path: BufferPath): unknown => {
    if (value === null || typeof value !== "object") return value;
    const id = idOf(value);
    if (id !== undefined) return reference + id;
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      buffer_paths.push(path);
      buffers.push(ArrayBuffer.isView(value) ? value : new Uint8Array(value));
      // In a list its place is kept, in a record its name is left out.
      return typeof path.at(-1) === "number" ? null : undefined;
    }
    if (Array.isArray(value)) return value.map((part, i) => visit(part, [...path, i]));
    if ("toJSON" in value) return value;
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, visit(part, [...path, name])]));
  };
  return { state: visit(state, []) as State, buffer_paths, buffers };
}

/** Puts bytes and widgets back; `widgetOf` knows widgets by their ids. */
export function unpack(
  state: State,
  paths: readonly BufferPath[],
  buffers: readonly Uint8Array[],
  widgetOf: (id: string) => unknown,
): State {
  for (const [i, path] of paths.entries()) {
    const last = path.at(-1);
    // Own properties only: a path through `__proto__` would change all objects of the notebook.
    const own = (value: any, key: string | number) => (Object.hasOwn(value ?? {}, key) ? value[key] : undefined);
    const holder = path.slice(0, -1).reduce<any>(own, state);
    if (last === undefined || holder === null || typeof holder !== "object") continue;
    Object.defineProperty(holder, last, { value: buffers[i], writable: true, enumerable: true, configurable: true });
  }
  const visit = (value: unknown): unknown => {
    if (typeof value === "string" && value.startsWith(reference)) {
      return widgetOf(value.slice(reference.length)) ?? value;
    }
    if (Array.isArray(value)) return value.map(visit);
    if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, visit(part)]));
  };
  return visit(state) as State;
}
