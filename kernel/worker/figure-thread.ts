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
        fitTo: { mode: "zoom", value: 2 },
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
  const box = (element: any) => {
    const lines: string[] = [...element.querySelectorAll("tspan.line")].map((line: any) => line.textContent);
    if (lines.length === 0) lines.push(element.textContent ?? "");
    const size = fontSize(element);
    const width = Math.max(...lines.map((line) => advanceWidth(widths, line) * size));
    const height = lines.length * size * 1.3;
    const x = -width * ({ middle: 0.5, end: 1 }[anchor(element)] ?? 0);
    return { x, y: -size, left: x, top: -size, right: x + width, bottom: height - size, width, height };
  };
  const { SVGElement } = window;
  SVGElement.prototype.getBBox = function () {
    return box(this);
  };
  SVGElement.prototype.getComputedTextLength = function () {
    return box(this).width;
  };
  SVGElement.prototype.getBoundingClientRect = function () {
    return this.localName === "text" || this.localName === "tspan" ? box(this) : { ...box(this), width: 0, height: 0 };
  };
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
