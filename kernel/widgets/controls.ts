// The controls of ipywidgets, with its names, defaults and rules: https://ipywidgets.readthedocs.io
import { textOf } from "../worker/format.ts";
import { createWidget, describe, isWidget, type Kind, type Widget } from "./model.ts";
import type { State } from "./state.ts";

const base = { module: "@jupyter-widgets/base", version: "2.0.0" };
const controls = { module: "@jupyter-widgets/controls", version: "2.0.0" };

const layoutNames =
  "align_content align_items align_self border_bottom border_left border_right border_top bottom display flex flex_flow grid_area grid_auto_columns grid_auto_flow grid_auto_rows grid_column grid_gap grid_row grid_template_areas grid_template_columns grid_template_rows height justify_content justify_items left margin max_height max_width min_height min_width object_fit object_position order overflow padding right top visibility width";

const layoutKind: Kind = {
  ...base,
  name: "Layout",
  model: "LayoutModel",
  view: { ...base, name: "LayoutView" },
  state: { _view_count: null, ...Object.fromEntries(layoutNames.split(" ").map((name) => [name, null])) },
};

function styleKind(name: string, state: State): Kind {
  const view = { ...base, name: "StyleView" };
  return { ...controls, name, model: `${name}Model`, view, state: { _view_count: null, ...state } };
}

const described = { description_width: "" };
const text = { background: null, font_size: null, text_color: null };
const styles = {
  slider: styleKind("SliderStyle", { ...described, handle_color: null }),
  plain: styleKind("DescriptionStyle", described),
  text: styleKind("TextStyle", { ...described, ...text }),
  checkbox: styleKind("CheckboxStyle", { ...described, background: null }),
  progress: styleKind("ProgressStyle", { ...described, bar_color: null }),
  button: styleKind("ButtonStyle", {
    button_color: null,
    font_family: null,
    font_size: null,
    font_style: null,
    font_variant: null,
    font_weight: null,
    text_color: null,
    text_decoration: null,
  }),
};

/** What every widget with a place on the page has. */
export const domState: State = { _dom_classes: [], _view_count: null, layout: null, tabbable: null, tooltip: null };
const descriptionState: State = { ...domState, style: null, description: "", description_allow_html: false };
const inputState: State = { ...descriptionState, disabled: false };

/** Makes a widget with a layout, and a style if it has one: plain records of the options become widgets of their own. */
export function createControl(kind: Kind, { layout = {}, style = {}, ...options }: State, look?: Kind): Widget {
  const part = (of: Kind, given: unknown) => (isWidget(given) ? given : createWidget(of, given as State));
  const parts: State = { layout: part(layoutKind, layout) };
  if (look !== undefined) parts.style = part(look, style);
  return createWidget(kind, { ...options, ...parts });
}

function control(name: string, state: State, more: Partial<Kind> = {}): Kind {
  return { ...controls, name, model: `${name}Model`, view: { ...controls, name: `${name}View` }, state, ...more };
}

/** A value moves into its range when either is set. */
function inRange(name: string, isWhole: boolean) {
  return (next: State): State => {
    const number = (key: string) => {
      const value = next[key];
      if (typeof value === "number" && Number.isFinite(value) && (!isWhole || Number.isInteger(value))) return value;
      throw new TypeError(`${name}: ${key} has to be a ${isWhole ? "whole " : ""}number, it is ${textOf(value)}`);
    };
    const [min, max, value] = [number("min"), number("max"), number("value")];
    if (min > max) throw new RangeError(`${name}: min (${min}) has to be at most max (${max})`);
    return { ...next, value: Math.min(max, Math.max(min, value)) };
  };
}

const sliderState: State = {
  ...inputState,
  behavior: "drag-tap",
  continuous_update: true,
  min: 0,
  max: 100,
  orientation: "horizontal",
  readout: true,
  value: 0,
};
const intSlider = control(
  "IntSlider",
  { ...sliderState, readout_format: "d", step: 1 },
  { normalize: inRange("IntSlider", true) },
);
const floatSlider = control(
  "FloatSlider",
  { ...sliderState, readout_format: ".2f", step: 0.1 },
  { normalize: inRange("FloatSlider", false) },
);
const textBox = control("Text", { ...inputState, continuous_update: true, placeholder: "\u200b", value: "" });
const checkbox = control("Checkbox", { ...inputState, indent: true, value: false });
const button = control("Button", {
  ...domState,
  button_style: "",
  description: "",
  disabled: false,
  icon: "",
  style: null,
});
const intProgress = control(
  "IntProgress",
  { ...descriptionState, bar_style: "", min: 0, max: 100, orientation: "horizontal", value: 0 },
  { view: { ...controls, name: "ProgressView" }, normalize: inRange("IntProgress", true) },
);

