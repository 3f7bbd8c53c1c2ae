// danfojs on the engine's tfjs.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { jit, tf } from "@whetstone/engine";
import { dfd } from "@whetstone/engine/danfojs";
import { isFigure } from "../../kernel/worker/figure.ts";

describe("danfojs", () => {
  it("has the engine's tfjs, so its tensors go into the engine's ops", () => {
    assert.equal(dfd.tensorflow, tf);
    assert.equal(createRequire(import.meta.url)("danfojs-node"), dfd);
    const frame = new dfd.DataFrame({ a: [1, 2, 3], b: [4, 5, 6] });
    assert.ok(frame.tensor instanceof tf.Tensor);
    assert.equal(tf.sum(frame.tensor).dataSync()[0], 21);
    assert.equal(frame.tensor.dtype, "float32");
    assert.deepEqual(jit((x: tf.Tensor) => tf.sum(x, 0))(frame.tensor).arraySync(), [6, 15]);
    assert.equal(new dfd.Series([1, 2]).tensor.dtype, "int32");
    assert.deepEqual(new dfd.DataFrame(tf.ones([2, 2])).values, [
      [1, 1],
      [1, 1],
    ]);
  });

  it("describes columns with holes as if they were not there", () => {
    const frame = new dfd.DataFrame({
      a: [1, 2, null, 4, 5],
      name: ["x", null, "y", "z", "x"],
      b: [1.5, 2.5, 3.5, 4.5, NaN],
    });
    const stats = frame.describe();
    const row = (column: string) =>
      Object.fromEntries(stats.index.map((k: string, i: number) => [k, stats[column].values[i]]));
    assert.deepEqual(stats.columns, ["a", "b"]);
    assert.deepEqual(
      [row("a").count, row("a").mean, row("a").min, row("a").max, row("a").median, row("b").count, row("b").mean],
      [4, 3, 1, 5, 3, 4, 3],
    );
  });

  describe("plot", () => {
    const frame = new dfd.DataFrame({
      step: [0, 1, 2, 3],
      loss: [3.5, null, 1.5, NaN],
      accuracy: [0.1, 0.4, 0.5, 0.6],
      model: ["a", "a", "b", "b"],
    });
    const series = new dfd.Series([2, null, 6]);
    const axes = ({ layout }: any) => [layout.xaxis?.title.text, layout.yaxis?.title.text];
    const names = ({ data }: any) => data.map(({ name }: any) => name);

    it("line: columns against each other, against the index, and all that hold numbers; holes are gaps", () => {
      const pair = frame.plot("div").line({ config: { x: "step", y: "loss" } });
      assert.deepEqual(pair.data, [
        { x: [0, 1, 2, 3], y: [3.5, null, 1.5, null], name: "loss", type: "scatter", mode: "lines+markers" },
      ]);
      assert.deepEqual(axes(pair), ["step", "loss"]);
      const one = frame.plot().line({ config: { y: "accuracy" } });
      assert.deepEqual(
        [one.data[0].x, axes(one)],
        [
          [0, 1, 2, 3],
          ["Index", "accuracy"],
        ],
      );
      assert.deepEqual(axes(frame.plot().line({ config: { x: "accuracy" } })), ["accuracy", "Index"]);
      const all = frame.plot().line();
      assert.deepEqual(
        [names(all), axes(all)],
        [
          ["step", "loss", "accuracy"],
          ["Index", "value"],
        ],
      );
      assert.deepEqual(names(frame.plot().line({ config: { columns: ["loss", "accuracy"] } })), ["loss", "accuracy"]);
      const own = series.plot().line();
      assert.deepEqual(
        [own.data[0].x, own.data[0].y, axes(own)],
        [
          [0, 1, 2],
          [2, null, 6],
          ["Index", "value"],
        ],
      );
    });

    it("bar: names along the axis", () => {
      const bar = frame.plot().bar({ config: { x: "model", y: "accuracy" } });
      assert.deepEqual(bar.data, [{ x: ["a", "a", "b", "b"], y: [0.1, 0.4, 0.5, 0.6], name: "accuracy", type: "bar" }]);
      assert.deepEqual(axes(bar), ["model", "accuracy"]);
      assert.equal(series.plot().bar().data[0].type, "bar");
    });

    it("scatter: markers; columns stand along the horizontal axis, as danfojs has it", () => {
      const pair = frame.plot().scatter({ config: { x: "step", y: "loss" } });
      assert.deepEqual([pair.data[0].mode, axes(pair)], ["markers", ["step", "loss"]]);
      const all = frame.plot().scatter({ config: { columns: ["loss"] } });
      assert.deepEqual(
        [all.data[0].x, all.data[0].y, axes(all)],
        [
          [3.5, null, 1.5, null],
          [0, 1, 2, 3],
          ["loss", "Index"],
        ],
      );
    });

    it("hist: counts along either axis, several see-through", () => {
      const one = frame.plot().hist({ config: { x: "loss" } });
      assert.deepEqual(
        [one.data, axes(one)],
        [[{ x: [3.5, null, 1.5, null], name: "loss", type: "histogram" }], ["loss", "count"]],
      );
      const lying = frame.plot().hist({ config: { y: "loss" } });
      assert.deepEqual(
        [Object.keys(lying.data[0]), axes(lying)],
        [
          ["y", "name", "type"],
          ["count", "loss"],
        ],
      );
      const several = frame.plot().hist({ config: { columns: ["loss", "accuracy"] } });
      assert.deepEqual(
        [several.layout.barmode, several.data.map((trace: any) => trace.opacity)],
        ["overlay", [0.6, 0.6]],
      );
      assert.throws(() => frame.plot().hist({ config: { x: "loss", y: "step" } }), /give x or y, not both/);
    });

    it("pie: labels and values, one for each column, holes are no slices", () => {
      const one = frame.plot().pie({ config: { labels: "model", values: "loss" } });
      assert.deepEqual(
        [one.data[0].labels, one.data[0].values],
        [
          ["a", "b"],
          [3.5, 1.5],
        ],
      );
      const all = frame.plot().pie({ config: { labels: "model" } });
      assert.deepEqual(names(all), ["step", "loss", "accuracy"]);
      assert.deepEqual(all.layout.grid, { rows: 2, columns: 2 });
      assert.deepEqual(all.data.map(({ domain }: any) => [domain.row, domain.column]), [[0, 0], [0, 1], [1, 0]]); // biome-ignore format: a table
      assert.deepEqual(series.plot().pie({ config: { labels: ["p", "q", "r"] } }).data[0].labels, ["p", "r"]);
      assert.throws(() => frame.plot().pie(), /name the column of the labels/);
      const negative = new dfd.DataFrame({ n: ["a", "b"], v: [1, -2] });
      assert.throws(() => negative.plot().pie({ config: { labels: "n", values: "v" } }), /v holds -2/);
      const wrong = { labels: "model", columns: ["loss"], rowPositions: [0, 1] };
      assert.throws(() => frame.plot().pie({ config: wrong }), /2 rowPositions for 1 pies/);
    });

    it("box and violin: distributions, by group or side by side", () => {
      for (const kind of ["box", "violin"]) {
        const grouped = frame.plot()[kind]({ config: { x: "model", y: "accuracy" } });
        assert.deepEqual(
          [grouped.data[0].type, grouped.data[0].x, axes(grouped)],
          [kind, ["a", "a", "b", "b"], ["model", "accuracy"]],
        );
        const all = frame.plot()[kind]();
        assert.deepEqual(
          [names(all), all.data[1].y, all.data[1].x],
          [["step", "loss", "accuracy"], [3.5, null, 1.5, null], undefined],
        );
        assert.deepEqual(axes(frame.plot()[kind]({ config: { x: "loss" } })), ["loss", undefined]);
        assert.deepEqual(axes(series.plot()[kind]()), [undefined, "value"]);
      }
    });

    it("table: columns of any kind, with styles", () => {
      const style = { tableHeaderStyle: { align: "left" }, tableCellStyle: { height: 30 } };
      const [table] = frame.plot().table({ config: { columns: ["model", "loss"], ...style } }).data;
      assert.deepEqual(table, {
        type: "table",
        header: { values: [["model"], ["loss"]], align: "left" },
        cells: { values: [["a", "a", "b", "b"], [3.5, "", 1.5, ""]], height: 30 }, // biome-ignore format: columns
      });
      assert.equal(frame.plot().table().data[0].cells.values.length, 4);
    });

    it("takes plotly's layout and configuration, titles as text too, and every datatype", () => {
      const { layout, config } = frame.plot().line({
        config: { y: "loss", displayModeBar: false },
        layout: { title: "Loss", xaxis: { title: "batch" }, yaxis: { type: "log" }, width: 300 },
      });
      assert.deepEqual(layout, {
        title: { text: "Loss" },
        width: 300,
        xaxis: { title: { text: "batch" } },
        yaxis: { title: { text: "loss" }, type: "log" },
      });
      assert.deepEqual(config, { displayModeBar: false });
      const kinds = new dfd.DataFrame({ t: ["2026-01-01", "2026-01-02"], yes: [true, false], n: [1, 2] });
      assert.deepEqual(names(kinds.plot().line()), ["n"]);
      assert.deepEqual(kinds.plot().bar({ config: { x: "yes", y: "n" } }).data[0].x, ["true", "false"]);
      assert.deepEqual(kinds.plot().line({ config: { x: "t", y: "n" } }).data[0].x, ["2026-01-01", "2026-01-02"]);
      const named = new dfd.DataFrame([[1], [Number.POSITIVE_INFINITY]], { columns: ["v"], index: ["p", "q"] });
      assert.deepEqual(
        [named.plot().line().data[0].x, named.plot().line().data[0].y],
        [
          ["p", "q"],
          [1, null],
        ],
      );
    });

    it("gives what the kernel knows as a figure, as JSON", () => {
      for (const kind of ["line", "bar", "scatter", "hist", "box", "violin", "table"]) {
        const figure = frame.plot()[kind]();
        assert.ok(isFigure(figure), kind);
        assert.deepEqual(JSON.parse(JSON.stringify(figure)), figure, kind);
      }
      assert.ok(isFigure(frame.plot().pie({ config: { labels: "model" } })));
    });

    it("names what is wrong", () => {
      assert.throws(
        () => frame.plot().line({ config: { y: "lss" } }),
        /line: y is "lss", but the columns are step, loss/,
      );
      assert.throws(() => frame.plot().line({ y: "loss" }), /"y" belongs under config or layout/);
      assert.throws(() => frame.plot().bar({ config: { columns: [] } }), /columns must be a list of names/);
      assert.throws(() => new dfd.DataFrame({ n: ["a"] }).plot().line(), /no column holds numbers/);
    });
  });
});
