// JupyterLab as `npm start` starts it, and a headless Chromium that looks at it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import carried from "@sparticuz/chromium";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { faintTexts } from "./faint.mjs";

const root = join(import.meta.dirname, "../..");

export interface Lab {
  /** Where it answers, with the token in the query. */
  url: URL;
  /** The page of JupyterLab that the path of an address opens, such as `/lab/tree/01-anatomy.ipynb`. */
  address(path: string): string;
  stop(): Promise<void>;
}

/** Starts JupyterLab with `npm start` and these arguments more. Throws with its log when it ends, or does not answer within `seconds`. */
export async function startLab({
  seconds = 360,
  env = {} as NodeJS.ProcessEnv,
  args = [] as string[],
} = {}): Promise<Lab> {
  const asRoot = process.getuid?.() === 0 ? ["--allow-root"] : [];
  // Its own process group, so that the servers and kernels below it end with it. A port of its own, whatever else runs.
  const lab = spawn("npm", ["start", "--", "--no-browser", "--ServerApp.port=0", ...asRoot, ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  try {
    const url = await readAddress(lab, seconds);
    return { url, address: (path) => `${url.origin}${path}${url.search}`, stop: () => end(lab) };
  } catch (error) {
    await end(lab);
    throw error;
  }
}

function readAddress(lab: ChildProcess, seconds: number): Promise<URL> {
  return new Promise((resolve, reject) => {
    let log = "";
    const late = () => reject(new Error(`JupyterLab did not answer within ${seconds} s:\n${log}`));
    const timer = setTimeout(late, seconds * 1000);
    const read = (chunk: Buffer) => {
      log += chunk;
      const found = log.match(/http:\/\/(?:127\.0\.0\.1|localhost):\d+\/\S*token=\w+/);
      if (found === null) return;
      clearTimeout(timer);
      resolve(new URL(found[0]));
    };
    lab.stdout!.on("data", read);
    lab.stderr!.on("data", read);
    lab.on("error", reject);
    lab.on("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`JupyterLab ended with ${code}:\n${log}`));
    });
  });
}

async function end(lab: ChildProcess): Promise<void> {
  if (lab.exitCode !== null || lab.signalCode !== null) return;
  const gone = once(lab, "exit");
  process.kill(-lab.pid!, "SIGTERM");
  await gone;
}

/** Resolves when the page talks with an idle kernel: JupyterLab's own sign says "idle" before there is one. */
export async function connected({ address }: Lab) {
  for (let tries = 0; tries < 120; tries++) {
    const sessions = (await (await fetch(address("/api/sessions"))).json()) as { kernel: Record<string, unknown> }[];
    const kernel = sessions[0]?.kernel;
    if (kernel !== undefined && Number(kernel.connections) > 0 && kernel.execution_state === "idle") return;
    await sleep(500);
  }
  throw new Error("JupyterLab has no kernel after 60 s");
}

export interface Browser {
  context: BrowserContext;
  close(): Promise<void>;
}

/** A headless Chromium: of CHROMIUM, of the system, else the one that npm carries. */
export async function openBrowser({ width = 1400, height = 900 } = {}): Promise<Browser> {
  const named = process.env.CHROMIUM;
  const system = named ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
  const quiet = ["--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const profile = mkdtempSync(join(tmpdir(), "whetstone-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: system ?? (await carried.executablePath()),
    args: system === undefined ? [...carried.args, ...quiet] : ["--no-sandbox", "--disable-gpu", ...quiet],
    viewport: { width, height },
  });
  return {
    context,
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export interface Seen {
  /** titles of the figures that plotly drew */
  figures: string[];
  /** ids of claims */
  claims: string[];
  /** texts of errors and of what went to stderr */
  errors: string[];
  /** texts of tables and the like that can hardly be told from what is behind them */
  faint: string[];
}

/** Cells off the screen are drawn when they are scrolled to: what is seen on the way from the first to the last. */
export async function scrollThrough(page: Page): Promise<Seen> {
  const scroller = page.locator(".jp-WindowedPanel-outer").first();
  const seen = {
    figures: new Set<string>(),
    claims: new Set<string>(),
    errors: new Set<string>(),
    faint: new Set<string>(),
  };
  await scroller.evaluate((panel) => panel.scrollTo(0, 0));
  for (let last = -1; ; ) {
    await page.waitForTimeout(150);
    // A figure is its PNG until the mouse is over it; then plotly draws it and names it.
    for (const image of await page.locator(".jp-RenderedPlotly .plot-img").all()) {
      if (!(await image.isVisible())) continue;
      const { width } = (await image.boundingBox())!;
      if (width > 1000) throw new Error(`a figure is ${width} pixels wide`);
      await image.dispatchEvent("mouseenter");
      await page.locator(".jp-RenderedPlotly .gtitle").first().waitFor();
    }
    for (const title of await page.locator(".jp-RenderedPlotly .gtitle").allTextContents()) seen.figures.add(title);
    for (const text of await page.locator('[data-mime-type="text/html"] code').allTextContents())
      if (/^[a-z]+\.[a-z0-9-]+$/.test(text)) seen.claims.add(text);
    const errorOutputs = page.locator(
      '[data-mime-type="application/vnd.jupyter.stderr"], [data-mime-type="application/vnd.jupyter.error"]',
    );
    for (const text of await errorOutputs.allTextContents()) seen.errors.add(text);
    for (const text of await page.evaluate(faintTexts)) seen.faint.add(text);
    const at = await scroller.evaluate((panel) => {
      panel.scrollBy(0, 500);
      return panel.scrollTop;
    });
    if (at === last) break;
    last = at;
  }
  const { figures, claims, errors, faint } = seen;
  return { figures: [...figures], claims: [...claims], errors: [...errors], faint: [...faint] };
}
