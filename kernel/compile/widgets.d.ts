// Jupyter's widgets: controls that front ends draw and whose values cells read. Options that are not explained here are those of ipywidgets.

declare namespace widgets {
  /** What every widget has, besides its state, whose parts are its properties: `slider.value = 3`. */
  interface Widget<State = object> {
    readonly id: string;
    /** Sets several parts of the state at once. */
    set(state: Partial<State>): void;
    /** Calls the handler after each change; what it prints stands under this cell. Returns a function that removes the handler. */
    onChange<Name extends keyof State>(
      name: Name,
      handler: (value: State[Name], old: State[Name]) => unknown,
    ): () => void;
    /** Settles with the value at the next change: `await slider.changed("value")`. */
    changed<Name extends keyof State>(name: Name): Promise<State[Name]>;
    /** Calls the handler with messages of the view that are no changes of the state. */
    onMessage(handler: (content: any, buffers: Uint8Array<ArrayBuffer>[]) => unknown): () => void;
    /** Sends a message to the views. */
    send(content: object, buffers?: readonly (ArrayBuffer | ArrayBufferView)[]): void;
    /** Removes the widget from all front ends. */
    close(): void;
  }

  type Model<State> = State & Widget<State>;
  /** Any widget. */
  type AnyModel = Widget<any>;

  /** How a widget is laid out and looks, in CSS: `{ layout: { width: "20em" } }`. */
  interface Place {
    layout?: Partial<Record<LayoutName, string | null>> | Model<Layout>;
    tabbable?: boolean | null;
    tooltip?: string | null;
  }
  interface Styled extends Place {
    style?: Record<string, string | null> | Widget;
  }
  type LayoutName =
    | "align_content"
    | "align_items"
    | "align_self"
    | "border_bottom"
    | "border_left"
    | "border_right"
    | "border_top"
    | "bottom"
    | "display"
    | "flex"
    | "flex_flow"
    | "grid_area"
    | "grid_auto_columns"
    | "grid_auto_flow"
    | "grid_auto_rows"
    | "grid_column"
    | "grid_gap"
    | "grid_row"
    | "grid_template_areas"
    | "grid_template_columns"
    | "grid_template_rows"
    | "height"
    | "justify_content"
    | "justify_items"
    | "left"
    | "margin"
    | "max_height"
    | "max_width"
    | "min_height"
    | "min_width"
    | "object_fit"
    | "object_position"
    | "order"
    | "overflow"
    | "padding"
    | "right"
    | "top"
    | "visibility"
    | "width";
  type Layout = Record<LayoutName, string | null>;
  interface Laid {
    readonly layout: Model<Layout>;
    tabbable: boolean | null;
    tooltip: string | null;
  }

  interface Described {
    description: string;
    description_allow_html: boolean;
  }
  interface Input extends Described {
    disabled: boolean;
  }

  interface SliderState extends Input {
    value: number;
    min: number;
    max: number;
    step: number;
    orientation: "horizontal" | "vertical";
    /** Whether the number stands beside the slider, and how: `.2f`, `d`. */
    readout: boolean;
    readout_format: string;
    /** Whether values come while the slider is dragged, or only when it is let go. */
    continuous_update: boolean;
    behavior: "drag-tap" | "drag-snap" | "tap" | "drag" | "snap";
  }
  /** A slider of whole numbers, from 0 to 100 unless told. */
  function IntSlider(options?: Partial<SliderState> & Styled): Model<SliderState> & Laid;
  /** A slider of numbers, from 0 to 100 by 0.1 unless told. */
  function FloatSlider(options?: Partial<SliderState> & Styled): Model<SliderState> & Laid;

  interface DropdownState<Value> extends Input {
    value: Value | null;
    label: string | null;
    index: number | null;
    options: Value[];
  }
  /** A choice among options: values, pairs of a label and a value, or a record of values by their labels. */
  function Dropdown<const Value>(
    options: Partial<Omit<DropdownState<Value>, "options">> &
      Styled & { options: readonly (readonly [label: string, value: Value])[] },
  ): Model<DropdownState<Value>> & Laid;
  function Dropdown<const Value>(
    options: Partial<Omit<DropdownState<Value>, "options">> & Styled & { options: readonly Value[] },
  ): Model<DropdownState<Value>> & Laid;
  function Dropdown<Value>(
    options: Partial<Omit<DropdownState<Value>, "options">> & Styled & { options: Record<string, Value> },
  ): Model<DropdownState<Value>> & Laid;

