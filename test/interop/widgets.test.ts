// Widgets of the kernel as JupyterLab's own widget manager shows them, in a real browser.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { type Browser, connected, type Lab, openBrowser, startLab } from "./lab.ts";

const cells = [
  `widgets.interact(({ power }) => ({
     data: [{ type: "scatter", x: [1, 2, 3], y: [1, 2, 3].map((x) => x ** power) }],
     layout: { title: { text: "power " + power }, height: 200 },
   }), { power: widgets.IntSlider({ min: 1, max: 5, value: 2, description: "power" }) })`,
  `const answers: string[] = [];
   const [up, down] = ["up", "down"].map((side) => {
     const button = widgets.Button({ icon: "thumbs-" + side, tooltip: side });
     button.onClick(() => { answers.push(side); console.log(answers.length + ". " + side) });
     return button;
   });
   widgets.HBox([up, down])`,
  `const counter = widgets.AnyWidget({
     esm: \`export default { render({ model, el }) {
       const button = document.createElement("button");
       button.className = "own-counter";
       const draw = () => { button.textContent = "count is " + model.get("count") };
       model.on("change:count", draw);
       button.onclick = () => { model.set("count", model.get("count") + 1); model.save_changes() };
       draw();
       el.append(button);
     } }\`,
     state: { count: 1 },
   });
   counter.onChange("count", (count) => { if (count === 2) counter.count = 10 });
   counter`,
  `const text = widgets.Text({ description: "name" });
   const kind = widgets.Dropdown({ options: ["alpha", "beta"], description: "kind" });
   const on = widgets.Checkbox({ description: "on" });
   const bar = widgets.IntProgress({ max: 4, value: 1 });
   widgets.VBox([text, kind, on, bar])`,
  `bar.value = 3; ["read", text.value, kind.value, on.value, counter.count, answers]`,
];

