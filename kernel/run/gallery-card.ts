// One notebook of the gallery.
import { relative } from "node:path";
import type { Executed } from "./gallery.ts";
import { type CodeCell, isCode, type Notebook } from "./notebook.ts";
import type { MimeBundle, Output } from "./outputs.ts";
import { failuresOf } from "./report.ts";
import { type CellResult, labelOf, type NotebookResult, plain } from "./result.ts";
import { escapeHtml, sanitize } from "./sanitize.ts";

export const seconds = (value: number) =>
  value < 10 ? `${value.toFixed(1)} s` : value < 120 ? `${Math.round(value)} s` : `${(value / 60).toFixed(1)} min`;

export function card({ result, notebook }: Executed, root: string): string {
  const { name, path, isPassed, isCached, resumedAfter } = result;
  const time = isCached ? `unchanged since it passed, then ${seconds(result.seconds)}` : seconds(result.seconds);
  const again = resumedAfter === undefined ? "" : `, gone on with after ${resumedAfter} cells`;
  const words = notebook === undefined ? undefined : openingOf(notebook);
  return `<section class="card ${isPassed ? "ok" : "bad"}" id="${escapeHtml(name)}">
<h2><span class="mark">${isPassed ? "✔" : "✘"}</span> ${escapeHtml(words?.title ?? name)}</h2>
${words?.question === undefined ? "" : `<p class="question">${escapeHtml(words.question)}</p>`}
<p class="facts"><code>${escapeHtml(relative(root, path).replaceAll("\\", "/"))}</code> ${escapeHtml(time + again)}</p>
${timeline(result.cells)}
${failures(result, root)}
${notebook === undefined ? "" : contents(notebook, name)}
</section>`;
}

