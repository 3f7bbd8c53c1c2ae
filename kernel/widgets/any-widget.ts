// Widgets whose view is written in the notebook, as an ES module for the browser: https://anywidget.dev
import { textOf } from "../worker/format.ts";
import { createControl, domState } from "./controls.ts";
import type { Widget } from "./model.ts";
import type { State } from "./state.ts";

/** Whatever version of the front end's package is installed. */
const module = { module: "anywidget", version: "*" };

/** A widget with its own view: `esm` exports `{ render({ model, el }) }`, `state` is what both sides share. */
export function AnyWidget({ esm, css = "", state = {}, ...options }: State & { esm?: string; state?: State }): Widget {
  if (typeof esm !== "string" || esm.trim() === "") {
    throw new TypeError(`AnyWidget: esm is the text of an ES module that exports { render }, not ${textOf(esm)}`);
  }
  const shared = { _esm: esm, _css: css, _anywidget_id: "whetstone.AnyWidget", ...state };
  const kind = { ...module, name: "AnyWidget", model: "AnyModel", view: { ...module, name: "AnyView" } };
  const describe = (now: State) =>
    `AnyWidget(${Object.keys(state)
      .map((name) => `${name}=${textOf(now[name])}`)
      .join(", ")})`;
  return createControl({ ...kind, state: { ...domState, ...shared }, describe }, options);
}
