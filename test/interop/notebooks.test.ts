// Every committed notebook as a reader opens it in JupyterLab, with the dark theme: all is there before anything runs, figures come alive,
// nothing complains. What each looked like is kept in reports/lab/. Without the slow tests it is the one with most to show; these take every
// notebook, and run each to its end.
import assert from "node:assert/strict";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Page } from "playwright-core";
import { type Browser, connected, type Lab, openBrowser, scrollThrough, startLab } from "./lab.ts";

const folder = join(import.meta.dirname, "../../notebooks");
const files = globSync("*.ipynb", { cwd: folder }).sort();

/** What a notebook holds, to be compared with what is seen. */
function stored(file: string) {
  const { cells } = JSON.parse(readFileSync(join(folder, file), "utf8"));
  const outputs: any[] = cells.flatMap((cell: any) => cell.outputs ?? []);
  const data = (type: string) => outputs.flatMap((output) => output.data?.[type] ?? []);
  return {
    figures: data("application/vnd.plotly.v1+json").length,
    claims: [...new Set(data("application/vnd.claim+json").map(({ id }) => id))].sort(),
    errors: outputs.filter(({ output_type, name }) => output_type === "error" || name === "stderr").length,
  };
}

const most = files.toSorted(
  (a, b) => stored(b).figures + stored(b).claims.length - stored(a).figures - stored(a).claims.length,
);

describe("notebooks in JupyterLab", function () {
  this.timeout(240_000);
  let settings: string;
  let lab: Lab;
  let browser: Browser;
  let page: Page;

  before(async () => {
    settings = mkdtempSync(join(tmpdir(), "whetstone-settings-"));
    const set = (plugin: string, name: string, values: object) => {
      mkdirSync(join(settings, "@jupyterlab", plugin), { recursive: true });
      writeFileSync(join(settings, "@jupyterlab", plugin, `${name}.jupyterlab-settings`), JSON.stringify(values));
    };
    set("apputils-extension", "themes", { theme: "JupyterLab Dark" });
    set("apputils-extension", "notification", { fetchNews: "false", checkForUpdates: false });
    set("docmanager-extension", "plugin", { autosave: false }); // the notebooks stay as they are
    lab = await startLab({
      seconds: 120,
      args: [`--LabApp.user_settings_dir=${settings}`, `--LabApp.workspaces_dir=${join(settings, "workspaces")}`],
      env: { WHETSTONE_QUICK: "1" },
    });
    browser = await openBrowser();
  });
  beforeEach(async () => {
    page = await browser.context.newPage();
  });
  afterEach(async () => {
    await page.close();
    // Each has a kernel of its own, which nobody needs any more.
    for (const { id } of (await (await fetch(lab.address("/api/sessions"))).json()) as { id: string }[])
      await fetch(lab.address(`/api/sessions/${id}`), { method: "DELETE" });
  });
  after(async () => {
    await browser?.close();
    await lab?.stop();
    rmSync(settings, { recursive: true, force: true });
  });

  async function open(file: string) {
    await page.goto(lab.address(`/lab/workspaces/${basename(file, ".ipynb")}/tree/${file}`));
    await page.waitForSelector(".jp-Notebook .jp-Cell", { timeout: 60_000 });
    await connected(lab);
  }

  async function complaints() {
    const toasts = await page.locator(".Toastify__toast--error, .Toastify__toast--warning").allTextContents();
    const dialogs = await page.locator(".jp-Dialog").allTextContents();
    return [...toasts, ...dialogs];
  }

  for (const file of process.env.WHETSTONE_SLOW ? files : most.slice(0, 1)) {
    it(`${file}: outputs are shown before anything runs, in the dark theme`, async () => {
      await open(file);
      assert.equal(await page.locator("body").getAttribute("data-jp-theme-light"), "false");
      // Before a figure is drawn: plotly's extension then keeps its own picture of it.
      assert.equal(await page.locator(".jp-mod-dirty").count(), 0, "opening it has changed it");
      const seen = await scrollThrough(page);
      const wanted = stored(file);
      await page.locator(".jp-OutputArea-output").first().scrollIntoViewIfNeeded();
      mkdirSync(join(folder, "../reports/lab"), { recursive: true });
      await page.screenshot({ path: join(folder, `../reports/lab/dark-${basename(file, ".ipynb")}.png`) });
      assert.equal(seen.figures.length, wanted.figures, seen.figures.join("\n"));
      assert.deepEqual(seen.claims.sort(), wanted.claims);
      assert.equal(seen.errors.length, wanted.errors, seen.errors.join("\n"));
      assert.deepEqual(seen.faint, [], "these can hardly be read");
      assert.deepEqual(await complaints(), []);
      // Nothing has run: a kernel that answered a cell would have counted.
      assert.equal(await page.locator(".jp-Notebook-ExecutionIndicator[data-status=busy]").count(), 0);
    });

    if (!process.env.WHETSTONE_SLOW) continue;
    it(`${file}: runs to its end`, async function () {
      this.timeout(600_000);
      await open(file);
      await page.getByRole("menuitem", { name: "Run", exact: true }).click();
      await page.locator("#jp-mainmenu-run").getByText("Run All Cells", { exact: true }).click();
      await page.locator(".jp-Notebook-ExecutionIndicator[data-status=busy]").waitFor({ timeout: 60_000 });
      await page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").waitFor({ timeout: 500_000 });
      const [seen, wanted] = [await scrollThrough(page), stored(file)];
      assert.ok(seen.figures.length >= wanted.figures, seen.figures.join("\n"));
      assert.deepEqual(seen.errors.length, wanted.errors, seen.errors.join("\n"));
      assert.deepEqual(await complaints(), []);
    });
  }
});
