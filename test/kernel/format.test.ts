import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { inflateSync } from "node:zlib";
import { displaySymbol, type Formatted, format, formatResult, textOf } from "../../kernel/worker/format.ts";

const dfd = createRequire(import.meta.url)("danfojs-node");
const lossCurve = {
  data: [
    { type: "scatter", name: "train", x: new Float32Array([0, 1, 2]), y: [3, Number.NaN, 1] },
    { type: "scatter", name: "validation", x: [0, 1, 2], y: [3, 2, 1.5] },
  ],
  layout: { title: { text: "Loss" }, xaxis: { title: { text: "step" } }, yaxis: { title: { text: "loss [nat]" } } },
};

const now = (value: unknown): Formatted => {
  const view = format(value);
  assert.ok(!(view instanceof Promise), "the view must be made at once, so that outputs keep their order");
  return view;
};
const text = (value: unknown) => now(value).data["text/plain"] as string;

describe("format: values that show themselves", () => {
  it("shows a value that stands for an output already shown no second time, as the value of a cell", () => {
    const shown = { pass: true, [displaySymbol]: null };
    assert.equal(formatResult(shown), undefined);
    assert.match(text(shown), /pass: true/); // display(shown) asks for it
    for (const value of [null, undefined, 0, "text", { [displaySymbol]: undefined }, Proxy.revocable({}, {}).proxy])
      assert.ok(formatResult(value) !== undefined);
  });

  it("uses the value's own method before any other view, and adds the text", () => {
    const value = { toHTML: () => "no", [displaySymbol]: () => ({ "text/markdown": "**yes**" }) };
    const { data } = now(value);
    assert.equal(data["text/markdown"], "**yes**");
    assert.equal(data["text/html"], undefined);
    assert.match(data["text/plain"] as string, /toHTML/);
  });

  it("waits for a method that answers later", async () => {
    const { data } = await format({ [displaySymbol]: async () => ({ "text/plain": "later" }) });
    assert.deepEqual(data, { "text/plain": "later" });
  });

  it("still shows the value when its method throws, rejects or returns no bundle", async () => {
    for (const own of [
      () => {
        throw new RangeError("bad view");
      },
      () => Promise.reject(new RangeError("bad view")),
      () => "bad view",
      () => ({ "bad view": "plain" }),
    ]) {
      const { data } = await format({ size: 3, [displaySymbol]: own });
      assert.match(data["text/plain"] as string, /size: 3/);
      assert.match(data["text/plain"] as string, /its own view failed: .*bad view/);
    }
  });

  it("takes toHTML, toSVG and toPNG of other libraries", async () => {
    assert.equal(now({ toHTML: () => "<i>x</i>" }).data["text/html"], "<i>x</i>");
    assert.equal(now({ toSVG: () => "<svg/>" }).data["image/svg+xml"], "<svg/>");
    const { data } = await format({ toPNG: async () => new Uint8Array([1, 2]) });
    assert.equal(data["image/png"], Buffer.from([1, 2]).toString("base64"));
  });

  it("shows the bytes of a PNG and a JPEG as pictures, other bytes as text", () => {
    const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]);
    assert.equal(now(png).data["image/png"], Buffer.from(png).toString("base64"));
    assert.ok("image/jpeg" in now(Buffer.from([0xff, 0xd8, 0xff, 0xe0])).data);
    assert.deepEqual(Object.keys(now(new Uint8Array([1, 2, 3])).data), ["text/plain"]);
  });
});

describe("format: figures", function () {
  this.timeout(60_000);

  it("carries plotly JSON, a PNG of its own size and a line of text", () => {
    const { data, metadata } = now(lossCurve);
    const json = data["application/vnd.plotly.v1+json"] as typeof lossCurve;
    assert.deepEqual(json.data[0]!.x, [0, 1, 2], "typed arrays must become arrays");
    assert.deepEqual(json.data[0]!.y, [3, null, 1], "JSON has no NaN");
    assert.match(text(lossCurve), /Figure "Loss": scatter train \(3 points\).*x: step; y: loss \[nat\]/);
    assert.deepEqual(metadata, { "image/png": { width: 700, height: 360 } });
    const image = decode(Buffer.from(data["image/png"] as string, "base64"));
    assert.deepEqual([image.width, image.height], [700, 360]);
    assert.ok(image.share([31, 119, 180]) > 0.0001, "plotly's first colour must be in the picture");
    assert.ok(image.share([255, 255, 255]) > 0.8, "the background must be white");
  });

  it("draws heat maps with sharp cells and their colour bar", () => {
    const z = [
      [0, 1],
      [1, 0],
    ];
    const colorscale = [
      [0, "rgb(0,0,200)"],
      [1, "rgb(200,0,0)"],
    ];
    const { data } = now({ data: [{ type: "heatmap", z, colorscale }] });
    const image = decode(Buffer.from(data["image/png"] as string, "base64"));
    for (const color of [
      [0, 0, 200],
      [200, 0, 0],
    ])
      assert.ok(image.share(color) > 0.15, `${color} must fill its cells`);
    assert.ok(image.share([0, 0, 0]) < 0.01, "the colour bar must have its gradient, not black");
  });

  it("makes room for long labels, which needs the place of every text", () => {
    const name = "a category with a rather long name";
    const figure = (automargin: boolean) => ({
      data: [{ type: "bar", orientation: "h", x: [1], y: [name], marker: { color: "rgb(200,0,0)" } }],
      layout: { yaxis: { automargin }, margin: { l: 20 } },
    });
    const share = (automargin: boolean) =>
      decode(Buffer.from(now(figure(automargin)).data["image/png"] as string, "base64")).share([200, 0, 0]);
    assert.ok(share(true) < 0.75 * share(false), "the bar must be narrower beside its label");
    assert.ok(share(true) > 0.3 * share(false), "the label must not take the whole picture");
  });

  it("leaves the PNG out where jsdom cannot draw", () => {
    const { data } = now({ data: [{ type: "surface", z: [[1]] }], layout: {} });
    assert.deepEqual(Object.keys(data), ["application/vnd.plotly.v1+json", "text/plain"]);
  });

  it("does not take other objects with `data` for figures", () => {
    for (const value of [{ data: [] }, { data: [1] }, { data: [{ x: 1 }], layout: {} }, { data: [{ type: "user" }] }])
      assert.deepEqual(Object.keys(now(value).data), ["text/plain"]);
  });
});

