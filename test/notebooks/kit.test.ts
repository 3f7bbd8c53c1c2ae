import assert from "node:assert/strict";
import { isFigure } from "../../kernel/worker/figure.ts";
import {
  bars,
  type Claim,
  ClaimError,
  check,
  claim,
  heat,
  line,
  liveLine,
  observed,
  pareto,
  predict,
  readable,
  table,
} from "../../notebooks/kit/index.ts";

type Bundle = Record<string, any>;
const bundleOf = (value: any): Bundle => value[Symbol.for("Jupyter.display")]?.() ?? { figure: value };

/** Stands where the kernel's `display` is, and keeps what a cell would show. */
let shown: Bundle[];
let lines: string[];
const realLog = console.log;

function fakeNotebook(): void {
  beforeEach(() => {
    shown = [];
    lines = [];
    (globalThis as any).display = (value: unknown) => {
      shown.push(bundleOf(value));
      return { id: "1", update: (next: unknown) => shown.push(bundleOf(next)) };
    };
  });
  afterEach(() => {
    delete (globalThis as any).display;
    console.log = realLog;
  });
}

const stored = () => shown.at(-1)!["application/vnd.claim+json"] as Claim;

describe("kit: claim", () => {
  fakeNotebook();

  it("stores what was claimed and shows it as a row", () => {
    const options = { ci: [1.8, 1.9] as const, unit: "x", kind: "quality" as const, seeds: 3, device: "cpu" };
    const made = claim("pruning.smaller", 1.85, ">=", 1.5, options);
    assert.deepEqual(stored(), made);
    assert.equal(made.pass, true);
    assert.match(shown[0]!["text/plain"], /✔ pruning\.smaller 1\.85 x \(95 % interval 1\.8 to 1\.9\) >= 1\.5, 3 runs/);
    assert.deepEqual(JSON.parse(JSON.stringify(made)), made);
  });

  it("throws when false, after it has stored the claim", () => {
    assert.throws(
      () => claim("a.b", 3, "<", 2, { note: "look at the learning rate" }),
      (error: Error) => {
        assert.ok(error instanceof ClaimError);
        assert.match(error.message, /a\.b does not hold: 3 < 2\. look at the learning rate/);
        return true;
      },
    );
    assert.equal(stored().pass, false);
  });

  for (const [op, target, good, bad] of [
    ["<", 2, 1.9, 2],
    ["<=", 2, 2, 2.1],
    [">", 2, 2.1, 2],
    [">=", 2, 2, 1.9],
    ["==", 2, 2, 2.0000001],
    ["within", [1, 2], 1, 2.1],
  ] as const)
    it(`${op}: holds for ${good}, not for ${bad}, never for NaN or infinity`, () => {
      assert.ok(claim("x", good, op, target).pass);
      assert.throws(() => claim("x", bad, op, target), ClaimError);
      for (const none of [Number.NaN, Infinity, -Infinity])
        assert.throws(() => claim("x", none, op, target), ClaimError);
    });

  it("asks the bound of the whole interval", () => {
    assert.throws(() => claim("x", 1, ">", 0, { ci: [-0.1, 2] }), ClaimError);
    assert.throws(() => claim("x", 1, ">", 0, { ci: [0.1, Number.NaN] }), ClaimError);
    assert.ok(claim("x", 1, ">", 0, { ci: [0.1, 2] }).pass);
  });

  it("refuses a wrong id and a target that does not fit", () => {
    assert.throws(() => claim("No Good", 1, ">", 0), /claim id/);
    assert.throws(() => claim("x", 1, "within", 3), /two numbers/);
    assert.throws(() => claim("x", 1, "within", [2, 1]), /two numbers, \[low, high\], got 2,1/);
    assert.throws(() => claim("x", 1, "<", [1, 2]), /one number/);
    assert.throws(() => claim("x", 1, "<", Infinity), /one number, got Infinity/);
    assert.throws(() => claim("x", 1, ">", Number.NaN), /one number, got NaN/);
    assert.throws(() => claim("x", 1, ">", 0, { ci: [2, 1] }), /wrong way round/);
    assert.throws(() => claim("x", 1, "=" as never, 1), /no comparison/);
  });

  it("escapes what it shows", () => {
    claim("x", 1, ">", 0, { title: "<script>", note: "<img>", unit: "<b>" });
    assert.ok(!/<script|<img|<b>1 <b>/.test(shown[0]!["text/html"]));
  });

  it("observes an effect without throwing and says where others saw it", () => {
    assert.equal(observed("x", 0.1, ">", 1, { seenAt: "Llama-7B" }).pass, false);
    assert.match(shown[0]!["text/plain"], /○ x 0\.1 > 1: does not hold here/);
    assert.match(stored().note!, /Llama-7B/);
    assert.equal(stored().kind, "observed");
    assert.equal(observed("x", 2, ">", 1, { seenAt: "Llama-7B" }).pass, true);
    assert.match(shown[1]!["text/plain"], /holds here/);
  });

  it("writes to the console outside a notebook", () => {
    delete (globalThis as any).display;
    console.log = (text: string) => lines.push(text);
    claim("x", 1, ">", 0);
    assert.deepEqual(lines, ["✔ x 1 > 0"]);
  });
});

