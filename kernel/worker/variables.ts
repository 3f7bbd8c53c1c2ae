// The values of cells' variables for a panel: one line each, what is in them on demand, and their full display for one.
import { inspect } from "node:util";
import { viewOf } from "./display.ts";
import { format } from "./format.ts";
import { isFrame } from "./frame.ts";
import type { Variable, VariablesAnswer, VariablesRequest } from "./protocol.ts";

type Ask = VariablesRequest["ask"];
type Getters = Record<string, () => unknown>;

const maxValue = 200;
const maxParts = 200;
/** Tensors of more numbers show their first ones. */
const maxNumbers = 8;
/** Reading more numbers than these from a device costs. */
const maxRead = 10_000;

/** Objects that were shown, by the numbers under which their parts can be asked for. */
let shown: object[] = [];

/** An expression that gives functions which read the names: a name may not have its value yet, and reading it then throws. */
export function gettersOf(ask: Ask): string | undefined {
  const names = ask.what === "all" ? ask.names.map(({ name }) => name) : ask.what === "parts" ? [] : [ask.name];
  const getters = names.filter((name) => /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u.test(name));
  return `({ ${getters.map((name) => `${name}: () => ${name}`).join(", ")} })`;
}

/** Answers with what the getters read. */
export async function answerOf(ask: Ask, getters: Getters): Promise<VariablesAnswer> {
  switch (ask.what) {
    case "all": {
      shown = [];
      const names = ask.names.filter(({ name }) => Object.hasOwn(getters, name));
      return { variables: names.map(({ name, type }) => variable(name, getters[name]!, type, name)) };
    }
    case "parts": {
      const value = shown[ask.reference - 1];
      if (value === undefined) return { failed: "what is in this variable is no longer known; look at it anew" };
      return { variables: partsOf(value).map(([name, read]) => variable(name, read)) };
    }
    case "preview": {
      const value = getters[ask.name]?.();
      // A signature is already shown, and a name without a value says nothing.
      const parts = typeof value === "function" || value === undefined ? [] : [summary(value)];
      return { variables: parts.map((text) => described(ask.name, text)) };
    }
    case "view": {
      const read = getters[ask.name];
      if (read === undefined) return { failed: `${ask.name} is no name of a variable` };
      return viewOf(await format(read()));
    }
  }
}

function variable(name: string, read: () => unknown, declared?: string, evaluateName?: string): Variable {
  try {
    const value = read();
    const isOpen = typeof value === "object" && value !== null && partsOf(value).length > 0;
    const variablesReference = isOpen ? shown.push(value) : 0;
    const declaredType = declared ?? typeOf(value);
    // A signature says more than the name that stands before it.
    const text = typeof value === "function" && declared?.includes("=>") ? declared : summary(value);
    return { name, value: text, type: null, declaredType, evaluateName, variablesReference };
  } catch (error) {
    const value = `[${(error as Error)?.message}]`;
    return { name, value, type: null, declaredType: declared ?? "", evaluateName, variablesReference: 0 };
  }
}

const described = (name: string, value: string): Variable => {
  return { name, value, type: null, declaredType: "", variablesReference: 0 };
};

function typeOf(value: unknown): string {
  if (value === null) return "null";
  return typeof value === "object" ? (value.constructor?.name ?? "object") : typeof value;
}

interface TensorLike {
  shape: number[];
  dtype: string;
  isDisposed?: boolean;
  dataSync?(): ArrayLike<unknown>;
}

function isTensor(value: unknown): value is TensorLike {
  const { shape, dtype } = (value ?? {}) as Partial<TensorLike>;
  return typeof dtype === "string" && Array.isArray(shape) && shape.every(Number.isInteger);
}

const sizeOf = ({ shape }: TensorLike) => shape.reduce((a, b) => a * b, 1);

/** A value in one line. */
function summary(value: unknown): string {
  if (typeof value === "function") return value.name === "" ? "function" : `function ${value.name}`;
  if (typeof value !== "object" || value === null) return cut(inspect(value, { maxStringLength: maxValue }));
  if (isFrame(value)) return `${value.shape.join(" rows x ")}${value.shape.length === 2 ? " columns" : " rows"}`;
  if (isTensor(value)) return tensorSummary(value);
  // A getter may throw, or take long: it is not called for a summary.
  const record = isPlain(value) ? Object.values(Object.getOwnPropertyDescriptors(value)).map((each) => each.value) : [];
  if (record.length > 0 && record.every(isTensor)) {
    const total = record.reduce((sum, tensor) => sum + sizeOf(tensor), 0);
    return `${record.length} tensor${record.length === 1 ? "" : "s"}, ${total.toLocaleString("en")} values`;
  }
  return cut(
    inspect(value, { depth: 1, breakLength: Infinity, compact: 10, maxArrayLength: 10, maxStringLength: 100 }),
  );
}

function tensorSummary(tensor: TensorLike): string {
  const head = `${tensor.dtype} [${tensor.shape.join(", ")}]`;
  if (tensor.isDisposed) return `${head} disposed`;
  if (sizeOf(tensor) > maxRead || tensor.dataSync === undefined) return head;
  const numbers = Array.from(tensor.dataSync()).slice(0, maxNumbers);
  const text = numbers.map((each) => (typeof each === "number" ? String(Number(each.toPrecision(4))) : inspect(each)));
  return cut(`${head}: ${text.join(", ")}${sizeOf(tensor) > maxNumbers ? ", ..." : ""}`);
}

function isPlain(value: object): value is Record<string, unknown> {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** The first of what is in a value, by names; getters are not called before they are asked for. */
function partsOf(value: object): [name: string, read: () => unknown][] {
  if (isTensor(value) || isFrame(value)) return [];
  if (value instanceof Map) {
    return first(value).map(([key, part]) => [cut(inspect(key, { depth: 0 }), 60), () => part]);
  }
  if (value instanceof Set) return first(value).map((part, i) => [String(i), () => part]);
  const read = (key: string) => () => (value as Record<string, unknown>)[key];
  const isList = Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
  // Not by `for in`, which lists all of their keys before it begins: 1.6 s for 16 million numbers.
  if (isList) {
    const length = Math.min(maxParts, (value as unknown as ArrayLike<unknown>).length);
    return Array.from({ length }, (_, i) => [String(i), read(String(i))]);
  }
  const keys: string[] = [];
  for (const key in value) {
    if (keys.length >= maxParts) break;
    if (Object.hasOwn(value, key)) keys.push(key);
  }
  return keys.map((key) => [key, read(key)]);
}

function first<T>(items: Iterable<T>): T[] {
  const taken: T[] = [];
  for (const item of items) {
    if (taken.length >= maxParts) break;
    taken.push(item);
  }
  return taken;
}

function cut(text: string, limit = maxValue): string {
  const line = text.replace(/\s*\n\s*/g, " ");
  return line.length > limit ? `${line.slice(0, limit)}...` : line;
}
