// Errors of ops, in the words of who called them: the op as it was written (`matMul`, not BatchMatMulV2), the shapes, the line.
import * as tf from "@tensorflow/tfjs-core";
import { bytesOf as bytesOfEntry, describe } from "./binding.ts";
import { checks } from "./checks.ts";
import { finish, isFinished } from "./finished.ts";
import { callSite } from "./frame.ts";
import { replace } from "./replace.ts";
import { asWritten } from "./scopes.ts";

interface Engine {
  runKernel(name: string, inputs: object, attrs?: object): unknown;
  startScope(name?: string): void;
  endScope(result?: unknown): void;
  state: { activeScope?: { name: string } };
}

/** Makes every error that an op throws name the op, its inputs and the user's line. */
export function explainOpErrors(): void {
  const engine = tf.engine() as unknown as Engine;
  explainKernelErrors(engine);
  watchOps(engine);
}

// tfjs checks some arguments before a kernel runs, often without naming the op, and its ops are closed to us but for the scope
// that each opens. So while one is open the global Error notes the errors that are made; when the scope of the outermost op
// closes without a result, the last of them is the one that is being thrown.
function watchOps(engine: Engine): void {
  const plain = globalThis.Error;
  let depth = 0;
  let made: Error | undefined;
  const make = (args: unknown[], newTarget: typeof Error) => {
    const error: Error = Reflect.construct(plain, args, newTarget);
    plain.captureStackTrace(error, watched);
    made = error;
    return error;
  };
  const watched: ErrorConstructor = new Proxy(plain, {
    construct: (_target, args, newTarget) => make(args, newTarget === watched ? plain : (newTarget as typeof Error)),
    apply: (_target, _this, args) => make(args, plain),
  });
  const isOp = (name?: string) => typeof name === "string" && name.endsWith("__op");
  replace(
    engine,
    "startScope",
    "watch",
    (startScope) =>
      function (this: Engine, name?: string) {
        if (isOp(name) && depth++ === 0) globalThis.Error = watched;
        startScope.call(this, name);
      },
  );
  replace(
    engine,
    "endScope",
    "watch",
    (endScope) =>
      function (this: Engine, result?: unknown) {
        if (isOp(this.state.activeScope?.name) && --depth === 0) {
          globalThis.Error = plain;
          if (result === null && made) locate(made, callSite());
          made = undefined;
        }
        endScope.call(this, result);
      },
  );
}

function explainKernelErrors(engine: Engine): void {
  replace(
    engine,
    "runKernel",
    "explain",
    (runKernel) =>
      function (this: Engine, name: string, inputs: object, attrs?: object) {
        try {
          checks[name]?.(inputs, attrs);
          return runKernel.call(this, name, inputs, attrs);
        } catch (error) {
          throw explain(error, name, inputs);
        }
      },
  );
}

function explain(error: unknown, kernel: string, inputs: object): unknown {
  if (!(error instanceof Error) || isFinished(error)) return error;
  const { op, frame } = callSite();
  const name = op ?? asWritten(kernel);
  const cause = inWords(error.message).replace(new RegExp(`^(Error in )?${name}:\\s*`), "");
  const text = `${name}: ${cause}${shapes(inputs)}${frame}`;
  error.stack = error.stack?.replace(error.message, () => text);
  error.message = text;
  return finish(error);
}

/** Adds the user's line to an error that has none yet: tfjs' own checks stop before a kernel runs. */
export function locate(
  error: unknown,
  site: { op?: string; frame: string } = error instanceof Error ? callSite(error.stack) : { frame: "" },
): unknown {
  if (!(error instanceof Error) || isFinished(error)) return error;
  const { op, frame } = site;
  // Errors of the user's own code carry their line themselves.
  if (!op || !frame) return error;
  const cause = error.message
    .replace(`Error in ${op}: `, "")
    .replace(/shapes ([\d,]+) (and|vs) ([\d,]+)/i, "shapes [$1] $2 [$3]")
    .trim();
  const text = `${op}: ${cause}${frame}`;
  error.stack = error.stack?.replace(error.message, () => text);
  error.message = text;
  return finish(error);
}

/**
 * The error of a compiled function's call: XLA names a kernel that it does not have among much else.
 * @param outputs forms of its results, in TensorFlow's dtypes
 * @param stack where the function was called, when that is not where it fails
 */