describe("kit: check and predict", () => {
  fakeNotebook();

  it("passes what holds and says what it found", () => {
    console.log = (text: string) => lines.push(text);
    check([1, { a: 2 }]).toBe([1, { a: 2 }]);
    check(1).toBeLessThan(2);
    check(3).toBeGreaterThan(2);
    check(Infinity).toBeGreaterThan(60);
    check(1.0000001).toBeCloseTo(1);
    check(1).toBeWithin(1, 2);
    assert.equal(lines.length, 6);
    assert.equal(lines[1], "✔ 1 to be less than 2");
  });

  it("throws where it does not, and tells what to look at", () => {
    assert.throws(() => check(3, "the mask").toBe(4), /expected 3 to be 4\. Look at: the mask/);
    assert.throws(() => check([1]).toBe([2]), /\[1\] to be \[2\]/);
    assert.throws(() => check(2).toBeLessThan(2), /CheckError|less than/);
    assert.throws(() => check(2).toBeGreaterThan(2));
    assert.throws(() => check(1.1).toBeCloseTo(1, 0.05));
    assert.throws(() => check(2.1).toBeWithin(1, 2));
    for (const wrong of [Number.NaN, "1", undefined]) {
      assert.throws(() => check(wrong).toBeLessThan(2));
      assert.throws(() => check(wrong).toBeGreaterThan(0));
      assert.throws(() => check(wrong).toBeCloseTo(1, 10));
      assert.throws(() => check(wrong).toBeWithin(0, 2));
    }
  });

  it("keeps the guess and shows it beside the result", () => {
    const guess = predict("How many?", 100, { unit: "steps" });
    guess.reveal(250);
    assert.match(
      shown[1]!["text/plain"],
      /Guess: 100 steps\. Measured: 250 steps \(the result is 2\.5 times the guess\)/,
    );
    predict("None?", 0).reveal(0);
    assert.match(shown.at(-1)!["text/plain"], /exactly right/);
    predict("None?", 0).reveal(3);
    assert.match(shown.at(-1)!["text/plain"], /the result is 3 away/);
    assert.throws(() => predict("?", Number.NaN), /must be a number/);
    assert.throws(() => predict("?", 1).reveal(Number.NaN), /what was measured is NaN/);
  });
});