/** The title and the first question of a notebook. */
function openingOf({ cells }: Notebook): { title?: string; question?: string } {
  const texts = cells.filter((cell) => cell.cell_type === "markdown").map(({ source }) => source);
  const bare = (line: string) => line.replaceAll(/[*_`]|\[([^\]]*)\]\([^)]*\)/g, "$1").trim();
  const lines = texts.slice(0, 2).flatMap((text) => text.split("\n").map(bare));
  const title = /^# +(.+)/.exec(lines.find((line) => line.startsWith("# ")) ?? "")?.[1];
  return {
    title,
    question: lines.find((line) => line.endsWith("?") && !line.startsWith("#"))?.replace(/^[-*>\d.]+ +/, ""),
  };
}

/** Each cell as wide as the time it took, but wide enough to be seen. */
function timeline(cells: readonly CellResult[]): string {
  if (cells.length === 0) return "";
  const least = 6;
  const total = cells.reduce((sum, cell) => sum + cell.seconds, 0) || 1;
  const widths = cells.map((cell) => least + (1000 - least * cells.length) * (cell.seconds / total));
  let x = 0;
  const rects = cells.map((cell, i) => {
    const title = `${labelOf(cell)}: ${cell.verdict}, ${cell.seconds.toFixed(2)} s`;
    const rect = `<rect class="${classOf(cell)}" x="${x.toFixed(1)}" width="${Math.max(1, widths[i]! - 2).toFixed(1)}" height="14" rx="2"><title>${escapeHtml(title)}</title></rect>`;
    x += widths[i]!;
    return rect;
  });
  return `<svg class="timeline" viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" aria-label="time of each cell">${rects.join("")}</svg>`;
}

function classOf({ verdict }: CellResult): string {
  if (verdict === "ok") return "ok";
  return verdict === "skipped" || verdict === "not reached" ? "rest" : "bad";
}

function failures(result: NotebookResult, root: string): string {
  return failuresOf(result, root)
    .map(([title, ...lines]) => {
      const next = lines.at(-1)?.startsWith("Next: ") ? lines.pop()!.slice("Next: ".length) : undefined;
      const step = next === undefined ? "" : `<p class="next"><b>Next</b> ${escapeHtml(next)}</p>`;
      return `<div class="failure"><h3>${escapeHtml(title!)}</h3><pre>${escapeHtml(lines.join("\n"))}</pre>${step}</div>`;
    })
    .join("\n");
}

/** Figures and claims at once; all outputs when asked for. */
function contents({ cells }: Notebook, name: string): string {
  const code = cells.map((cell, i) => ({ cell, position: i + 1 })).filter((each) => isCode(each.cell));
  const bundles = code.flatMap(({ cell }) =>
    (cell as CodeCell).outputs.flatMap((output) => ("data" in output ? [output.data] : [])),
  );
  const figures = bundles.flatMap((bundle) => pictureOf(bundle) ?? []);
  const claims = bundles.flatMap((bundle) =>
    bundle["application/vnd.claim+json"] === undefined ? [] : textOf(bundle),
  );
  const shown = code.filter(({ cell }) => (cell as CodeCell).outputs.length > 0);
  return [
    figures.length === 0
      ? ""
      : `<div class="figures">${figures.map((picture, i) => figure(picture, `${name}-${i + 1}`, name)).join("\n")}</div>`,
    claims.length === 0
      ? ""
      : `<details${claims.length <= 6 ? " open" : ""}><summary>${claims.length} claims</summary><ul class="claims">${claims.map(claim).join("\n")}</ul></details>`,
    shown.length === 0
      ? ""
      : `<details><summary>What ${shown.length} cells showed</summary>\n${shown.map(({ cell, position }) => cellOf(cell as CodeCell, position)).join("\n")}</details>`,
  ].join("\n");
}

interface Picture {
  src: string;
  alt: string;
}

function pictureOf(bundle: MimeBundle): Picture | undefined {
  const type = ["image/png", "image/jpeg", "image/gif", "image/webp"].find((each) => typeof bundle[each] === "string");
  if (type === undefined) return undefined;
  const data = (bundle[type] as string).replaceAll(/\s/g, "");
  return /^[A-Za-z0-9+/=]+$/.test(data) ? { src: `data:${type};base64,${data}`, alt: textOf(bundle) } : undefined;
}

const textOf = (bundle: MimeBundle) => plain(String(bundle["text/plain"] ?? ""));

/** A click makes it as large as the window, another one small again. */
function figure({ src, alt }: Picture, id: string, back: string): string {
  const picture = `<img src="${src}" alt="${escapeHtml(alt.slice(0, 300))}" loading="lazy">`;
  return `<figure id="${escapeHtml(id)}"><a class="open" href="#${escapeHtml(id)}">${picture}</a><a class="close" href="#${escapeHtml(back)}" aria-label="make it small again"></a></figure>`;
}

function claim(text: string): string {
  const [mark, words] = [text.slice(0, 1), text.slice(1).trim()];
  const name = mark === "✔" ? "ok" : mark === "✘" ? "bad" : "rest";
  return `<li class="${name}"><span class="mark">${escapeHtml(mark)}</span> ${escapeHtml(words)}</li>`;
}

function cellOf({ id, source, outputs }: CodeCell, position: number): string {
  return `<div class="cell"><h4>${escapeHtml(labelOf({ id, position }))}</h4><pre class="source">${escapeHtml(source)}</pre>${outputs.map(outputOf).join("\n")}</div>`;
}

/** Longer texts are cut: the executed notebook has all of it. */
const longest = 20_000;
const cut = (text: string) =>
  text.length <= longest ? text : `${text.slice(0, longest)}\n[... ${text.length} characters]`;

function outputOf(output: Output): string {
  if (output.output_type === "stream")
    return `<pre class="${output.name}">${escapeHtml(cut(plain(output.text)))}</pre>`;
  if (output.output_type === "error")
    return `<pre class="stderr">${escapeHtml(cut(plain(output.traceback.join("\n") || `${output.ename}: ${output.evalue}`)))}</pre>`;
  const html = output.data["text/html"];
  if (pictureOf(output.data) !== undefined)
    return `<p class="facts">the figure above: ${escapeHtml(cut(textOf(output.data)))}</p>`;
  if (typeof html === "string" && html.length <= 20 * longest) return `<div class="html">${sanitize(html)}</div>`;
  return `<pre>${escapeHtml(cut(textOf(output.data)))}</pre>`;
}
