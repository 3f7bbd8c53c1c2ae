// Figures as plain plotly data. Every axis has a title with its unit, every figure a caption that says what to see.
import { asView, type Bundle, show } from "./show.ts";

/** A plotly figure; as the last value of a cell it is drawn. */
export interface Figure {
  data: Record<string, unknown>[];
  layout: Record<string, any>;
}

/** What every figure must say. Units stand in brackets: "loss [nat/token]"; a count or a ratio has none. */
export interface Labels {
  title: string;
  x: string;
  y: string;
  /** One sentence: what to see here. */
  caption: string;
}

interface Axes {
  /** Logarithmic axes. */
  logX?: boolean;
  logY?: boolean;
}

type Numbers = ArrayLike<number>;
export interface Curve {
  x: Numbers;
  y: Numbers;
  /** 95 % interval of y, drawn as bars: [low, high] per point. */
  ci?: readonly (readonly [low: number, high: number])[];
}

/** Okabe and Ito (2008): told apart also by those who see red and green alike, and in grey by markers and dashes. */
const palette = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];
const symbols = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star"];
const dashes = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid"];

/** Curves by name over a common x axis. */
export function line(curves: Record<string, Curve>, options: Labels & Axes): Figure {
  const data = Object.entries(curves).map(([name, { x, y, ci }], i) => ({
    type: "scatter",
    mode: x.length > 40 ? "lines" : "lines+markers",
    name,
    ...points(name, x, y, options),
    ...(ci === undefined ? {} : { error_y: errorBars(name, y, ci) }),
    line: { color: color(i), dash: dashes[i % dashes.length], width: 2 },
    marker: { symbol: symbols[i % symbols.length], size: 7 },
  }));
  return { data, layout: layout(options) };
}

/** Points by name. `text` names each point. */
export function scatter(groups: Record<string, Curve & { text?: string[] }>, options: Labels & Axes): Figure {
  const data = Object.entries(groups).map(([name, { x, y, text }], i) => ({
    type: "scatter",
    mode: text === undefined ? "markers" : "markers+text",
    name,
    ...points(name, x, y, options),
    ...(text === undefined ? {} : { text, textposition: "top center" }),
    marker: { color: color(i), symbol: symbols[i % symbols.length], size: 9 },
  }));
  return { data, layout: layout(options) };
}

/** Bars: one group of bars for each category, one colour for each series. */
export function bars(series: Record<string, Record<string, number>>, options: Labels & { stacked?: boolean }): Figure {
  const data = Object.entries(series).map(([name, values], i) => ({
    type: "bar",
    name,
    x: Object.keys(values),
    y: finite(Object.values(values), name),
    marker: { color: color(i) },
  }));
  return { data, layout: { ...layout(options), barmode: options.stacked ? "stack" : "group" } };
}

/** A heat map of `z[row][column]`; `color` is the title of the colour scale, with its unit. */
export function heat(
  z: readonly Numbers[],
  options: Labels & { color: string; columns?: (string | number)[]; rows?: (string | number)[] },
): Figure {
  const trace = {
    type: "heatmap",
    z: z.map((row, i) => finite(row, `row ${i}`)),
    ...(options.columns === undefined ? {} : { x: options.columns }),
    ...(options.rows === undefined ? {} : { y: options.rows }),
    colorscale: "Cividis",
    colorbar: { title: { text: options.color, side: "right" } },
  };
  const made = layout(options);
  return { data: [trace], layout: { ...made, yaxis: { ...made.yaxis, autorange: "reversed" } } };
}

/** Points of which less is better on both axes, with the line of those that none beats. */
export function pareto(points: readonly { name: string; x: number; y: number }[], options: Labels & Axes): Figure {
  const front = points
    .filter((p) => !points.some((q) => q.x <= p.x && q.y <= p.y && (q.x < p.x || q.y < p.y)))
    .toSorted((p, q) => p.x - q.x);
  const group = (list: typeof front) => ({
    x: list.map((p) => p.x),
    y: list.map((p) => p.y),
    text: list.map((p) => p.name),
  });
  const rest = points.filter((p) => !front.includes(p));
  const made = scatter(
    { "best of its size": group(front), ...(rest.length === 0 ? {} : { beaten: group(rest) }) },
    options,
  );
  Object.assign(made.data[0]!, { mode: "lines+markers+text", line: { color: color(0), shape: "hv", dash: "dot" } });
  return made;
}

