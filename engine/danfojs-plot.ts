// Figures of danfojs' frames and series: the methods of its `plot()`, which draws in browsers only, as plotly figures that a
// notebook shows.

/** A plotly figure, as `Plotly.newPlot` takes it. */
export interface PlotFigure {
  data: Record<string, unknown>[];
  layout: Record<string, unknown>;
  config: Record<string, unknown>;
}

/** What danfojs' `plot()` takes: columns under `config`, beside plotly's own configuration, and plotly's layout. */
export interface PlotOptions {
  config?: {
    /** column along the horizontal axis */
    x?: string;
    /** column along the vertical axis */
    y?: string;
    /** columns to draw, where neither `x` nor `y` is given; all that hold numbers if not given */
    columns?: string[];
    /** pie: column of the names, or the names */
    labels?: string | unknown[];
    /** pie: column of the sizes */
    values?: string;
    /** several pies: where each stands */
    rowPositions?: number[];
    columnPositions?: number[];
    grid?: { rows: number; columns: number };
    tableHeaderStyle?: Record<string, unknown>;
    tableCellStyle?: Record<string, unknown>;
    [plotly: string]: unknown;
  };
  layout?: Record<string, any>;
}

type Draw = (options?: PlotOptions) => PlotFigure;

export interface Plots {
  line: Draw;
  bar: Draw;
  scatter: Draw;
  hist: Draw;
  pie: Draw;
  box: Draw;
  violin: Draw;
  table: Draw;
}

/** A frame or a series of danfojs, as far as figures need it. */
export interface Tabular {
  columns: string[];
  dtypes: string[];
  index: unknown[];
  values: unknown[];
  column?(name: string): { values: unknown[] };
}

interface Source {
  kind: string;
  columns: string[];
  numeric: string[];
  index: unknown[];
  single: boolean;
  /** a column's values; holes are null, which plotly leaves open */
  column(name: string, role: string): unknown[];
}

const INDEX = "Index";

/** The figures of a frame or series. */
export function plotsOf(frame: Tabular): Plots {
  const kind =
    (name: keyof Plots, draw: (source: Source, config: Config) => Drawn): Draw =>
    (options = {}) => {
      const { config, layout } = read(name, options);
      const drawn = draw(sourceOf(name, frame), config);
      return { data: drawn.traces, layout: layoutOf(drawn, layout), config: plotlyConfig(config) };
    };
  return {
    line: kind("line", lines),
    bar: kind("bar", (source, config) => along(source, config, { type: "bar" })),
    scatter: kind("scatter", scatter),
    hist: kind("hist", hist),
    pie: kind("pie", pie),
    box: kind("box", (source, config) => distribution(source, config, "box")),
    violin: kind("violin", (source, config) => distribution(source, config, "violin")),
    table: kind("table", table),
  };
}

type Config = NonNullable<PlotOptions["config"]>;
type Trace = Record<string, unknown>;

interface Drawn {
  traces: Trace[];
  x?: string;
  y?: string;
  layout?: Record<string, unknown>;
}

const own = "x y columns labels values rowPositions columnPositions grid tableHeaderStyle tableCellStyle".split(" ");

function read(name: string, options: PlotOptions): Required<Pick<PlotOptions, "layout">> & { config: Config } {
  const stray = Object.keys(options).find((key) => key !== "config" && key !== "layout");
  if (stray)
    throw new Error(
      `plot().${name}: "${stray}" belongs under config or layout: ${name}({ config: { ${stray}: ... } })`,
    );
  return { config: options.config ?? {}, layout: options.layout ?? {} };
}

const plotlyConfig = (config: Config) =>
  Object.fromEntries(Object.entries(config).filter(([key]) => !own.includes(key)));

function sourceOf(kind: string, frame: Tabular): Source {
  const { columns, dtypes, index } = frame;
  const single = typeof frame.column !== "function";
  return {
    kind,
    columns: columns.map(String),
    numeric: columns.map(String).filter((_, i) => /^(float|int)/.test(dtypes[i])),
    index: index.map(plain),
    single,
    column(name, role) {
      const at = columns.map(String).indexOf(name);
      if (at < 0) throw new Error(`plot().${kind}: ${role} is "${name}", but the columns are ${columns.join(", ")}`);
      const { values } = single ? frame : frame.column!(columns[at]);
      return values.map(plain);
    },
  };
}