describe("format: danfojs frames", () => {
  it("makes a table with index and types, every text escaped", () => {
    const frame = new dfd.DataFrame(
      { "<th>": [1, 2.5], b: ["<script>alert(1)</script>", `"&'`] },
      { index: ["<i>", "r2"] },
    );
    const html = now(frame).data["text/html"] as string;
    assert.ok(!/<script|<i>|<th><th>/.test(html), html);
    for (const part of ["&lt;script&gt;", "&lt;i&gt;", "&quot;&amp;&#39;", "float32", "string", "2 rows x 2 columns"])
      assert.ok(html.includes(part), `${part} in ${html}`);
  });

  it("shows head and tail of a long frame", () => {
    const html = now(new dfd.DataFrame({ n: Array.from({ length: 1000 }, (_, i) => i) })).data["text/html"] as string;
    assert.equal(html.match(/<tr>/g)?.length, 1 + 20 + 1, "head, 20 rows, gap");
    for (const part of ["<td>0</td>", "<td>…</td>", "<td>999</td>", "1000 rows x 1 columns"])
      assert.ok(html.includes(part), part);
    assert.ok(!html.includes("<td>500</td>"));
  });

  it("shows a series as one column", () => {
    const html = now(new dfd.Series([1, 2, 3])).data["text/html"] as string;
    assert.ok(html.includes("<td>3</td>") && html.includes("3 rows x 1 columns"), html);
  });
});

describe("format: text", () => {
  it("shows collections and typed arrays as util.inspect does, without colours", () => {
    assert.equal(text(new Map([["a", new Set([1])]])), "Map(1) { 'a' => Set(1) { 1 } }");
    assert.equal(text(new Float32Array([1, 2])), "Float32Array(2) [ 1, 2 ]");
    assert.equal(text("it's"), `"it's"`);
    assert.equal(text(-0), "-0");
    assert.equal(text(10n), "10n");
  });

  it("shortens what is huge and says so", () => {
    assert.match(textOf("x".repeat(1e6)), /more characters$/);
    const wide = text(Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`key${i}`, i])));
    assert.ok(wide.length < 110_000);
    assert.match(wide, /\d+ characters left out/);
  });

  it("shows an error with its frames, without Node's own", () => {
    const shown = text(new RangeError("too far", { cause: new Error("root") }));
    assert.match(shown, /^RangeError: too far/);
    assert.match(shown, /format\.test\.ts/);
    assert.match(shown, /Caused by: Error: root/);
    assert.ok(!/at .*node:/.test(shown), shown);
  });

  it("survives values that refuse to be looked at", () => {
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error("no");
        },
      },
    );
    assert.match(text(hostile), /its own view failed: Error: no/);
  });
});

/** Width, height and the share of pixels of one colour of an 8-bit PNG, with a palette or RGBA, whose rows have no filter. */
function decode(png: Buffer) {
  const [width, height, channels] = [png.readUInt32BE(16), png.readUInt32BE(20), png[25] === 3 ? 1 : 4];
  const chunks = (wanted: string) => {
    const parts: Buffer[] = [];
    for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at))
      if (png.toString("latin1", at + 4, at + 8) === wanted)
        parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
    return Buffer.concat(parts);
  };
  const [lines, palette] = [inflateSync(chunks("IDAT")), chunks("PLTE")];
  const share = (wanted: number[]) => {
    let n = 0;
    for (let y = 0; y < height; y++) {
      const row = (channels * width + 1) * y;
      assert.equal(lines[row], 0);
      for (let x = 0; x < width; x++) {
        const at = row + 1 + channels * x;
        const color =
          channels === 1 ? palette.subarray(3 * lines[at]!, 3 * lines[at]! + 3) : lines.subarray(at, at + 3);
        if (wanted.every((level, i) => color[i] === level)) n++;
      }
    }
    return n / (width * height);
  };
  return { width, height, share };
}