export interface LiveLine {
  /** Adds a point to the curve `name`; the picture moves at most four times a second. */
  push(x: number, y: number, name?: string): void;
  /** Draws the last state, now also as a picture for readers without JavaScript. Returns the figure. */
  end(): Figure;
}

/** A curve that grows while a cell runs. In between only its data are sent; the picture comes with `end()`. */
export function liveLine(options: Labels & Axes): LiveLine {
  const curves: Record<string, { x: number[]; y: number[] }> = {};
  const now = (): Bundle => ({
    "application/vnd.plotly.v1+json": line(curves, options),
    "text/plain": `${options.title}: ${Object.entries(curves)
      .map(([name, { x, y }]) => `${name} ${y.at(-1)?.toPrecision(4)} at ${options.x} ${x.at(-1)}`)
      .join(", ")}`,
  });
  let shown: ReturnType<typeof show> | undefined;
  let last = -Infinity;
  return {
    push(x, y, name = "loss") {
      points(name, [x], [y], options);
      curves[name] ??= { x: [], y: [] };
      curves[name].x.push(x);
      curves[name].y.push(y);
      if (performance.now() - last < 250) return;
      last = performance.now();
      if (shown === undefined) shown = show(now());
      else shown.update(asView(now()));
    },
    end() {
      const figure = line(curves, options);
      shown ??= show(now());
      shown.update(figure);
      return figure;
    },
  };
}

const color = (i: number) => palette[i % palette.length]!;

/** Plain numbers, each of them finite: a gap in a curve hides the step at which it broke. */
function finite(values: Numbers, where: string): number[] {
  return Array.from(values, (value, i) => {
    if (typeof value !== "number" || !Number.isFinite(value))
      throw new TypeError(`plot: ${where}[${i}] is ${value}, no finite number`);
    return value;
  });
}

/** The two axes of a curve: as long as each other, and above zero where an axis is logarithmic, which would leave the rest out in silence. */
function points(name: string, x: Numbers, y: Numbers, { logX, logY }: Axes): { x: number[]; y: number[] } {
  if (x.length !== y.length) throw new TypeError(`plot: ${name} has ${x.length} values of x and ${y.length} of y`);
  const made = { x: finite(x, `${name}.x`), y: finite(y, `${name}.y`) };
  for (const axis of ["x", "y"] as const) {
    const at = (axis === "x" ? logX : logY) ? made[axis].findIndex((value) => value <= 0) : -1;
    if (at >= 0)
      throw new TypeError(`plot: ${name}.${axis}[${at}] is ${made[axis][at]}, which a logarithmic axis cannot show`);
  }
  return made;
}

function errorBars(name: string, y: Numbers, ci: readonly (readonly [number, number])[]) {
  if (ci.length !== y.length)
    throw new TypeError(`plot: ${name} has ${y.length} values of y and ${ci.length} intervals`);
  return {
    type: "data",
    symmetric: false,
    array: ci.map(([, high], i) => high - y[i]!),
    arrayminus: ci.map(([low], i) => y[i]! - low),
    thickness: 1,
    width: 3,
  };
}

function layout({ title, x, y, caption, logX, logY }: Labels & Axes): Record<string, any> {
  for (const [name, text] of Object.entries({ title, x, y, caption }))
    if (typeof text !== "string" || text.trim() === "")
      throw new TypeError(`plot: "${name}" is missing; every figure says what it shows`);
  const lines = wrapped(caption, 100);
  const axis = (text: string, log?: boolean) => ({
    title: { text },
    ...(log ? { type: "log", dtick: 1 } : {}),
    zeroline: false,
    linecolor: "#444",
    gridcolor: "#e5e5e5",
    automargin: true,
  });
  return {
    title: {
      text: title,
      x: 0.02,
      xanchor: "left",
      subtitle: { text: lines.join("<br>"), font: { size: 12, color: "#555" } },
    },
    xaxis: axis(x, logX),
    yaxis: axis(y, logY),
    width: 720,
    height: 410 + 16 * lines.length,
    margin: { l: 70, r: 30, t: 66 + 16 * lines.length, b: 60 },
    legend: { orientation: "v" },
  };
}

function wrapped(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}
