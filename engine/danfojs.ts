// danfojs on the engine: one tfjs, `describe` of columns with holes, and `plot` where there is no browser.
import { createRequire } from "node:module";
import { type Plots, plotsOf, type Tabular } from "./danfojs-plot.ts";
import "./index.ts";

export type { PlotFigure, PlotOptions, Plots } from "./danfojs-plot.ts";

/**
 * danfojs-node, which must be installed beside the engine; `dfd.tensorflow` is the engine's `tf`. `frame.plot().line()` and its like
 * give plotly figures: the value of a cell shows them.
 */
export const dfd = load();

interface Frame {
  columns: string[];
  dtypes: string[];
  column(name: string): { values: unknown[] };
}

function load() {
  let danfojs: any;
  try {
    danfojs = createRequire(import.meta.url)("danfojs-node");
  } catch (error) {
    throw new Error(`danfojs-node cannot be loaded: ${(error as Error).message}. Install it with npm i danfojs-node`);
  }
  const { prototype } = danfojs.DataFrame;
  const { describe } = prototype;
  // danfojs 1.2 throws at a null in a column of numbers; as in pandas, holes do not count.
  prototype.describe = function (this: Frame) {
    const numeric = this.columns.filter((_, i) => this.dtypes[i] !== "string");
    const stats: Record<string, unknown[]> = {};
    let index: unknown[] = [];
    for (const name of numeric) {
      const values = this.column(name).values.filter((value) => value !== null && !Number.isNaN(Number(value)));
      const one = describe.call(new danfojs.DataFrame({ [name]: values.length ? values : [0] }));
      index = one.index;
      stats[name] = values.length ? one.column(name).values : index.map((row) => (row === "count" ? 0 : Number.NaN));
    }
    return new danfojs.DataFrame(stats, { index });
  };
  // The name of a page's element, which danfojs' own plot needs, is of no use here.
  for (const { prototype } of [danfojs.DataFrame, danfojs.Series])
    prototype.plot = function (this: Tabular, _element?: string): Plots {
      return plotsOf(this);
    };
  return danfojs;
}
