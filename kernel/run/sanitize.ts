// HTML that a cell has shown, for a page that others open: read by a parser of HTML5, and only what can do nothing is written again.
import { type DefaultTreeAdapterTypes, parseFragment } from "parse5";

type Node = DefaultTreeAdapterTypes.ChildNode;

const kept = new Set(
  `a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i img ins
kbd li mark ol p pre s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var`.split(/\s+/),
);
/** Their content goes with them; of other elements that are not kept the content stays. */
const dropped = new Set(
  "script style template iframe object embed noscript noembed noframes svg math head title textarea select option xmp plaintext audio video canvas frameset applet".split(
    " ",
  ),
);
const empty = new Set(["br", "hr", "img", "col"]);
const attributes: Record<string, readonly string[]> = {
  a: ["href"],
  img: ["src", "alt", "width", "height"],
  td: ["colspan", "rowspan"],
  th: ["colspan", "rowspan", "scope"],
  col: ["span"],
  colgroup: ["span"],
  ol: ["start"],
  details: ["open"],
};
/** Deeper than any honest output: beyond, text is left out, and the stack is safe. */
const deepest = 200;

/** The same, without scripts, styles, forms, frames, ids, events and addresses that do more than name a page. */
export function sanitize(html: string): string {
  return parseFragment(html)
    .childNodes.map((node) => written(node, 0))
    .join("");
}

function written(node: Node, depth: number): string {
  if (depth > deepest) return "";
  if (node.nodeName === "#text") return escapeHtml((node as DefaultTreeAdapterTypes.TextNode).value);
  if (!("tagName" in node) || dropped.has(node.tagName)) return "";
  const { tagName } = node;
  const inner = () => node.childNodes.map((child) => written(child, depth + 1)).join("");
  // Elements of SVG and MathML can have names of HTML.
  if (!kept.has(tagName) || !node.namespaceURI.endsWith("xhtml")) return inner();
  const allowed = node.attrs.filter(
    ({ name, value }) => attributes[tagName]?.includes(name) && isHarmless(name, value),
  );
  if (tagName === "img" && !allowed.some(({ name }) => name === "src")) return "";
  const list = allowed.map(({ name, value }) => ` ${name}="${escapeHtml(value)}"`).join("");
  const link = tagName === "a" ? ' rel="noopener noreferrer nofollow"' : "";
  return empty.has(tagName) ? `<${tagName}${list}>` : `<${tagName}${list}${link}>${inner()}</${tagName}>`;
}

function isHarmless(name: string, value: string): boolean {
  if (name === "src") return /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*$/.test(value);
  if (name === "href") return /^https?:\/\/[^\s]+$/i.test(value);
  return name === "alt" || /^[\w%]{0,12}$/.test(value);
}

/** The text as it may stand in HTML, also within quotes. */
export function escapeHtml(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text
    .toWellFormed()
    .replaceAll("\0", "\ufffd")
    .replaceAll(/[&<>"']/g, (character) => entities[character]!);
}
