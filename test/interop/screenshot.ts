// Takes the picture of the README: JupyterLab, started as `npm start` starts it, with a notebook open, in headless Chromium.
//   node test/interop/screenshot.ts [notebook] [picture] [text of the cell to scroll to]
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const root = join(import.meta.dirname, "../..");
const [
  notebook = "11-pruning-weights.ipynb",
  picture = join(root, "notebooks/images/jupyterlab.png"),
  heading = "Before and after retraining",
] = process.argv.slice(2);

/** The address with its token that JupyterLab prints when it answers. Fails when it ends before, or after six minutes. */
function address(lab: ChildProcess): Promise<URL> {
  return new Promise((resolve, reject) => {
    let log = "";
    const timer = setTimeout(() => reject(new Error(`JupyterLab did not answer within 6 minutes:\n${log}`)), 360_000);
    const read = (chunk: Buffer) => {
      log += chunk;
      const found = log.match(/http:\/\/(?:127\.0\.0\.1|localhost):\d+\/\S*token=\w+/);
      if (found === null) return;
      clearTimeout(timer);
      resolve(new URL(found[0]));
    };
    lab.stdout!.on("data", read);
    lab.stderr!.on("data", read);
    lab.on("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`JupyterLab ended with ${code}:\n${log}`));
    });
  });
}

const profile = mkdtempSync(join(tmpdir(), "whetstone-screenshot-"));
// Its own process group, so that the servers and kernels below it end with it.
const lab = spawn("npm", ["start", "--", "--no-browser"], {
  cwd: root,
  detached: true,
  stdio: ["ignore", "pipe", "pipe"],
});
try {
  const url = await address(lab);
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
    viewport: { width: 1400, height: 900 },
  });
  const page = await browser.newPage();
  await page.goto(`${url.origin}/lab/tree/${notebook}${url.search}`);
  await page.waitForSelector(".jp-Notebook .jp-Cell", { timeout: 60_000 });
  // Cells off the screen are drawn when they are scrolled to: go on until the wanted one is there.
  const scroller = page.locator(".jp-WindowedPanel-outer").first();
  const wanted = page.locator(".jp-RenderedMarkdown, .js-plotly-plot", { hasText: heading }).first();
  for (let i = 0; i < 200 && !(await wanted.isVisible()); i++) {
    await scroller.evaluate((panel) => panel.scrollBy(0, 400));
    await page.waitForTimeout(100);
  }
  await wanted.scrollIntoViewIfNeeded();
  await page.waitForTimeout(3000);
  await page.screenshot({ path: picture });
  await browser.close();
  console.log(picture);
} finally {
  if (lab.exitCode === null) process.kill(-lab.pid!, "SIGTERM");
  rmSync(profile, { recursive: true, force: true });
}
