// What a newcomer sees after `npm start`: JupyterLab with notebook 00 and its kernel, in a real browser. What each step looked like is kept
// in reports/lab/.
import assert from "node:assert/strict";
import { existsSync, globSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { type Browser, connected, type Lab, openBrowser, scrollThrough, startLab } from "./lab.ts";

describe("JupyterLab after npm start", function () {
  this.timeout(180_000);
  let home: string;
  let lab: Lab;
  let browser: Browser;
  let page: Page;

  before(async () => {
    home = mkdtempSync(join(tmpdir(), "whetstone-home-"));
    lab = await startLab({ seconds: 120, env: { HOME: home } });
    browser = await openBrowser();
    page = await browser.context.newPage();
    await page.goto(lab.url.href);
    await page.waitForSelector(".jp-Notebook .jp-CodeCell", { timeout: 60_000 });
    await connected(lab);
  });
  afterEach(async function () {
    const folder = join(import.meta.dirname, "../../reports/lab");
    mkdirSync(folder, { recursive: true });
    const name = this.currentTest!.title.replace(/[^a-z0-9]+/gi, "-").slice(0, 60);
    await page.screenshot({ path: join(folder, `${name}.png`) });
  });
  after(async () => {
    await browser?.close();
    await lab?.stop();
    rmSync(home, { recursive: true, force: true });
  });

  it("opens notebook 00 with the kernel chosen, and asks nothing", async () => {
    await page.locator(".jp-Toolbar-kernelName", { hasText: "TypeScript (Whetstone)" }).first().waitFor();
    assert.match(await page.title(), /^00-start-her/);
    // The prompt for news comes some seconds after the start.
    await page.waitForTimeout(5000);
    assert.equal(await page.locator(".jp-Dialog").count(), 0, "a dialog is open");
    assert.doesNotMatch(
      (await page.locator(".Toastify__toast").allTextContents()).join("\n"),
      /news/i,
      "the news prompt is shown",
    );
  });

  it("runs all cells: figures are drawn, claims hold, the wrong cell shows its type error", async () => {
    await page.getByRole("menuitem", { name: "Run", exact: true }).click();
    await page.locator("#jp-mainmenu-run").getByText("Run All Cells", { exact: true }).click();
    await page.locator(".jp-Notebook-ExecutionIndicator[data-status=busy]").waitFor({ timeout: 20_000 });
    await page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").waitFor({ timeout: 120_000 });
    const seen = await scrollThrough(page);
    assert.ok(seen.figures.length >= 3, `${seen.figures.length} plotly figures were drawn`);
    assert.ok(seen.claims.length >= 4, `${seen.claims.length} claims are shown`);
    assert.deepEqual(seen.faint, []);
    assert.equal(seen.errors.length, 1, seen.errors.join("\n\n"));
    assert.match(seen.errors[0], /TS2345.*string/s);
  });

  it("completes a name that an earlier cell made", async () => {
    const cell = page.locator(".jp-CodeCell .cm-content").last();
    await cell.click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("\nquanti");
    await page.keyboard.press("Tab");
    const item = page.locator(".jp-Completer-item").first();
    await item.waitFor({ timeout: 15_000 });
    assert.match((await item.textContent())!, /quantize.*function/);
  });

  it("shows what a name is, with its value, on Shift+Tab", async () => {
    await page.keyboard.press("Escape");
    await fresh("const rates: number[] = [0.1, 0.2];");
    await runCell();
    await page.keyboard.press("Escape");
    await fresh("rates");
    await page.keyboard.press("Shift+Tab");
    const tooltip = page.locator(".jp-Tooltip");
    await tooltip.waitFor({ timeout: 15_000 });
    assert.match((await tooltip.textContent())!, /const rates: number\[\].*0\.1, 0\.2/s);
    await page.keyboard.press("Escape");
  });

  it("the stop button ends a loop, and its variables are kept", async () => {
    await fresh("let turns = 0; while (true) turns++;");
    await page.keyboard.press("Control+Enter");
    await page.locator(".jp-Notebook-ExecutionIndicator[data-status=busy]").waitFor({ timeout: 20_000 });
    await page.locator('[data-command="notebook:interrupt-kernel"], [data-jp-item-name="interrupt"]').first().click();
    await page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").waitFor({ timeout: 20_000 });
    assert.match((await lastOutput())!, /KeyboardInterrupt/);
    await fresh("turns > 0");
    await runCell();
    assert.match((await lastOutput())!, /true/);
  });

  it("a restart forgets names, and cells run again", async () => {
    await page.locator('[data-command="kernelmenu:restart"], [data-jp-item-name="restart"]').first().click();
    await page.locator(".jp-Dialog .jp-mod-accept").click();
    await connected(lab);
    await fresh("turns");
    await runCell();
    assert.match((await lastOutput())!, /Cannot find name 'turns'/);
    await fresh("40 + 2");
    await runCell();
    assert.match((await lastOutput())!, /42/);
  });

  it("leaves nothing of Jupyter in the user's home", () => {
    const left = globSync(["**/*jupyter*", "**/.ipython*"], { cwd: home, exclude: (name) => name.startsWith(".npm") });
    assert.deepEqual(left, []);
    assert.ok(existsSync(join(import.meta.dirname, "../../.jupyter/settings")));
  });

  /** A new last cell with this code, the cursor behind it. */
  async function fresh(code: string) {
    await page.locator(".jp-CodeCell .cm-content").last().click();
    await page.keyboard.press("Escape");
    await page.keyboard.press("b");
    await page.keyboard.press("Enter");
    await page.keyboard.type(code);
  }

  async function runCell() {
    await page.keyboard.press("Control+Enter");
    await page.locator(".jp-CodeCell.jp-mod-active .jp-InputArea-prompt", { hasText: /\[\d+\]/ }).waitFor();
    await page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").waitFor({ timeout: 20_000 });
  }

  const lastOutput = () => page.locator(".jp-CodeCell.jp-mod-active .jp-OutputArea-output").last().textContent();
});
