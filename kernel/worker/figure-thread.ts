// The thread that draws figures: plotly.js in jsdom makes the SVG, resvg the PNG. jsdom cannot measure text, so the widths are read from the font.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { type MessagePort, workerData } from "node:worker_threads";
import type { DrawReply, DrawRequest } from "./figure.ts";
import { encodePNG, pixelCanvas } from "./figure-canvas.ts";
import { advanceWidth, type FontWidths, readWidths } from "./font-widths.ts";

const { port, done } = workerData as { port: MessagePort; done: Int32Array };
// Optional packages, found where the kernel is installed; the bundler must leave them alone.
const require = createRequire(import.meta.url);

type Draw = (request: DrawRequest) => Promise<Uint8Array>;
let draw: Draw | undefined;

port.on("message", async (request: DrawRequest) => {
  port.postMessage(await answer(request));
  Atomics.store(done, 0, 1);
  Atomics.notify(done, 0);
});

async function answer(request: DrawRequest): Promise<DrawReply> {
  try {
    draw ??= prepare();
  } catch (error) {
    return { missing: String(error) };
  }
  try {
    return { png: await draw(request) };
  } catch (error) {
    return { failed: String(error) };
  }
}

/** Loads the packages (about a second) and gives the function that draws. */
function prepare(): Draw {
  const { JSDOM, VirtualConsole } = require("jsdom");
  const { Resvg } = require("@resvg/resvg-js");
  const plotlySource = readFileSync(require.resolve("plotly.js-dist-min"), "utf8");
  const fonts = findFonts();
  const { window } = new JSDOM("<!doctype html><body></body>", {
    runScripts: "outside-only",
    pretendToBeVisual: true,
    // A console of nobody: what jsdom has not implemented is no news for the reader of a cell.
    virtualConsole: new VirtualConsole(),
  });
  measureText(window, fonts.widths);
  window.HTMLCanvasElement.prototype.getContext = function () {
    this.pixels ??= pixelCanvas(this);
    return this.pixels;
  };
  window.HTMLCanvasElement.prototype.toDataURL = function () {
    return this.getContext("2d").toDataURL();
  };
  window.URL.createObjectURL = () => "";
  window.eval(plotlySource);

  return async ({ figure, width, height }) => {
    const div = window.document.body.appendChild(window.document.createElement("div"));
    try {
      const layout = { paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff", ...figure.layout, width, height };
      await window.Plotly.newPlot(div, figure.data, layout, { staticPlot: true });
      const uri: string = await window.Plotly.toImage(div, { format: "svg", width, height });
      // resvg knows neither quotes in url('#gradient') nor the newer name of unsmoothed images.
      const svg = decodeURIComponent(uri.slice(uri.indexOf(",") + 1))
        .replace(/url\(['"](#[^'"]+)['"]\)/g, "url($1)")
        .replaceAll("image-rendering: pixelated", "image-rendering: optimizeSpeed");
      const resvg = new Resvg(svg, {
        background: "white",
        // Its own size: JupyterLab shows the PNG until the mouse is over the figure, and knows no other size for it.
        fitTo: { mode: "original" },
        font: { fontFiles: fonts.files, loadSystemFonts: fonts.files.length === 0, defaultFontFamily: "Open Sans" },
      });
      const image = resvg.render();
      return encodePNG(image.pixels, image.width, image.height);
    } finally {
      window.Plotly.purge(div);
      div.remove();
    }
  };
}

/** The font that comes with the project, so that a figure looks the same on every machine; where it is missing, the system's fonts serve. */
function findFonts(): { files: string[]; widths: FontWidths | undefined } {
  try {
    const folder = dirname(require.resolve("@expo-google-fonts/open-sans/package.json"));
    const files = ["400Regular", "400Regular_Italic", "700Bold"]
      .map((style) => join(folder, style, `OpenSans_${style}.ttf`))
      .filter((file) => existsSync(file));
    return { files, widths: readWidths(readFileSync(files[0]!)) };
  } catch {
    return { files: [], widths: undefined };
  }
}

/** Gives jsdom's SVG elements the boxes that plotly lays out by. */
function measureText(window: any, widths: FontWidths | undefined): void {
  const prototype = window.SVGElement.prototype;
  prototype.getBBox = function () {
    return asRect(boxOf(this, widths));
  };
  prototype.getBoundingClientRect = function () {
    let box = boxOf(this, widths);
    for (let at = this; at?.localName !== undefined && at.localName !== "svg"; at = at.parentNode)
      box = transformed(box, at);
    return asRect(box);
  };
  // Violins ask for the length of their outline, which only their hover uses: that of the lines between the path's points will do.
  prototype.getTotalLength = function () {
    const points = [...(this.getAttribute("d") ?? "").matchAll(/(-?[\d.]+(?:e-?\d+)?)[\s,]+(-?[\d.]+(?:e-?\d+)?)/gi)];
    const at = points.map(([, x, y]) => [Number(x), Number(y)] as const);
    return at.slice(1).reduce((sum, [x, y], i) => sum + Math.hypot(x - at[i]![0], y - at[i]![1]), 0);
  };
  prototype.getComputedTextLength = function () {
    return advanceWidth(widths, this.textContent) * fontSize(this);
  };
}

/** Edges in the coordinates of the element: [left, top, right, bottom]. */
type Box = [number, number, number, number];

/** A text's box from the font's widths, a group's from what is in it; shapes count only where they say their size. */
function boxOf(element: any, widths: FontWidths | undefined): Box | undefined {
  const number = (name: string) => Number.parseFloat(element.getAttribute(name)) || 0;
  const [x, y] = [number("x"), number("y")];
  if (element.localName === "text" || element.localName === "tspan") {
    const lines: string[] = [...element.querySelectorAll("tspan.line")].map((line: any) => line.textContent);
    if (lines.length === 0) lines.push(element.textContent ?? "");
    if (lines.every((line) => line === "")) return undefined;
    const size = fontSize(element);
    const width = Math.max(...lines.map((line) => advanceWidth(widths, line) * size));
    const left = x - width * ({ middle: 0.5, end: 1 }[anchor(element)] ?? 0);
    return [left, y - size, left + width, y + (1.3 * lines.length - 1) * size];
  }
  if (element.localName === "rect") return [x, y, x + number("width"), y + number("height")];
  let box: Box | undefined;
  for (const child of element.children) {
    const inner = transformed(boxOf(child, widths), child);
    if (inner === undefined) continue;
    const [l, t, r, b] = box ?? inner;
    box = [Math.min(l, inner[0]), Math.min(t, inner[1]), Math.max(r, inner[2]), Math.max(b, inner[3])];
  }
  return box;
}

/** The box as the element's parent sees it: after the element's `translate`, `rotate` and `scale`. */
function transformed(box: Box | undefined, element: any): Box | undefined {
  if (box === undefined) return undefined;
  const steps = [...(element.getAttribute("transform") ?? "").matchAll(/(\w+)\(([^)]*)\)/g)].reverse();
  return steps.reduce<Box>((at, [, kind, list]) => {
    const [a = 0, b = 0, c = 0] = list!.split(/[\s,]+/).map(Number);
    if (kind === "translate") return [at[0] + a, at[1] + b, at[2] + a, at[3] + b];
    if (kind === "scale") return [at[0] * a, at[1] * (b || a), at[2] * a, at[3] * (b || a)];
    return kind === "rotate" ? rotated(at, (a * Math.PI) / 180, b, c) : at;
  }, box);
}

function rotated([left, top, right, bottom]: Box, angle: number, x0: number, y0: number): Box {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const corners = [left, right].flatMap((x) => [top, bottom].map((y) => [x - x0, y - y0] as const));
  const xs = corners.map(([x, y]) => x0 + x * cos - y * sin);
  const ys = corners.map(([x, y]) => y0 + x * sin + y * cos);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

function asRect(box: Box | undefined) {
  const [left, top, right, bottom] = box ?? [0, 0, 0, 0];
  return { x: left, y: top, left, top, right, bottom, width: right - left, height: bottom - top };
}

const anchor = (element: any): string => element.style?.textAnchor || element.getAttribute?.("text-anchor") || "start";

/** Plotly writes the size into the style of the text, or of a parent of a tspan. */
function fontSize(element: any): number {
  for (let at = element; at?.style !== undefined; at = at.parentNode) {
    const size = Number.parseFloat(at.style.fontSize || at.getAttribute("font-size") || "");
    if (size > 0) return size;
  }
  return 12;
}