export const IntSlider = (options: State = {}) => createControl(intSlider, options, styles.slider);
export const FloatSlider = (options: State = {}) => createControl(floatSlider, options, styles.slider);
export const Checkbox = (options: State = {}) => createControl(checkbox, options, styles.checkbox);
export const IntProgress = (options: State = {}) => createControl(intProgress, options, styles.progress);

/** A line of text; `onSubmit` hears the Enter key. */
export function Text(options: State = {}): Widget {
  return withEvent(createControl(textBox, options, styles.text), "onSubmit", "submitted", "submit");
}

/** A button; `icon` is a name of Font Awesome, such as "thumbs-up". */
export function Button(options: State = {}): Widget {
  return withEvent(createControl(button, options, styles.button), "onClick", "clicked", "click");
}

/** Adds a method that hears an event of the view, and one that waits for the next. */
function withEvent(widget: Widget, listen: string, wait: string, event: string): Widget {
  const on = (handler: (widget: Widget) => unknown) => {
    if (typeof handler !== "function")
      throw new TypeError(`${listen}: a handler is a function, not ${textOf(handler)}`);
    return widget.onMessage((content) => (content?.event === event ? handler(widget) : undefined));
  };
  const next = () =>
    new Promise<void>((resolve) => {
      const remove = on(() => {
        remove();
        resolve();
      });
    });
  return Object.defineProperties(widget, { [listen]: { value: on }, [wait]: { value: next } });
}

type Options = readonly unknown[] | Record<string, unknown>;

/** A choice among options: values, pairs of a label and a value, or a record of values by their labels. */
export function Dropdown({ options = [], ...rest }: State & { options?: Options } = {}): Widget {
  let pairs = pairsOf(options);
  const dropdown = control(
    "Dropdown",
    { ...inputState, _options_labels: [], index: null },
    {
      derived: {
        value: {
          from: "index",
          get: ({ index }) => (index === null ? null : pairs[index as number]?.[1]),
          set: (value) => ({ index: value === null ? null : indexOf(1, value) }),
        },
        label: {
          from: "index",
          get: ({ index }) => (index === null ? null : pairs[index as number]?.[0]),
          set: (label) => ({ index: label === null ? null : indexOf(0, label) }),
        },
        options: {
          from: "_options_labels",
          get: () => pairs.map(([, value]) => value),
          set(next) {
            pairs = pairsOf(next as Options);
            return { _options_labels: pairs.map(([label]) => label), index: pairs.length > 0 ? 0 : null };
          },
        },
      },
      normalize(next) {
        const { index } = next;
        if (index !== null && pairs[index as number] === undefined) {
          throw new RangeError(`Dropdown: index has to be below ${pairs.length}, it is ${textOf(index)}`);
        }
        return next;
      },
      describe: ({ description, index }) =>
        `Dropdown(${description === "" ? "" : `description=${textOf(description)}, `}value=${textOf(pairs[index as number]?.[1] ?? null)}, options=${textOf(pairs.map(([label]) => label))})`,
    },
  );
  const indexOf = (side: 0 | 1, wanted: unknown) => {
    const index = pairs.findIndex((pair) => Object.is(pair[side], wanted));
    if (index >= 0) return index;
    throw new RangeError(
      `Dropdown: ${textOf(wanted)} is none of its options ${textOf(pairs.map((pair) => pair[side]))}`,
    );
  };
  return createControl(dropdown, { options, ...rest }, styles.plain);
}

function pairsOf(options: Options): [label: string, value: unknown][] {
  if (!Array.isArray(options)) return Object.entries(options ?? {});
  const isPair = (option: unknown) => Array.isArray(option) && option.length === 2 && typeof option[0] === "string";
  if (options.length > 0 && options.every(isPair)) return options as [string, unknown][];
  return options.map((value) => [typeof value === "string" ? value : textOf(value), value]);
}

function box(name: "HBox" | "VBox"): Kind {
  return control(
    name,
    { ...domState, box_style: "", children: [] },
    {
      normalize(next) {
        const stranger = Array.isArray(next.children) ? next.children.find((child) => !isWidget(child)) : next.children;
        if (stranger === undefined) return next;
        throw new TypeError(`${name}: its children are widgets, not ${textOf(stranger)}`);
      },
      describe: ({ children }) =>
        `${name}(\n${(children as Widget[]).map((child) => describe(child).replace(/^/gm, "  ")).join("\n")}\n)`,
    },
  );
}
const kinds = { HBox: box("HBox"), VBox: box("VBox") };

/** Widgets in a row. */
export const HBox = (children: Widget[] = [], options: State = {}) =>
  createControl(kinds.HBox, { children, ...options });
/** Widgets in a column. */
export const VBox = (children: Widget[] = [], options: State = {}) =>
  createControl(kinds.VBox, { children, ...options });
