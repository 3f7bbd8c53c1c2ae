// What GitHub shows of the committed notebooks: no script runs there, styles and unknown tags are taken out, interactive figures are not
// drawn, and large files are not shown at all. So nothing that says something may be in any of these.
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
// @ts-expect-error jsdom has no types of its own
import { JSDOM } from "jsdom";

const folder = join(import.meta.dirname, "../../notebooks");
const files = globSync("*.ipynb", { cwd: folder }).map((file) => join(folder, file));
const text = (value: string | string[]) => [value].flat().join("");

/** What GitHub's sanitizer leaves in, of HTML in outputs and in markdown; the bar of a progress goes, the words beside it stay. */
const allowed = new Set(
  "a abbr b bdo blockquote br caption cite code dd del details dfn div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre progress q rp rt ruby s samp small span strike strong sub summary sup table tbody td tfoot th thead time tr tt ul var".split(
    " ",
  ),
);
const attributes =
  /^(align|alt|aria-\w+|border|cellpadding|cellspacing|cite|colspan|datetime|dir|headers|height|href|id|lang|max|name|open|role|rowspan|scope|span|src|start|summary|tabindex|title|valign|value|width|class|style)$/;

const { document } = new JSDOM().window;

interface Output {
  output_type: string;
  data?: Record<string, string | string[]>;
}

function parsed(file: string): { size: number; cells: any[]; metadata: any; nbformat: number } {
  return { size: statSync(file).size, ...JSON.parse(readFileSync(file, "utf8")) };
}

/** Tags and attributes of a piece of HTML that would be taken out; styles and classes go too, which must cost the looks only. */
function takenOut(html: string): string[] {
  const body = document.createElement("div");
  body.innerHTML = html;
  return [...body.querySelectorAll("*")].flatMap((element) => {
    const tag = element.tagName.toLowerCase();
    const strange = [...element.attributes]
      .filter(({ name }) => !attributes.test(name))
      .map(({ name }) => `${tag} ${name}`);
    const hidden = /display:\s*none|visibility:\s*hidden/.test(element.getAttribute("style") ?? "")
      ? [`hidden ${tag}`]
      : [];
    return [...(allowed.has(tag) ? [] : [tag]), ...strange, ...hidden];
  });
}

describe("the notebooks on GitHub", () => {
  for (const file of files) {
    const { cells, metadata, nbformat, size } = parsed(file);
    const outputs: Output[] = cells.flatMap((cell) => cell.outputs ?? []);
    const rich = outputs.flatMap(({ data }) => (data ? [data] : []));

    describe(basename(file), () => {
      it("is shown: of a format and a size that GitHub reads, its code in colours", () => {
        assert.equal(nbformat, 4);
        assert.ok(size < 1_000_000, `${size} bytes`);
        assert.match(metadata.language_info?.name ?? metadata.kernelspec?.language, /^typescript$/);
      });

      it("has outputs, and each figure as a picture and as text", () => {
        assert.ok(rich.length > 0);
        for (const data of rich) {
          assert.ok(text(data["text/plain"] ?? "").trim() !== "", Object.keys(data).join());
          if (!data["application/vnd.plotly.v1+json"]) continue;
          const png = Buffer.from(text(data["image/png"]!), "base64");
          assert.equal(png.subarray(1, 4).toString(), "PNG");
          assert.ok(png.readUInt32BE(16) >= 400 && png.readUInt32BE(20) >= 200, "the picture is too small to read");
        }
      });

      it("says the same without scripts, styles and tags that are taken out", () => {
        for (const data of rich) if (data["text/html"]) assert.deepEqual(takenOut(text(data["text/html"])), []);
        for (const cell of cells) {
          if (cell.cell_type !== "markdown") continue;
          // What stands in backticks is text.
          const html = text(cell.source).replace(/```[\s\S]*?```|`[^`\n]*`|\$\$[\s\S]*?\$\$|\$[^$\n]*\$/g, "");
          assert.deepEqual(takenOut(html), [], cell.id);
        }
      });

      it("links to files that are there", () => {
        for (const cell of cells) {
          if (cell.cell_type !== "markdown") continue;
          for (const [, target] of text(cell.source).matchAll(/\]\(([^)\s]+)\)/g)) {
            if (/^(https?:|#|mailto:)/.test(target!)) continue;
            assert.ok(existsSync(join(dirname(file), target!.replace(/#.*/, ""))), `${cell.id}: ${target}`);
          }
        }
      });
    });
  }

  it("a script, a frame or a hidden part would be noticed", () => {
    for (const [html, wanted] of [
      ["<script>1</script>", ["script"]],
      ['<img src="x" onerror="1">', ["img onerror"]],
      ['<div><iframe src="x"></iframe></div>', ["iframe"]],
      ['<p style="display: none">x</p>', ["hidden p"]],
      ['<table style="color: red"><tr><td colspan="2">x</td></tr></table>', []],
    ] as const)
      assert.deepEqual(takenOut(html), wanted);
  });
});
