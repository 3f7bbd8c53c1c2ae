// Takes the picture of the README: JupyterLab, started as `npm start` starts it, with a notebook open, in headless Chromium.
//   node test/interop/screenshot.ts [notebook] [picture] [words of the text cell to scroll to]
import { join } from "node:path";
import { openBrowser, startLab } from "./lab.ts";

const [
  notebook = "11-pruning-weights.ipynb",
  picture = join(import.meta.dirname, "../../notebooks/images/jupyterlab.png"),
  words = "At 0 % stands the dense model",
] = process.argv.slice(2);

const lab = await startLab();
const browser = await openBrowser();
try {
  const page = await browser.context.newPage();
  await page.goto(lab.address(`/lab/tree/${notebook}`));
  await page.waitForSelector(".jp-Notebook .jp-Cell", { timeout: 60_000 });
  // Cells off the screen are drawn when they are scrolled to: go on until the wanted one is there.
  const scroller = page.locator(".jp-WindowedPanel-outer").first();
  const wanted = page.locator(".jp-RenderedMarkdown", { hasText: words }).first();
  for (let i = 0; i < 200 && !(await wanted.isVisible()); i++) {
    await scroller.evaluate((panel) => panel.scrollBy(0, 400));
    await page.waitForTimeout(100);
  }
  await wanted.evaluate((cell) => cell.scrollIntoView({ block: "start" }));
  // The figure of the next cell is a picture until the mouse is over it.
  const next = page.locator(".jp-Cell", { has: wanted }).locator("xpath=following-sibling::*[1]");
  await next.locator(".plot-img").dispatchEvent("mouseenter");
  await next.locator(".gtitle").waitFor();
  await next.evaluate((cell) => cell.scrollIntoView({ block: "end" }));
  await page.waitForTimeout(2000);
  await page.screenshot({ path: picture });
  console.log(picture);
} finally {
  await browser.close();
  await lab.stop();
}