/** As plotly takes it: holes as null, dates as text. */
function plain(value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "boolean") return String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  return value;
}

/** The columns to draw where no axis is named. */
function chosen({ kind, columns, numeric, single }: Source, { columns: wanted }: Config): string[] {
  if (single) return columns;
  if (wanted !== undefined) {
    if (!Array.isArray(wanted) || wanted.length === 0)
      throw new Error(`plot().${kind}: columns must be a list of names, such as ["${columns[0]}"]`);
    return wanted.map(String);
  }
  if (numeric.length === 0)
    throw new Error(
      `plot().${kind}: no column holds numbers; name what to draw: { config: { columns: ["${columns[0]}"] } }`,
    );
  return numeric;
}

// danfojs calls a series without a name 0.
const nameOf = (source: Source, column: string) => (source.single && column === "0" ? "value" : column);
const titleOf = (source: Source, columns: string[]) => (columns.length === 1 ? nameOf(source, columns[0]) : "value");

/** Columns against each other or against the index. */
function along(source: Source, config: Config, trace: Trace): Drawn {
  const { x, y } = source.single ? {} : config;
  if (x !== undefined && y !== undefined)
    return { traces: [{ x: source.column(x, "x"), y: source.column(y, "y"), name: y, ...trace }], x, y };
  if (x !== undefined)
    return { traces: [{ x: source.column(x, "x"), y: source.index, name: x, ...trace }], x, y: INDEX };
  const columns = y === undefined ? chosen(source, config) : [y];
  const role = y === undefined ? "columns" : "y";
  const traces = columns.map((name) => ({
    x: source.index,
    y: source.column(name, role),
    name: nameOf(source, name),
    ...trace,
  }));
  return { traces, x: INDEX, y: titleOf(source, columns) };
}

// A value between two holes has no line: it gets a point.
function lines(source: Source, config: Config): Drawn {
  const drawn = along(source, config, { type: "scatter", mode: "lines" });
  for (const trace of drawn.traces)
    if ([trace.x, trace.y].some((values) => (values as unknown[]).includes(null))) trace.mode = "lines+markers";
  return drawn;
}

// danfojs' scatter of columns has the values on the horizontal axis.
function scatter(source: Source, config: Config): Drawn {
  const trace = { type: "scatter", mode: "markers" };
  if (source.single || config.x !== undefined || config.y !== undefined) return along(source, config, trace);
  const columns = chosen(source, config);
  const traces = columns.map((name) => ({ x: source.column(name, "columns"), y: source.index, name, ...trace }));
  return { traces, x: titleOf(source, columns), y: INDEX };
}

function hist(source: Source, config: Config): Drawn {
  const { x, y } = source.single ? {} : config;
  if (x !== undefined && y !== undefined)
    throw new Error("plot().hist: give x or y, not both; they say along which axis");
  if (y !== undefined) return { traces: [{ y: source.column(y, "y"), name: y, type: "histogram" }], x: "count", y };
  const columns = x === undefined ? chosen(source, config) : [x];
  const role = x === undefined ? "columns" : "x";
  const several = columns.length > 1;
  const traces = columns.map((name) => ({
    x: source.column(name, role),
    name: nameOf(source, name),
    type: "histogram",
    ...(several ? { opacity: 0.6 } : {}),
  }));
  return { traces, x: titleOf(source, columns), y: "count", layout: several ? { barmode: "overlay" } : {} };
}

