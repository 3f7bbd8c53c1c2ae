// The score board as a page that stands alone: no script, no address outside, every text escaped.
import { basename, relative } from "node:path";
import { type ClaimRow, measured, summary, targetOf, verdictOf } from "./claims.ts";
import type { Moved } from "./claims-moved.ts";

/** The page; links are relative to the folder `from`. `moved` are the claims that have moved since `revision`. */
export function claimsPage(rows: readonly ClaimRow[], moved: readonly Moved[], from: string, revision: string): string {
  const changes = new Map(moved.map((each) => [each.id, each]));
  const body = rows.map(({ path, claim }, i) => {
    const isFirst = rows[i - 1]?.path !== path;
    const link = relative(from, path).replaceAll("\\", "/");
    const head = `<tr class="notebook"><th colspan="6"><a href="${text(encodeURI(link))}">${text(basename(path, ".ipynb"))}</a></th></tr>\n`;
    const change = changes.get(claim.id);
    const was =
      change === undefined
        ? ""
        : ` <span class="moved">${text(`${change.what}: was ${change.was ?? "not there"}`)}</span>`;
    const kind = claim.pass ? "holds" : claim.kind === "observed" ? "absent" : "fails";
    const cells = [
      `${text(claim.title ?? "")} <code>${text(claim.id)}</code>${was}`,
      text(measured(claim)),
      text(targetOf(claim)),
      text(verdictOf(claim)),
      text(claim.mode ?? ""),
      text(claim.device ?? ""),
    ];
    const columns = cells.map((cell, n) => `<td${n === 1 ? ' class="number"' : ""}>${cell}</td>`).join("");
    return `${isFirst ? head : ""}<tr class="${kind}">${columns}</tr>`;
  });
  const gone = moved.filter(({ what }) => what === "gone");
  const lost =
    gone.length === 0
      ? ""
      : `<p>Gone since ${text(revision)}: ${gone.map(({ id }) => `<code>${text(id)}</code>`).join(", ")}</p>\n`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>Claims</title>
<style>${style}</style>
</head>
<body>
<h1>Claims</h1>
<p>${text(summary(rows))} ${moved.length} moved since ${text(revision)}.</p>
${lost}<table>
<thead><tr><th>claim</th><th class="number">value</th><th>target</th><th>verdict</th><th>mode</th><th>device</th></tr></thead>
<tbody>
${body.join("\n")}
</tbody>
</table>
</body>
</html>
`;
}

const style = `
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td, th { padding: .25rem .6rem; text-align: left; border-bottom: 1px solid #8884; vertical-align: top }
.number { text-align: right; white-space: nowrap }
.notebook th { padding-top: 1.2rem; font-size: 1.1em }
.holds td:nth-child(4) { color: #00835c }
.fails td:nth-child(4) { color: #d55e00; font-weight: bold }
.moved { display: block; font-size: .9em; border-left: 3px solid #e69f00; padding-left: .4rem }
@media (prefers-color-scheme: dark) { .holds td:nth-child(4) { color: #3fd0a0 } }
`;

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const text = (words: string) => words.replace(/[&<>"']/g, (char) => entities[char]!);