  interface TextState extends Input {
    value: string;
    placeholder: string;
    continuous_update: boolean;
  }
  interface Submits {
    /** Calls the handler at the Enter key. */
    onSubmit(handler: (text: Model<TextState>) => unknown): () => void;
    submitted(): Promise<void>;
  }
  /** A line of text. */
  function Text(options?: Partial<TextState> & Styled): Model<TextState> & Submits & Laid;

  interface CheckboxState extends Input {
    value: boolean;
    indent: boolean;
  }
  function Checkbox(options?: Partial<CheckboxState> & Styled): Model<CheckboxState> & Laid;

  interface ButtonState {
    description: string;
    disabled: boolean;
    /** A name of Font Awesome, such as "thumbs-up". */
    icon: string;
    button_style: "" | "primary" | "success" | "info" | "warning" | "danger";
  }
  interface Clicks {
    /** Calls the handler at each click; what it prints stands under this cell. */
    onClick(handler: (button: Model<ButtonState>) => unknown): () => void;
    /** Settles at the next click: `await button.clicked()`. */
    clicked(): Promise<void>;
  }
  function Button(options?: Partial<ButtonState> & Styled): Model<ButtonState> & Clicks & Laid;

  interface ProgressState extends Described {
    value: number;
    min: number;
    max: number;
    orientation: "horizontal" | "vertical";
    bar_style: "" | "success" | "info" | "warning" | "danger";
  }
  function IntProgress(options?: Partial<ProgressState> & Styled): Model<ProgressState> & Laid;

  interface OutputState {
    /** The outputs as a notebook file holds them. */
    outputs: any[];
  }
  interface Captures {
    /** Calls the code: what it, and all that it begins, prints and displays stands in the widget. */
    capture<T>(code: () => T): T;
    /** Displays a value in the widget. */
    append(value: unknown): DisplayHandle;
    clear(wait?: boolean): void;
  }
  function Output(options?: Place): Model<OutputState> & Captures & Laid;

  interface BoxState {
    children: readonly any[];
    box_style: "" | "success" | "info" | "warning" | "danger";
  }
  /** Widgets in a row. */
  function HBox(children?: readonly AnyModel[], options?: Partial<BoxState> & Place): Model<BoxState> & Laid;
  /** Widgets in a column. */
  function VBox(children?: readonly AnyModel[], options?: Partial<BoxState> & Place): Model<BoxState> & Laid;

  type Short = number | string | boolean | readonly unknown[] | Record<string, unknown> | AnyModel;
  type Meaning<S> = S extends { readonly id: string; value: infer Value }
    ? Exclude<Value, null>
    : S extends number
      ? number
      : S extends string
        ? string
        : S extends boolean
          ? boolean
          : S extends readonly [number, number] | readonly [number, number, number]
            ? number
            : S extends readonly (readonly [string, infer Value])[]
              ? Value
              : S extends readonly (infer Value)[]
                ? Value
                : S extends Record<string, infer Value>
                  ? Value
                  : never;
  /**
   * Controls for the parameters, and below them what the function prints, displays and returns; it is called again at each change. A parameter
   * is a widget, or short for one: a number or `[min, max, step?]` a slider, a list or a record a choice, a text a line of text, a boolean a box.
   */
  function interact<const P extends Record<string, Short>>(
    f: (values: { -readonly [Name in keyof P]: Meaning<P[Name]> }) => unknown,
    parameters: P,
  ): Model<BoxState> & Laid;

  /** A widget with its own view: `esm` is an ES module for the browser that exports `{ render({ model, el }) }`; both sides share `state`. */
  function AnyWidget<State extends object = Record<never, never>>(
    options: { esm: string; css?: string; state?: State } & Place,
  ): Model<State> & Laid;
}
