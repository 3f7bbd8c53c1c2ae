import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gallery } from "../../kernel/run/gallery.ts";
import { type CodeCell, readNotebook } from "../../kernel/run/notebook.ts";
import { countCells } from "../../kernel/run/report.ts";
import type { CellResult, NotebookResult } from "../../kernel/run/result.ts";
import { temporaryFolder } from "../made.ts";
import { type Browser, openBrowser } from "./lab.ts";

const root = join(import.meta.dirname, "../..");

describe("the gallery in Chromium", () => {
  const folder = temporaryFolder();
  let browser: Browser | undefined;

  before(async function () {
    this.timeout(120_000);
    browser = await openBrowser();
  });
  after(() => browser?.close());

  it("shows figures, in light and dark, and breaks no rule of its own policy", async () => {
    const path = join(root, "notebooks/00-start-here.ipynb");
    assert.ok(existsSync(path));
    const notebook = readNotebook(path);
    const cells = notebook.cells.flatMap(({ cell_type, id }, i): CellResult[] =>
      cell_type === "code" ? [{ position: i + 1, id, verdict: "ok", seconds: i % 7 }] : [],
    );
    Object.assign(cells.at(-1)!, {
      verdict: "error",
      reason: "<img src=x onerror=document.title='hurt'>",
      next: "mend it",
    });
    // What would run if the page let it.
    (notebook.cells.find(({ cell_type }) => cell_type === "code") as CodeCell).outputs = [
      {
        output_type: "display_data",
        data: { "text/html": "<script>document.title='hurt'</script><b onclick=x>bold</b>" },
        metadata: {},
      },
    ];
    const result: NotebookResult = { name: "00-start-here", path, isPassed: false, seconds: 9, startSeconds: 1, cells };
    const report = { ...countCells([result]), mode: "quick" as const, seconds: 9, notebooks: [result] };
    const file = join(folder.path, "index.html");
    writeFileSync(file, gallery(report, [{ result, notebook }], root));
    const page = await browser!.context.newPage();
    const said: string[] = [];
    page.on("console", (message) => said.push(message.text()));
    page.on("pageerror", (error) => said.push(String(error)));
    page.on("request", (request) => {
      if (!/^(file|data):/.test(request.url())) said.push(request.url());
    });
    const grounds: string[] = [];
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      await page.goto(pathToFileURL(file).href);
      grounds.push(await page.evaluate("getComputedStyle(document.body).backgroundColor"));
    }
    assert.deepEqual(grounds, ["rgb(246, 247, 249)", "rgb(20, 23, 27)"]);
    await page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true");
    const widths: number[] = await page.evaluate(
      "Promise.all([...document.images].map((image) => image.decode().then(() => image.naturalWidth)))",
    );
    assert.ok(widths.length >= 3 && widths.every((width) => width > 300), widths.join());
    assert.equal(
      await page.evaluate("document.documentElement.scrollWidth <= innerWidth"),
      true,
      "nothing is wider than the window",
    );
    // A figure opens over the page, and closes.
    await page.click("figure a.open");
    assert.equal(await page.evaluate("getComputedStyle(document.querySelector('figure:target')).position"), "fixed");
    await page.click("figure:target a.close", { position: { x: 5, y: 5 } });
    assert.equal(await page.evaluate("document.querySelector('figure:target')"), null);
    assert.equal(await page.title(), "1 failed: Notebooks");
    assert.deepEqual(said, []);
    assert.equal(readFileSync(file, "utf8").includes("<script"), false);
    await page.close();
  }).timeout(60_000);
});