export function explainCompiled(
  error: unknown,
  label: string,
  outputs: { shape: number[]; dtype: number }[],
  stack?: string,
): unknown {
  if (!(error instanceof Error) || isFinished(error)) return error;
  const { frame } = callSite(stack);
  const lacking = /unsupported operations .*?: (\w+) \(No registered '/.exec(error.message)?.[1];
  const strings = lacking === "_Arg" || lacking === "_Retval" || lacking === "Const";
  const outOfMemory = /Out of memory while trying to allocate ([\d.]+ ?\w+)/.exec(error.message);
  const cause = outOfMemory
    ? `no memory for ${outOfMemory[1]} of its results and intermediate values${largest(outputs)}`
    : strings
      ? "strings cannot be used in a compiled function"
      : lacking
        ? `XLA has no ${lacking} on this device; call it outside of the jitted function`
        : inWords(error.message.replace(/^jit\(.*?\): /, ""));
  error.message = `jit(${label}): ${cause}${frame}`;
  return finish(error);
}

/** `; the largest result is float32[2,3] (24 B)`, to tell which of the two it is. */
function largest(outputs: { shape: number[]; dtype: number }[]): string {
  if (!outputs.length) return "";
  const top = outputs.reduce((most, output) => (bytesOfEntry(output) > bytesOfEntry(most) ? output : most));
  return `; the largest result is ${describe(top)} (${(bytesOfEntry(top) / 1e9).toFixed(1)} GB)`;
}

// TensorFlow speaks of nodes, attributes and kernels.
function inWords(message: string): string {
  const outOfMemory = /OOM when allocating tensor with shape\[([\d,]*)\] and type (\w+)/.exec(message);
  if (outOfMemory) {
    const bytes = outOfMemory[1].split(",").reduce((size, n) => size * Number(n), bytesOf(outOfMemory[2]));
    const dtype = outOfMemory[2] === "float" ? "float32" : outOfMemory[2];
    return `no memory for ${dtype}[${outOfMemory[1]}] (${(bytes / 1e9).toFixed(1)} GB)`;
  }
  const notAllowed = /Value for attr '\w+' of (\w+) is not in the list of allowed values: ([^;\n]+)/.exec(message);
  if (notAllowed) return `does not take ${notAllowed[1]}, only ${notAllowed[2].trim()}`;
  const noKernel = /Could not find device for node: .*?= (\w+)\[(.*?)\]/.exec(message);
  if (noKernel)
    return `TensorFlow has no ${noKernel[1]} for ${noKernel[2].replace(/\w+=DT_(\w+)/g, "$1").toLowerCase()}`;
  const otherType =
    /cannot compute \w+ as input #(\d+)\(zero-based\) was expected to be an? (\w+) tensor but is an? (\w+)/.exec(
      message,
    );
  if (otherType) return `input ${otherType[1]} must be ${otherType[2]}, but is ${otherType[3]}`;
  return message
    .replace(/^[A-Za-z0-9_]+\([a-z0-9, [\]]*\): /, "")
    .replace(/\n[\s\S]*$/, "")
    .replace(/\{\{(function_)?node .*?\}\}\s*/g, "")
    .replace(/\s*\[Op:\w+\].*$/, "")
    .replace(/ for '.*?= \w+\[.*$/, "");
}

const bytesOf = (type: string) => (/64/.test(type) ? 8 : /bool|8/.test(type) ? 1 : 4);

/** ` (a float32[2,3], b float32[4])` */
function shapes(inputs: object): string {
  const form = (value: unknown): string =>
    Array.isArray(value) ? value.map(form).join(", ") : isTensor(value) ? `${value.dtype}[${value.shape}]` : "";
  const parts = Object.entries(inputs)
    .map(([name, value]) => [name, form(value)])
    .filter(([, text]) => text)
    .map(([name, text]) => (/^\d+$/.test(name) ? text : `${name} ${text}`));
  return parts.length ? ` (${parts.slice(0, 6).join(", ")}${parts.length > 6 ? ", ..." : ""})` : "";
}

const isTensor = (value: unknown): value is tf.TensorInfo =>
  typeof value === "object" && value !== null && "dtype" in value && "shape" in value;
