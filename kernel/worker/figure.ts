// Plotly figures: plotly JSON for front ends that draw it, a PNG for those that cannot (GitHub, nbconvert, a mail), and one line of text.
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { Formatted, MimeBundle } from "./format.ts";

/** A plotly figure: traces and how to lay them out, as `Plotly.newPlot` takes them. */
export interface Figure {
  data: Trace[];
  layout?: Record<string, any>;
  config?: Record<string, unknown>;
  frames?: unknown[];
}

type Trace = Record<string, any>;

/** How long a PNG may take. A trace type that hangs must not hang the cell. */
const timeoutMs = 15_000;

/** Traces that get no PNG: those of WebGL (jsdom has none, and three dimensions hang there) and maps, which load tiles. */
const notDrawable =
  /3d$|^surface$|^cone$|^streamtube$|^isosurface$|^volume$|gl$|mapbox$|^(scatter|density|choropleth)map$|geo$|^choropleth$/;

const traceTypes =
  /^(scatter|bar|box|candlestick|carpet|choropleth|cone|contour|densitymap|funnel|heatmap|histogram|icicle|image|indicator|isosurface|mesh3d|ohlc|par|pie|quiver|sankey|splom|streamtube|sunburst|surface|table|treemap|violin|volume|waterfall)/;

/** True for an object that looks like a plotly figure: `{ data: [traces], layout? }`. */
export function isFigure(value: object): value is Figure {
  const { data, layout } = value as Partial<Figure>;
  if (!Array.isArray(data) || data.length === 0) return false;
  if (layout !== undefined && (layout === null || typeof layout !== "object")) return false;
  return data.every((trace) => {
    if (trace === null || typeof trace !== "object") return false;
    if (typeof trace.type === "string") return traceTypes.test(trace.type);
    return layout !== undefined && (isSeries(trace.x) || isSeries(trace.y));
  });
}

/** What plotly's renderer in JupyterLab gives a figure that names no height: nothing jumps when it replaces the PNG. */
const defaultHeight = 360;

/** The bundle of a figure. The PNG is left out where it cannot be drawn: three dimensions, packages not installed, longer than 15 s. */
export function formatFigure(figure: Figure): Formatted {
  const data = figureBundle(figure);
  const json = data["application/vnd.plotly.v1+json"] as Figure;
  const size = { width: json.layout?.width ?? 700, height: json.layout?.height ?? defaultHeight };
  const png = json.data.some((trace) => notDrawable.test(trace.type ?? "")) ? undefined : renderPNG(json, size);
  if (png === undefined) return { data };
  return {
    data: { ...data, "image/png": png },
    metadata: { "image/png": size },
  };
}

/** The JSON and the text of a figure without its PNG: cheap enough for a curve that moves. */
export function figureBundle(figure: Figure): MimeBundle {
  const { data, layout, config, frames } = figure;
  return {
    "application/vnd.plotly.v1+json": plainJSON({ data, layout: layout ?? {}, config, frames }),
    "text/plain": describe(figure),
  };
}

/** `Figure "title": scatter a (100 points), bar b (3 points); x: step; y: loss [nat]` */
function describe(figure: Figure): string {
  const text = (title: unknown) =>
    (typeof title === "object" && title !== null ? (title as { text?: string }).text : title) ?? "";
  const layout = figure.layout ?? {};
  const traces = figure.data.map((trace) => {
    const series = [trace.y, trace.x, trace.z, trace.values].find(isSeries);
    const name = trace.name === undefined ? "" : ` ${trace.name}`;
    return `${trace.type ?? "scatter"}${name}${series === undefined ? "" : ` (${series.length} points)`}`;
  });
  const axes = (["x", "y"] as const)
    .map((axis) => [axis, text(layout[`${axis}axis`]?.title)] as const)
    .filter(([, title]) => title !== "")
    .map(([axis, title]) => `; ${axis}: ${title}`);
  const title = text(layout.title);
  return `Figure${title === "" ? "" : ` "${title}"`}: ${traces.join(", ")}${axes.join("")}`.replace(/<br\s*\/?>/g, " ");
}

/** A deep copy as JSON has it: typed arrays become arrays, dates ISO text, numbers that are not finite null. */
function plainJSON(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, part) =>
      ArrayBuffer.isView(part) && !(part instanceof DataView) ? Array.from(part as any) : part,
    ),
  );
}

function isSeries(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

/** What goes to the drawing thread, and what comes back. */
export interface DrawRequest {
  figure: Figure;
  width: number;
  height: number;
}
export type DrawReply = { png: Uint8Array } | { missing: string } | { failed: string };

interface Thread {
  worker: Worker;
  port: MessagePort;
  /** One number that the thread sets to 1 when a reply is in the port. */
  done: Int32Array;
}

let thread: Thread | undefined;
/** Once a package is missing or two drawings hung, no more PNG is tried in this process. */
let hangs = 0;
let unavailable = false;

/** The figure as base64 PNG at twice its size, drawn while the caller waits; `undefined` where that is not possible. */
function renderPNG(figure: Figure, { width, height }: { width: number; height: number }): string | undefined {
  if (unavailable) return undefined;
  thread ??= startThread();
  Atomics.store(thread.done, 0, 0);
  thread.port.postMessage({ figure, width, height } satisfies DrawRequest);
  if (Atomics.wait(thread.done, 0, 0, timeoutMs) === "timed-out") {
    void thread.worker.terminate();
    thread = undefined;
    unavailable = ++hangs >= 2;
    return undefined;
  }
  const reply = receiveMessageOnPort(thread.port)?.message as DrawReply | undefined;
  if (reply === undefined || "failed" in reply) return undefined;
  if ("missing" in reply) {
    unavailable = true;
    return undefined;
  }
  return Buffer.from(reply.png).toString("base64");
}

function startThread(): Thread {
  const done = new Int32Array(new SharedArrayBuffer(4));
  const { port1, port2 } = new MessageChannel();
  // The source runs as .ts, the bundle lies beside its own entry as .js.
  const entry = new URL(import.meta.url.endsWith(".ts") ? "./figure-thread.ts" : "./figure-thread.js", import.meta.url);
  const worker = new Worker(entry, {
    workerData: { port: port2, done },
    transferList: [port2],
    execArgv: [],
  });
  worker.on("error", () => {
    unavailable = true;
  });
  worker.unref();
  port1.unref();
  return { worker, port: port1, done };
}
