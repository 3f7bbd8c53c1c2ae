// The look of the gallery, light and dark. Colours of verdicts are those of the figures (Okabe and Ito), which colour-blind people tell apart.

export const style = `
:root {
  --page: #f6f7f9; --card: #fff; --ink: #1b1f24; --soft: #5c6672; --line: #dfe3e8; --code: #f2f4f6;
  --ok: #00795a; --bad: #c24a00; --rest: #c3c9d0; --okbar: #009e73; --badbar: #d55e00; --badwash: #fff4ec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --card: #1d2126; --ink: #e6e9ed; --soft: #9aa5b1; --line: #31373f; --code: #15181c;
    --ok: #3ccfa4; --bad: #ff9a5c; --rest: #48505a; --badwash: #2c211a;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header, main { max-width: 1160px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 36px; }
h1 { margin: 0; font-size: 30px; letter-spacing: -0.02em; }
header p { margin: 2px 0 14px; color: var(--soft); }
h2 { margin: 0; font-size: 20px; line-height: 1.3; letter-spacing: -0.01em; }
h3 { margin: 0 0 8px; font-size: 15px; }
h4 { margin: 18px 0 4px; font-size: 13px; font-weight: 600; color: var(--soft); }
a { color: inherit; text-decoration-color: var(--rest); text-underline-offset: 3px; }
code, pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: 0; padding: 10px 12px; overflow-x: auto; background: var(--code); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; }
pre + pre { margin-top: 6px; }
.source { border-left: 3px solid var(--line); }
.stderr { color: var(--bad); }
.counts { display: flex; flex-wrap: wrap; gap: 10px; list-style: none; margin: 0 0 22px; padding: 0; }
.counts li { padding: 6px 14px; border: 1px solid var(--line); border-radius: 8px; background: var(--card); color: var(--soft); }
.counts b { margin-right: 3px; font-size: 20px; color: var(--ink); font-variant-numeric: tabular-nums; }
.counts .ok b { color: var(--ok); }
.counts .bad { border-color: var(--badbar); }
.counts .bad b { color: var(--bad); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
th { font-weight: 600; color: var(--soft); text-align: left; }
th, td { padding: 5px 12px; border-bottom: 1px solid var(--line); vertical-align: top; }
.overview { width: 100%; margin-bottom: 22px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; border-spacing: 0; border-collapse: separate; overflow: hidden; }
.overview tr:last-child td { border-bottom: 0; }
.overview th:nth-child(n+3), .overview td:nth-child(n+3) { text-align: right; width: 92px; white-space: nowrap; }
.overview td:first-child, .overview th:first-child { width: 34px; padding-right: 0; }
.mark { color: var(--soft); }
.ok > .mark, .card.ok h2 .mark { color: var(--ok); }
.bad > .mark, .card.bad h2 .mark { color: var(--bad); }
.overview .bad { background: var(--badwash); }
.card { margin: 0 0 22px; padding: 20px 24px 22px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; scroll-margin-top: 12px; }
.card.bad { border-color: var(--badbar); }
.question { margin: 4px 0 0; font-size: 17px; color: var(--soft); }
.facts { margin: 6px 0 12px; font-size: 13px; color: var(--soft); }
.timeline { display: block; width: 100%; height: 14px; margin: 0 0 16px; }
rect.ok { fill: var(--okbar); }
rect.bad { fill: var(--badbar); }
rect.rest { fill: var(--rest); }
.failure { margin: 0 0 16px; padding: 14px 16px; border-left: 4px solid var(--badbar); border-radius: 0 8px 8px 0; background: var(--badwash); }
.next { margin: 10px 0 0; }
.next b { margin-right: 6px; padding: 1px 8px; border-radius: 99px; background: var(--badbar); color: #fff; font-size: 12px; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 14px; margin-bottom: 14px; }
figure { position: relative; margin: 0; scroll-margin-top: 12px; }
figure .open { display: block; border: 1px solid var(--line); border-radius: 8px; overflow: hidden; background: #fff; cursor: zoom-in; }
figure img { display: block; width: 100%; height: auto; }
figure .close { display: none; }
figure:target { position: fixed; inset: 0; z-index: 1; display: grid; place-items: center; padding: 3vmin; background: rgb(0 0 0 / 75%); }
figure:target .open { border: 0; }
figure:target img { width: auto; max-width: 94vw; max-height: 94vh; }
figure:target .close { display: block; position: absolute; inset: 0; cursor: zoom-out; }
details { margin-top: 8px; }
summary { cursor: pointer; color: var(--soft); font-size: 14px; }
summary:hover { color: var(--ink); }
.claims { list-style: none; margin: 8px 0 4px; padding: 0; font-size: 14px; overflow-wrap: anywhere; }
.claims li { padding: 3px 0 3px 24px; text-indent: -20px; }
.claims .mark { display: inline-block; width: 16px; text-indent: 0; }
.html { overflow-x: auto; margin-top: 6px; font-size: 14px; }
.bar { width: 40%; }
.bar svg { display: block; width: 100%; height: 8px; margin-top: 7px; border-radius: 4px; }
@media (max-width: 620px) {
  .overview th:nth-child(n+3), .overview td:nth-child(n+3) { width: auto; padding: 5px 6px; }
  .card { padding: 16px; }
  .figures { grid-template-columns: 1fr; }
}
@media print { .card { break-inside: avoid; } }
`;