describe("kit: plot and table", () => {
  fakeNotebook();
  const labels = { title: "T", x: "step", y: "loss [nat]", caption: "Falls." };

  it("makes figures that the kernel draws, with axis titles and caption", () => {
    const figures = [
      line({ a: { x: [1, 2], y: new Float32Array([3, 4]), ci: [[2, 4], [3, 5]] } }, labels), // biome-ignore format: pairs
      bars({ a: { p: 1, q: 2 } }, labels),
      heat([[1, 2]], { ...labels, color: "w" }),
      pareto([{ name: "a", x: 1, y: 2 }, { name: "b", x: 2, y: 3 }], labels), // biome-ignore format: pairs
    ];
    for (const figure of figures) {
      assert.ok(isFigure(figure));
      assert.equal(figure.layout.xaxis.title.text, "step");
      assert.equal(figure.layout.yaxis.title.text, "loss [nat]");
      assert.equal(figure.layout.title.subtitle.text, "Falls.");
    }
    const bar = (figures[0]!.data[0] as any).error_y;
    assert.deepEqual([bar.array, bar.arrayminus], [[1, 1], [1, 1]]); // biome-ignore format: pairs
  });

  it("refuses figures that do not say what they show, and values that are not finite", () => {
    assert.throws(() => line({ a: { x: [1], y: [1] } }, { ...labels, caption: "" }), /"caption" is missing/);
    assert.throws(() => line({ a: { x: [1], y: [1] } }, { ...labels, y: undefined as never }), /"y" is missing/);
    assert.throws(() => line({ a: { x: [1], y: [Number.NaN] } }, labels), /a\.y\[0\] is NaN/);
    assert.throws(() => line({ a: { x: [1, 2], y: [1] } }, labels), /a has 2 values of x and 1 of y/);
    assert.throws(() => line({ a: { x: [1], y: [1], ci: [] } }, labels), /a has 1 values of y and 0 intervals/);
    assert.throws(() => line({ a: { x: [0], y: [1] } }, { ...labels, logX: true }), /a\.x\[0\] is 0, which a log/);
    assert.throws(() => liveLine(labels).push(3, Number.NaN), /loss\.y\[0\] is NaN/);
  });

  it("draws the front of those that none beats", () => {
    const points = [
      { name: "small", x: 1, y: 5 },
      { name: "beaten", x: 3, y: 5 },
      { name: "good", x: 2, y: 1 },
    ];
    const [front, rest] = pareto(points, labels).data as any[];
    assert.deepEqual(front.text, ["small", "good"]);
    assert.deepEqual(rest.text, ["beaten"]);
  });

  it("moves a live curve by data alone and ends with the whole figure", () => {
    const live = liveLine(labels);
    for (let step = 0; step < 1000; step++) live.push(step, 1 / (step + 1));
    const before = shown.length;
    assert.ok(before >= 1 && before < 100, `${before} updates for 1000 points`);
    assert.deepEqual(Object.keys(shown[0]!), ["application/vnd.plotly.v1+json", "text/plain"]);
    assert.equal(JSON.parse(JSON.stringify(shown[0]!["application/vnd.plotly.v1+json"])).data[0].x[0], 0);
    const figure = live.end();
    assert.equal(shown.at(-1)!.figure, figure);
    assert.equal((figure.data[0] as any).x.length, 1000);
  });

  it("writes tables with their units, escaped, and refuses rows that lack a column", () => {
    const view = bundleOf(
      table(
        [
          { variant: "<b>", "size [kB]": 12345.6 },
          { variant: "b", "size [kB]": 2 },
        ],
        { caption: "C" },
      ),
    );
    assert.match(view["text/html"], /&lt;b&gt;/);
    assert.equal(
      view["text/plain"],
      "variant  size [kB]\n<b>         12 346\nb                2\nC".replace("12 346", "12\u202f346"),
    );
    assert.throws(
      () => table([{ a: 1, b: 2 }, { a: 1 }]) && bundleOf(table([{ a: 1, b: 2 }, { a: 1 }])),
      /row 1 has no "b"/,
    );
    assert.throws(() => bundleOf(table([])), /no rows/);
  });

  it("writes numbers as people read them", () => {
    assert.deepEqual([0.123456, 1234.5678, 1234567, 0.00001234, -0.5, 3].map(readable), [
      "0.1235",
      "1235",
      "1\u202f234\u202f567",
      "1.23e-5",
      "-0.5",
      "3",
    ]);
  });
});
