// A function with a control for each of its parameters: it is called again whenever one of them changes.
import { clearOutput, display } from "../worker/display.ts";
import { textOf } from "../worker/format.ts";
import { reportLate } from "../worker/late-errors.ts";
import { Checkbox, Dropdown, FloatSlider, IntSlider, Text, VBox } from "./controls.ts";
import { isWidget, type Widget } from "./model.ts";
import { Output } from "./output.ts";

/**
 * Controls for the parameters, and below them what the function prints, displays and returns. A parameter is a widget, or short for one: a number or
 * `[min, max, step?]` a slider, a list or a record a choice, a text a line of text, a boolean a box to check.
 */
export function interact(f: (values: any) => unknown, parameters: Record<string, unknown>): Widget {
  if (typeof f !== "function") throw new TypeError(`interact(f, parameters): f is a function, not ${textOf(f)}`);
  const controls = Object.entries(parameters).map(([name, short]) => [name, controlOf(name, short)] as const);
  const output = Output();
  const values = () => Object.fromEntries(controls.map(([name, control]) => [name, control.value]));
  const show = (result: unknown) => {
    if (result !== undefined) display(result);
  };
  const call = () =>
    output.capture(() => {
      clearOutput(true);
      const result = f(values());
      return result instanceof Promise ? result.then(show) : show(result);
    });
  let isStale = false;
  /** What changes while an asynchronous function runs is not lost: it is called once more. */
  async function untilFresh() {
    while (isStale) {
      isStale = false;
      try {
        await call();
      } catch {
        // shown in the output
      }
    }
    running = undefined;
  }
  const first = call();
  let running: Promise<void> | undefined;
  if (first instanceof Promise) running = first.catch(reportLate).then(untilFresh);
  for (const [, control] of controls) {
    control.onChange("value", () => {
      isStale = true;
      running ??= untilFresh();
      return running;
    });
  }
  return VBox([...controls.map(([, control]) => control), output]);
}

function controlOf(name: string, short: unknown): Widget {
  const description = name;
  if (isWidget(short)) {
    if (!("value" in short)) throw new TypeError(`interact: the widget of "${name}" has no value`);
    return short;
  }
  switch (typeof short) {
    case "boolean":
      return Checkbox({ value: short, description });
    case "string":
      return Text({ value: short, description });
    case "number":
      return slider(description, ...rangeAround(short), undefined, short);
    case "object": {
      if (short === null) break;
      if (!Array.isArray(short)) return Dropdown({ options: short as Record<string, unknown>, description });
      const isRange = (short.length === 2 || short.length === 3) && short.every((part) => typeof part === "number");
      return isRange ? slider(description, short[0], short[1], short[2]) : Dropdown({ options: short, description });
    }
  }
  throw new TypeError(
    `interact: "${name}" has to be a widget, a number, a list, a text or a boolean, not ${textOf(short)}`,
  );
}

/** As in ipywidgets: from 0 or -x to 3x. */
function rangeAround(value: number): [number, number] {
  if (value === 0) return [0, 1];
  return value > 0 ? [-value, 3 * value] : [3 * value, -value];
}

function slider(description: string, min: number, max: number, step?: number, value?: number): Widget {
  const isWhole = [min, max, step ?? 1, value ?? 0].every(Number.isInteger);
  const start = value ?? (isWhole ? Math.floor((min + max) / 2) : (min + max) / 2);
  const options = { description, min, max, value: start, ...(step === undefined ? {} : { step }) };
  return isWhole ? IntSlider(options) : FloatSlider({ step: (max - min) / 100, ...options });
}
