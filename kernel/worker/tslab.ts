// The module `tslab` for notebooks that were written for that kernel: its way to display, on ours.
import { versions as own } from "../versions.ts";
import { type DisplayHandle, display as show } from "./display.ts";

type Content = string | Uint8Array;

const mimeTypes = {
  javascript: "text/javascript",
  html: "text/html",
  markdown: "text/markdown",
  latex: "text/latex",
  svg: "image/svg+xml",
  png: "image/png",
  jpeg: "image/jpeg",
  gif: "image/gif",
  pdf: "application/pdf",
  text: "text/plain",
};

type Display = Record<keyof typeof mimeTypes, (content: Content) => void> & {
  raw(contentType: string, content: Content): void;
};

/** A display whose every call is an output of its own, or, with `isOne`, replaces that of the call before. */
function createDisplay(isOne: boolean): Display {
  let handle: DisplayHandle | undefined;
  const raw = (contentType: string, content: Content) => {
    const data = content instanceof Uint8Array ? Buffer.from(content).toString("base64") : content;
    const bundle = { [contentType]: data };
    if (isOne && handle !== undefined) handle.update(bundle);
    else handle = show(bundle, { raw: true });
  };
  const methods = Object.entries(mimeTypes).map(([name, type]) => [name, (content: Content) => raw(type, content)]);
  return Object.assign(Object.fromEntries(methods), { raw });
}

/** What the module exports. The version is that of the tslab whose API this is. */
export const tslab = {
  versions: { tslab: "1.0.22", typescript: own.typescript, node: process.version },
  display: createDisplay(false),
  newDisplay: () => createDisplay(true),
};

const place = Symbol.for("whetstone.tslab");
Object.defineProperty(globalThis, place, { value: tslab });

/** Where an import of it leads. */
export const tslabURL = `data:text/javascript,${encodeURIComponent(
  `const tslab = globalThis[Symbol.for("${place.description}")];
export const { versions, display, newDisplay } = tslab;
export default tslab;`,
)}`;
