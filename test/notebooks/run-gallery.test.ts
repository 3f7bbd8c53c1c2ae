import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { gallery } from "../../kernel/run/gallery.ts";
import type { CodeCell, Notebook } from "../../kernel/run/notebook.ts";
import { countCells, junit, type Report } from "../../kernel/run/report.ts";
import type { NotebookResult } from "../../kernel/run/result.ts";
import { sanitize } from "../../kernel/run/sanitize.ts";
import { notebookOf } from "../made.ts";

/** It brings no types. */
const { JSDOM } = createRequire(import.meta.url)("jsdom");

/** Texts that run something, or fetch something, where a page takes them as they are. */
const payloads = [
  "<script>alert(1)</script>",
  "<ScRiPt src=//evil.example></ScRiPt>",
  "<img src=x onerror=alert(1)>",
  '<img src="https://evil.example/pixel.png">',
  "<svg onload=alert(1)>",
  "<svg><script>alert(1)</script></svg>",
  "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
  "<svg><style><img src=x onerror=alert(1)></style></svg>",
  "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
  "<math href='javascript:alert(1)'>x</math>",
  "<a href='javascript:alert(1)'>x</a>",
  "<a href='JaVaScRiPt:alert(1)'>x</a>",
  "<a href='java\nscript:alert(1)'>x</a>",
  "<a href=' &#x6a;avascript:alert(1)'>x</a>",
  "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
  "<a href='vbscript:msgbox(1)'>x</a>",
  "<iframe src='javascript:alert(1)'></iframe>",
  "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
  "<object data='javascript:alert(1)'></object>",
  "<embed src='javascript:alert(1)'>",
  "<form action='javascript:alert(1)'><button>x</button></form>",
  "<input autofocus onfocus=alert(1)>",
  "<body onload=alert(1)>",
  "<div style='background:url(https://evil.example)'>x</div>",
  "<div style='position:fixed;inset:0'>x</div>",
  "<style>@import 'https://evil.example/x.css';</style>",
  "<link rel=stylesheet href=https://evil.example/x.css>",
  "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
  "<base href='https://evil.example/'>",
  "<template><script>alert(1)</script></template>",
  "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
  "<textarea></textarea><script>alert(1)</script>",
  "<title></title><script>alert(1)</script>",
  "<xmp></xmp><script>alert(1)</script>",
  "<details open ontoggle=alert(1)>x</details>",
  "<video><source onerror=alert(1)></video>",
  "<audio src=x onerror=alert(1)>",
  "<marquee onstart=alert(1)>x</marquee>",
  "<table background='javascript:alert(1)'><td>x</td></table>",
  "<table><td><script>alert(1)</script></td></table>",
  "<p id=counts class=bad name=x>x</p>",
  "--><script>alert(1)</script><!--",
  "]]><script>alert(1)</script>",
  "</pre><script>alert(1)</script><pre>",
  "</style><script>alert(1)</script>",
  "</title><script>alert(1)</script>",
  '"><script>alert(1)</script>',
  "' onmouseover='alert(1)",
  "<img src='data:image/svg+xml;base64,PHN2Zz48L3N2Zz4='>",
  "<img src=\"data:image/png;base64,AAAA' onerror='alert(1)\">",
  "<frameset onload=alert(1)><frame src=javascript:alert(1)></frameset>",
  "<isindex action=javascript:alert(1)>",
  "<button formaction=javascript:alert(1)>x</button>",
  "<x onclick=alert(1)>x</x>",
  "<!--[if IE]><script>alert(1)</script><![endif]-->",
  "<\0script>alert(1)</script>",
  "<script\u0000>alert(1)</script>",
  "<svg><foreignObject><iframe src=javascript:alert(1)></iframe></foreignObject></svg>",
  "<select><style></select><script>alert(1)</script></style>",
  "<p>\ud800<b onclick=alert(1)>x",
];

