// The run as one page that needs nothing else: verdicts, where the time went, figures, claims, failures with their next step.
import { createHash } from "node:crypto";
import { relative } from "node:path";
import type { FileCoverage } from "./coverage.ts";
import { card, seconds } from "./gallery-card.ts";
import { style } from "./gallery-style.ts";
import type { Notebook } from "./notebook.ts";
import { countCells, type Report } from "./report.ts";
import type { NotebookResult } from "./result.ts";
import { escapeHtml } from "./sanitize.ts";

export interface Executed {
  result: NotebookResult;
  /** What is there of it with its outputs. */
  notebook?: Notebook;
}

/** A page without any script; its policy lets none run, and loads nothing, whatever an output may hold. */
export function gallery(report: Report, executed: readonly Executed[], root: string): string {
  const { passed, failed, skipped, mode, coverage } = report;
  const hash = createHash("sha256").update(style).digest("base64");
  const policy = `default-src 'none'; img-src data:; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  const count = (number: number, what: string, name: string) =>
    number === 0 && name === "rest" ? "" : `<li class="${name}"><b>${number}</b> ${what}</li>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${failed > 0 ? `${failed} failed: ` : ""}Notebooks</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>Notebooks</h1>
<p>${executed.length} notebooks in ${mode} mode, ${seconds(report.seconds)}</p>
<ul class="counts">${count(passed, "cells passed", "ok")}${count(failed, "failed", failed > 0 ? "bad" : "rest")}${count(skipped, "skipped", "rest")}</ul>
</header>
<main>
${overview(executed)}
${executed.map((each) => card(each, root)).join("\n")}
${coverage === undefined ? "" : coverageSection(coverage, root)}
</main>
</body>
</html>
`;
}

function overview(executed: readonly Executed[]): string {
  const rows = executed.map(({ result }) => {
    const { passed, failed, skipped } = countCells([result]);
    const time = result.isCached ? "unchanged" : seconds(result.seconds);
    return `<tr class="${result.isPassed ? "ok" : "bad"}"><td class="mark">${result.isPassed ? "✔" : "✘"}</td><td><a href="#${escapeHtml(result.name)}">${escapeHtml(result.name)}</a></td><td>${passed}</td><td>${failed || ""}</td><td>${skipped || ""}</td><td>${time}</td></tr>`;
  });
  return `<table class="overview">
<thead><tr><th></th><th>notebook</th><th>passed</th><th>failed</th><th>skipped</th><th>time</th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody>
</table>`;
}

function coverageSection(files: readonly FileCoverage[], root: string): string {
  const counted = files.filter(({ lines }) => lines > 0);
  const [covered, lines] = [
    counted.reduce((sum, file) => sum + file.covered, 0),
    counted.reduce((sum, file) => sum + file.lines, 0),
  ];
  const rows = counted
    .toSorted((a, b) => a.covered / a.lines - b.covered / b.lines)
    .map((file) => {
      const share = file.covered / file.lines;
      const bar = `<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="rest" width="100" height="8"/><rect class="ok" width="${(100 * share).toFixed(1)}" height="8"/></svg>`;
      return `<tr><td>${escapeHtml(relative(root, file.path).replaceAll("\\", "/"))}</td><td class="bar">${bar}</td><td>${Math.floor(100 * share)} %</td><td>${file.covered} of ${file.lines}</td></tr>`;
    });
  return `<section class="card" id="coverage">
<h2>Lines that the notebooks executed</h2>
<p>${covered} of ${lines} lines in ${counted.length} files, ${lines === 0 ? 100 : Math.floor((100 * covered) / lines)} %. The Markdown report names those that were not.</p>
<details><summary>All files</summary><table><tbody>
${rows.join("\n")}
</tbody></table></details>
</section>`;
}