describe("widgets in JupyterLab", function () {
  this.timeout(180_000);
  let folder: string;
  let lab: Lab;
  let browser: Browser;
  let page: Page;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "whetstone-widgets-"));
    const code = (source: string, i: number) => ({
      id: `cell-${i}`,
      cell_type: "code",
      metadata: {},
      source,
      outputs: [],
      execution_count: null,
    });
    const metadata = {
      kernelspec: { name: "whetstone", display_name: "TypeScript (Whetstone)", language: "typescript" },
    };
    const notebook = { cells: cells.map(code), metadata, nbformat: 4, nbformat_minor: 5 };
    writeFileSync(join(folder, "widgets.ipynb"), JSON.stringify(notebook));
    lab = await startLab({ seconds: 120, args: [`--ServerApp.root_dir=${folder}`] });
    browser = await openBrowser({ height: 2000 });
    page = await browser.context.newPage();
    await page.goto(lab.address("/lab/tree/widgets.ipynb"));
    await page.waitForSelector(".jp-Notebook .jp-CodeCell", { timeout: 60_000 });
    await connected(lab);
    await page.getByRole("menuitem", { name: "Run", exact: true }).click();
    await page.locator("#jp-mainmenu-run").getByText("Run All Cells", { exact: true }).click();
    await output(4).filter({ hasText: "read" }).waitFor({ timeout: 60_000 });
  });
  after(async () => {
    await browser?.close();
    await lab?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const output = (cell: number) => page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-Cell-outputWrapper");

  it("a slider redraws a figure", async () => {
    const figure = output(0).locator(".jp-RenderedPlotly");
    await figure.first().waitFor();
    await untilTitled(figure, "power 2");
    await output(0).locator(".noUi-handle").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await output(0).locator(".widget-readout", { hasText: "4" }).waitFor({ timeout: 20_000 });
    await untilTitled(figure, "power 4");
    assert.equal(await figure.count(), 1);
  });

  it("thumbs up and down collect answers, and print under their cell", async () => {
    for (const side of ["up", "down", "up"]) await output(1).locator(`button[title=${side}]`).click();
    await output(1).getByText("3. up").waitFor({ timeout: 20_000 });
    assert.match((await output(1).textContent())!, /1\. up\s+2\. down\s+3\. up/);
  });

  it("a view of one's own counts, both ways", async () => {
    const button = output(2).locator("button.own-counter");
    assert.equal(await button.textContent(), "count is 1");
    await button.click();
    await output(2).getByText("count is 10").waitFor({ timeout: 20_000 });
  });

  it("values that are typed, chosen and checked are read by a cell; the cell moves a bar", async () => {
    await output(3).locator("input[type=text]").fill("Ada");
    await output(3).locator("select").selectOption("beta");
    await output(3).locator("input[type=checkbox]").check();
    await page.locator(".jp-Notebook .jp-Cell").nth(4).locator(".cm-content").click();
    await page.keyboard.press("Control+Enter");
    await output(4).getByText("Ada").waitFor({ timeout: 20_000 });
    assert.match((await output(4).textContent())!, /'read', 'Ada', 'beta', true, 10, \[ 'up', 'down', 'up' \]/);
    const width = await output(3)
      .locator(".progress-bar")
      .evaluate((bar: any) => bar.style.width);
    assert.equal(width, "75%");
  });

  it("the panel of variables shows them, with what is in them, and after each cell", async () => {
    const toggle = page.locator(".jp-NotebookPanel-toolbar .jp-DebuggerBugButton");
    await toggle.click();
    const panel = page.locator(".jp-DebuggerVariables");
    const answers = panel.getByText("answers").first();
    await answers.waitFor({ state: "attached", timeout: 20_000 });
    // The side bar opens by itself only where it has been open before.
    await page.waitForTimeout(500);
    if (!(await answers.isVisible())) await page.locator(".jp-SideBar [data-id=jp-debugger-sidebar]").click();
    await answers.waitFor({ timeout: 20_000 });
    assert.match((await panel.textContent())!, /answers:?\s*\[ 'up', 'down', 'up' \]/);
    await page.locator(".jp-Notebook .jp-Cell").nth(4).locator(".cm-content").click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("; answers.push('more'); answers.length");
    await page.keyboard.press("Control+Enter");
    await panel.getByText("'more'").first().waitFor({ timeout: 20_000 });
    // The panel draws itself anew after a cell, which closes what was just opened.
    const last = panel.locator("jp-tree-item jp-tree-item", { hasText: /^3:?\s*'more'/ }).first();
    for (let tries = 0; tries < 10 && !(await last.isVisible()); tries++) {
      await panel.getByText("answers").first().click();
      await page.waitForTimeout(1000);
    }
    assert.match((await panel.textContent())!, /2:?\s*'up'\s*3:?\s*'more'/);
    await toggle.click();
    assert.equal(await page.locator(".jp-Dialog").count(), 0);
  });

  it("a page that is loaded anew shows them as they are", async () => {
    await page.keyboard.press("Control+s");
    const saved = () => readFileSync(join(folder, "widgets.ipynb"), "utf8").includes("widget-view");
    for (let tries = 0; tries < 100 && !saved(); tries++) await page.waitForTimeout(100);
    assert.ok(saved(), "the notebook is not saved");
    await page.reload();
    await output(2).getByText("count is 10").waitFor({ timeout: 60_000 });
    assert.equal(await output(0).locator(".widget-readout").textContent(), "4");
    assert.equal(await output(3).locator("input[type=text]").inputValue(), "Ada");
    await output(2).locator("button.own-counter").click();
    await output(2).getByText("count is 11").waitFor({ timeout: 20_000 });
  });
});

/** Resolves when the figure has this title. It is its PNG until the mouse is over it, also after it was redrawn. */
async function untilTitled(figure: ReturnType<Page["locator"]>, wanted: string): Promise<void> {
  let title: string | null = null;
  for (let tries = 0; tries < 100 && title !== wanted; tries++) {
    const image = figure.locator(".plot-img").first();
    if (await image.isVisible()) await image.dispatchEvent("mouseenter", {}, { timeout: 500 }).catch(() => {});
    title = await figure
      .locator(".gtitle")
      .first()
      .textContent({ timeout: 500 })
      .catch(() => null);
    if (title !== wanted) await figure.page().waitForTimeout(100);
  }
  assert.equal(title, wanted);
}