/** What of a page could run, load or send something. */
function dangers(document: any): string[] {
  const found: string[] = [];
  for (const element of document.querySelectorAll("*")) {
    const name = element.localName;
    if (
      /^(script|iframe|object|embed|form|input|button|link|base|template|frame|frameset|video|audio|source|foreignobject)$/i.test(
        name,
      )
    )
      found.push(element.outerHTML);
    for (const { name: attribute, value } of element.attributes) {
      const isOwnAddress = attribute === "href" && /^(#|https?:\/\/)/.test(value);
      const isData = attribute === "src" && /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*$/.test(value);
      if (/^on|^style$|^srcdoc$|action$/i.test(attribute)) found.push(`${name} ${attribute}=${value}`);
      if (/href$|^src$|^background$|^data$/.test(attribute) && !isOwnAddress && !isData)
        found.push(`${name} ${attribute}=${value}`);
    }
  }
  return found;
}

function madeReport(text: string): { report: Report; notebook: Notebook; result: NotebookResult } {
  const notebook = notebookOf([`# ${text}\n\n${text}?`, "1", { source: text, id: "b" }]);
  (notebook.cells[1] as CodeCell).outputs = [
    { output_type: "stream", name: "stdout", text },
    { output_type: "display_data", data: { "text/html": text, "text/plain": text }, metadata: {} },
    { output_type: "display_data", data: { "image/png": text, "text/plain": text }, metadata: {} },
    { output_type: "display_data", data: { "image/png": "AAAA", "text/plain": text }, metadata: {} },
    { output_type: "display_data", data: { "application/vnd.claim+json": {}, "text/plain": text }, metadata: {} },
    { output_type: "error", ename: text, evalue: text, traceback: [text] },
  ];
  const cells = [
    { position: 2, id: "c2", verdict: "ok", seconds: 1 },
    {
      position: 3,
      id: text,
      verdict: "error",
      seconds: 2,
      reason: text,
      next: text,
      traceback: [text],
      line: 1,
      source: text,
    },
    { position: 4, id: "c4", verdict: "not reached", seconds: 0 },
  ] as NotebookResult["cells"];
  const result: NotebookResult = { name: text, path: join("/folder", text), isPassed: false, seconds: 3, startSeconds: 1, cells, problem: text, next: text }; // biome-ignore format: one line
  const coverage = [{ path: join("/folder", text), lines: 4, covered: 3, missed: [2] }];
  return {
    report: { ...countCells([result]), mode: "full", seconds: 3, notebooks: [result], coverage },
    notebook,
    result,
  };
}

describe("runner: the gallery", () => {
  it("shows what it is given and can do nothing, whatever stands in outputs, errors, titles and names", () => {
    for (const payload of payloads) {
      const { report, notebook, result } = madeReport(payload);
      const page = gallery(report, [{ result, notebook }], "/folder");
      const { document } = new JSDOM(page).window;
      assert.deepEqual(dangers(document), [], payload);
      assert.equal(document.querySelectorAll("section.card").length, 2, payload);
      assert.equal(document.querySelectorAll("style").length, 1, payload);
      const policy = document.querySelector("meta[http-equiv]")!.getAttribute("content")!;
      assert.match(
        policy,
        /^default-src 'none'; img-src data:; style-src 'sha256-[\w+/=]+'; base-uri 'none'; form-action 'none'$/,
      );
    }
  });

  it("keeps what people want to see of HTML: tables, emphasis, links, pictures that are in it", () => {
    const html =
      '<table class="x"><tr><th colspan="2">a</th></tr><tr><td>1 &lt; 2</td><td><b>b</b></td></tr></table><a href="https://example.org/?a=1&amp;b=2">c</a><img src="data:image/png;base64,AAAA" alt="d">';
    assert.equal(
      sanitize(html),
      '<table><tbody><tr><th colspan="2">a</th></tr><tr><td>1 &lt; 2</td><td><b>b</b></td></tr></tbody></table><a href="https://example.org/?a=1&amp;b=2" rel="noopener noreferrer nofollow">c</a><img src="data:image/png;base64,AAAA" alt="d">',
    );
    assert.equal(sanitize(`${"<div>".repeat(100_000)}deep`).includes("deep"), false);
    // What is written is read again as the same: nothing hides in it that another parser would find.
    for (const payload of payloads) assert.equal(sanitize(sanitize(payload)), sanitize(payload), payload);
  });

  it("has figures once, each cell's time, claims, the next step, and cells when asked for", () => {
    const { report, notebook, result } = madeReport("two, words");
    const { document } = new JSDOM(gallery(report, [{ result, notebook }], "/folder")).window;
    assert.equal(document.querySelector("h2")!.textContent, "✘ two, words");
    assert.equal(document.querySelector(".question")!.textContent, "two, words?");
    assert.equal(document.querySelectorAll("figure img").length, 1);
    assert.deepEqual([...document.querySelectorAll(".timeline rect")].map((rect: any) => rect.getAttribute("class")), ["ok", "bad", "rest"]); // biome-ignore format: one line
    assert.equal(document.querySelector(".timeline title")!.textContent, "cell 2 (c2): ok, 1.00 s");
    assert.match(document.querySelector(".next")!.textContent!, /Next two, words/);
    assert.equal(document.querySelectorAll(".claims li").length, 1);
    assert.match(document.querySelector("#coverage")!.textContent!, /3 of 4 lines in 1 files, 75 %/);
  });
});

describe("runner: JUnit", () => {
  /** Elements with their attributes (those in capitals must be there) and children, as build servers read them. */
  const schema: Record<string, { attributes: string[]; must: string[]; children: string[] }> = {
    testsuites: { attributes: ["name", "time", "tests", "failures", "errors", "skipped"], must: [], children: ["testsuite"] },
    testsuite: { attributes: ["name", "file", "time", "tests", "failures", "errors", "skipped"], must: ["name", "tests"], children: ["testcase"] },
    testcase: { attributes: ["name", "classname", "file", "time"], must: ["name", "classname"], children: ["skipped", "failure", "error"] },
    skipped: { attributes: ["message"], must: [], children: [] },
    failure: { attributes: ["message", "type"], must: ["type"], children: [] },
    error: { attributes: ["message", "type"], must: ["type"], children: [] },
  }; // biome-ignore format: a table

  it("is what build servers read, whatever stands in it, and its counts agree", () => {
    for (const payload of [...payloads, "plain", "\u001b[31mred \u0007\uffff"]) {
      const { report } = madeReport(payload);
      const { document } = new JSDOM(junit(report, "/folder"), { contentType: "text/xml" }).window;
      for (const element of document.querySelectorAll("*")) {
        const rule = schema[element.localName];
        assert.ok(rule, element.localName);
        const names = [...element.attributes].map(({ name }: any) => name);
        assert.deepEqual(names.filter((name: string) => !rule.attributes.includes(name)), [], payload); // biome-ignore format: one line
        assert.deepEqual(rule.must.filter((name) => !names.includes(name)), [], payload); // biome-ignore format: one line
        assert.deepEqual([...element.children].filter(({ localName }: any) => !rule.children.includes(localName)), [], payload); // biome-ignore format: one line
      }
      const suite = document.querySelector("testsuite")!;
      const count = (selector: string) => String(suite.querySelectorAll(selector).length);
      const told = ["tests", "failures", "errors", "skipped"].map((name) => suite.getAttribute(name));
      assert.deepEqual(told, ["testcase", "failure", "error", "skipped"].map(count), payload);
    }
  });
});