function pie(source: Source, config: Config): Drawn {
  const { labels, values, columns, rowPositions, columnPositions, grid } = config;
  const trace = (name: string, names: unknown[], sizes: unknown[]) => {
    if (names.length !== sizes.length)
      throw new Error(`plot().pie: ${names.length} labels for ${sizes.length} values of ${name}`);
    const negative = sizes.find((size) => typeof size === "string" || (size as number) < 0);
    if (negative !== undefined) throw new Error(`plot().pie: ${name} holds ${negative}; slices need numbers from 0 up`);
    // A slice without a size is none.
    const there = sizes.map((_, i) => i).filter((i) => sizes[i] !== null);
    return {
      type: "pie",
      name,
      labels: there.map((i) => names[i]),
      values: there.map((i) => sizes[i]),
      hoverinfo: "label+percent+name",
      automargin: true,
    };
  };
  if (source.single) {
    const [name] = source.columns;
    const names = Array.isArray(labels) ? labels : source.index;
    return { traces: [trace(nameOf(source, name), names, source.column(name, "values"))] };
  }
  if (labels === undefined)
    throw new Error(`plot().pie: name the column of the labels: { config: { labels: "${source.columns[0]}" } }`);
  const names = Array.isArray(labels) ? labels : source.column(labels, "labels");
  if (values !== undefined) return { traces: [trace(values, names, source.column(values, "values"))] };
  const drawn = columns ? chosen(source, config) : source.numeric.filter((name) => name !== labels);
  if (drawn.length === 0)
    throw new Error("plot().pie: no column holds numbers; name one: { config: { labels, values } }");
  const across = grid?.columns ?? Math.ceil(Math.sqrt(drawn.length));
  const down = grid?.rows ?? Math.ceil(drawn.length / across);
  for (const [key, places] of Object.entries({ rowPositions, columnPositions }))
    if (places !== undefined && places.length !== drawn.length)
      throw new Error(`plot().pie: ${places.length} ${key} for ${drawn.length} pies (${drawn.join(", ")})`);
  const traces = drawn.map((name, i) => ({
    ...trace(name, names, source.column(name, "columns")),
    title: { text: name },
    domain: { row: rowPositions?.[i] ?? Math.floor(i / across), column: columnPositions?.[i] ?? i % across },
  }));
  return { traces, layout: { grid: grid ?? { rows: down, columns: across } } };
}

// danfojs draws one column against the index, a box for each row; here it is the distribution of the column.
function distribution(source: Source, config: Config, type: "box" | "violin"): Drawn {
  const { x, y } = source.single ? {} : config;
  const more = type === "violin" ? { box: { visible: true }, meanline: { visible: true } } : {};
  if (x !== undefined && y !== undefined)
    return { traces: [{ x: source.column(x, "x"), y: source.column(y, "y"), name: y, type, ...more }], x, y };
  if (x !== undefined) return { traces: [{ x: source.column(x, "x"), name: x, type, ...more }], x };
  const columns = y === undefined ? chosen(source, config) : [y];
  const role = y === undefined ? "columns" : "y";
  const traces = columns.map((name) => ({ y: source.column(name, role), name: nameOf(source, name), type, ...more }));
  return { traces, y: titleOf(source, columns), layout: { showlegend: false } };
}

function table(source: Source, config: Config): Drawn {
  const columns = source.single ? source.columns : (config.columns ?? source.columns).map(String);
  const cells = columns.map((name) => source.column(name, "columns").map((value) => value ?? ""));
  const header = { values: columns.map((name) => [nameOf(source, name)]), ...config.tableHeaderStyle };
  return { traces: [{ type: "table", header, cells: { values: cells, ...config.tableCellStyle } }] };
}

const asTitle = (title: unknown) => (typeof title === "string" ? { text: title } : title);

/** The user's layout on titled axes; titles may be plain text, as older plotly had them. */
function layoutOf({ x, y, layout: drawn }: Drawn, layout: Record<string, any>): Record<string, unknown> {
  const axis = (title: string | undefined, given: Record<string, unknown> | undefined) => {
    if (title === undefined && given === undefined) return undefined;
    const titled = title === undefined ? {} : { title: { text: title } };
    return { ...titled, ...given, ...(given?.title === undefined ? {} : { title: asTitle(given.title) }) };
  };
  const axes = { xaxis: axis(x, layout.xaxis), yaxis: axis(y, layout.yaxis) };
  return {
    ...drawn,
    ...layout,
    ...(layout.title === undefined ? {} : { title: asTitle(layout.title) }),
    ...Object.fromEntries(Object.entries(axes).filter(([, value]) => value !== undefined)),
  };
}
