"""What values look like: views, their text, updates in place, and values that defend themselves."""

import base64
import os
import struct
from pathlib import Path

import pytest
from client import Kernel

root = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def kernel(kernels_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("display")
    os.symlink(root / "node_modules", folder / "node_modules")
    with Kernel(kernels_folder, folder, WHETSTONE_DEVICE="wasm") as kernel:
        yield kernel


def view(kernel, code, **options):
    """The data and metadata of a cell's value."""
    cell = kernel.run(code, **options)
    assert cell.reply["status"] == "ok", cell.traceback
    [result] = cell.all("execute_result")
    return result["data"], result["metadata"]


def size_of_png(data):
    bytes = base64.b64decode(data)
    assert bytes[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", bytes[16:24])


def test_update_by_handle_and_by_id_from_another_cell(kernel):
    cell = kernel.run('const shown = display("first", { id: "mine" }); shown.id')
    [first] = cell.all("display_data")
    assert first["transient"] == {"display_id": "mine"} and cell.result == "'mine'"
    later = kernel.run('shown.update({ a: 2 }); 0')
    assert [u["transient"] for u in later.all("update_display_data")] == [{"display_id": "mine"}]
    assert later.all("update_display_data")[0]["data"]["text/plain"] == "{ a: 2 }" and later.all("display_data") == []


def test_a_handle_as_the_value_of_a_cell_is_no_second_output(kernel):
    cell = kernel.run('display("once")')
    assert len(cell.all("display_data")) == 1 and cell.all("execute_result") == []
    assert kernel.run('[display("twice")].length').result == "1"


def test_each_display_has_its_own_id(kernel):
    cell = kernel.run("display(1); display(2); display(3); 0")
    ids = [c["transient"]["display_id"] for c in cell.all("display_data")]
    assert len(set(ids)) == 3


def test_a_progress_bar_stays_in_its_place(kernel):
    code = """for await (const i of progress([1, 2, 3, 4, 5], "steps")) await new Promise((r) => setTimeout(r, 130));
        const bar = progress(4, "<own>");
        for (let i = 0; i < 4; i++) bar.step(1, `loss ${i}`);
        bar.done"""
    cell = kernel.run(code)
    assert cell.result == "4"
    [steps, own] = cell.all("display_data")
    updates = cell.all("update_display_data")
    of = lambda bar: [u["data"]["text/plain"] for u in updates if u["transient"] == bar["transient"]]
    assert len(of(steps)) >= 4 and "5/5" in of(steps)[-1] and "0/5" in steps["data"]["text/plain"]
    # Four steps at once: the limit holds all but the last back.
    assert len(of(own)) == 1 and "4/4" in of(own)[0] and "loss 3" in of(own)[0]
    assert "<progress" in own["data"]["text/html"] and "<own>" not in own["data"]["text/html"]


def test_progress_of_what_has_no_length(kernel):
    cell = kernel.run("function* three() { yield 1; yield 2; yield 3 }\nlet sum = 0; for (const x of progress(three(), 'n')) sum += x; sum")
    assert cell.result == "6" and cell.all("update_display_data")[-1]["data"]["text/plain"].startswith("n 3 in ")


def test_tensors(kernel):
    kernel.run('import { tf } from "@whetstone/engine"', timeout=60)
    data, _ = view(kernel, "tf.tensor([[1, -2, 3], [4, 5, 6.5]])")
    assert data["text/plain"] == "Tensor float32[2,3]\nmin -2, mean 2.917, max 6.500\n[1, -2, 3, 4, 5, 6.500]"
    assert data["text/html"].count("<rect") == 6 and "heat map" in data["text/html"]
    data, _ = view(kernel, "tf.tensor1d([1, NaN, Infinity])")
    assert "1 NaN, 1 Inf" in data["text/plain"]
    data, _ = view(kernel, "const gone = tf.ones([2]); gone.dispose(); gone")
    assert data["text/plain"] == "Tensor float32[2], disposed"
    assert "Tensor int32[]" in view(kernel, 'tf.scalar(3, "int32")')[0]["text/plain"]


def test_danfojs_frames(kernel):
    kernel.run('import * as dfd from "danfojs-node"', timeout=60)
    data, _ = view(kernel, 'new dfd.DataFrame([[1, "<b>"], [2.5, "x"]], { columns: ["n", "s"] })')
    html = data["text/html"]
    assert "<table" in html and html.count("<tr>") == 3 and "&lt;b&gt;" in html and "<b>" not in html
    assert "float32" in html and "string" in html and "2 rows x 2 columns" in html
    assert "2 rows x 2 columns" in data["text/plain"]
    assert "1000 rows" in view(kernel, "new dfd.Series(Array.from({ length: 1000 }, (_, i) => i))")[0]["text/html"]


def test_plotly_figures(kernel):
    data, metadata = view(
        kernel,
        '({ data: [{ type: "bar", name: "a", x: ["p", "q"], y: new Float32Array([1, 2]) }], layout: { title: { text: "Bars" }, width: 300, height: 200 } })',
        timeout=60,
    )
    figure = data["application/vnd.plotly.v1+json"]
    assert figure["data"][0]["y"] == [1, 2] and figure["layout"]["title"]["text"] == "Bars"
    assert data["text/plain"] == 'Figure "Bars": bar a (2 points)'
    width, height = size_of_png(data["image/png"])
    assert (width / height, width % 300) == (1.5, 0) and metadata["image/png"] == {"width": 300, "height": 200}


def test_plots_of_danfojs(kernel):
    kernel.run('import { dfd } from "@whetstone/engine/danfojs"', timeout=60)
    kernel.run("const runs = new dfd.DataFrame({ step: [0, 1, 2, 3], loss: [4, 2.5, null, 1.2] })")
    data, metadata = view(kernel, 'runs.plot("div").line({ config: { x: "step", y: "loss" }, layout: { width: 300, height: 200 } })', timeout=60)
    figure = data["application/vnd.plotly.v1+json"]
    assert figure["data"][0]["y"] == [4, 2.5, None, 1.2] and figure["layout"]["yaxis"]["title"]["text"] == "loss"
    assert data["text/plain"] == "Figure: scatter loss (4 points); x: step; y: loss"
    width, height = size_of_png(data["image/png"])
    assert (width / height, width % 300) == (1.5, 0) and metadata["image/png"] == {"width": 300, "height": 200}
    for kind in ("bar", "scatter", "hist", "box", "violin", "table"):
        data, _ = view(kernel, f"runs.plot().{kind}()", timeout=60)
        assert "application/vnd.plotly.v1+json" in data and size_of_png(data["image/png"])[0] > 0, kind
    assert kernel.run('runs.plot().pie({ config: { labels: "nobody" } })').error["evalue"].startswith('plot().pie: labels is "nobody"')


def test_profiles(kernel):
    kernel.run('import { profile, tf } from "@whetstone/engine"', timeout=60)
    kernel.run("function work() {\n  const x = tf.ones([64, 64]);\n  return tf.sum(tf.matMul(x, x));\n}\nconst seen = profile(() => tf.tidy(work))")
    data, _ = view(kernel, "seen")
    assert "<table>" in data["text/html"] and "matMul" in data["text/html"]
    [line] = [line for line in data["text/plain"].split("\n") if line.startswith("matMul ")]
    assert "work (In[" in line and ":3)" in line, line
    data, _ = view(kernel, "seen.flame", timeout=60)
    [icicle] = data["application/vnd.plotly.v1+json"]["data"]
    assert icicle["type"] == "icicle" and "matMul" in icicle["labels"]
    assert size_of_png(data["image/png"])[0] > 0


def test_raw_bundles(kernel):
    cell = kernel.run(
        """display({ "text/markdown": "**m**", "text/plain": "m" }, { raw: true });
        display({ "application/json": { a: [1, null] }, "text/plain": "j" }, { raw: true, metadata: { "application/json": { expanded: true } } });
        display({ "text/html": "<i>x</i>" }, { raw: true })"""
    )
    markdown, json, html = cell.all("display_data")
    assert markdown["data"] == {"text/markdown": "**m**", "text/plain": "m"}
    assert json["data"]["application/json"] == {"a": [1, None]} and json["metadata"] == {"application/json": {"expanded": True}}
    assert html["data"]["text/html"] == "<i>x</i>" and html["data"]["text/plain"]


@pytest.mark.parametrize(
    "bundle, said",
    {
        "'text'": "a MIME bundle",
        "null": "a MIME bundle",
        "{ html: '<b>' }": '"html"',
        "{ 'text/html': 5 }": '"text/html"',
        "{ 'image/png': new Uint8Array([1]) }": "base64",
        "{ 'application/json': 1n }": "BigInt",
    }.items(),
)
def test_wrong_raw_bundles_are_errors_that_say_what_is_wrong(kernel, bundle, said):
    cell = kernel.run(f"display({bundle} as any, {{ raw: true }})")
    assert cell.error["ename"] == "TypeError" and said in cell.error["evalue"], cell.error["evalue"]
    assert cell.traceback.split("\n")[1].strip().startswith("at In[")


def test_pictures(kernel):
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
    data, _ = view(kernel, f'Buffer.from("{png}", "base64")')
    assert data["image/png"] == png and "PNG image, 68 bytes" in data["text/plain"]
    assert view(kernel, "({ toSVG: () => '<svg/>' })")[0]["image/svg+xml"] == "<svg/>"


# Each has to end with some text, in no time, without hurting the kernel.
HOSTILE = {
    "a getter that throws": "({ get x() { throw new Error('no') } })",
    "a proxy that throws": "new Proxy({}, { get() { throw new Error('no') }, ownKeys() { throw new Error('no') } })",
    "a revoked proxy": "(() => { const p = Proxy.revocable({}, {}); p.revoke(); return p.proxy })()",
    "a circle": "(() => { const a: any = {}; a.a = a; return a })()",
    "no prototype": "Object.create(null)",
    "a view that throws": '({ [Symbol.for("Jupyter.display")]() { throw new Error("no") } })',
    "a view that is rejected": '({ async [Symbol.for("Jupyter.display")]() { throw new Error("no") } })',
    "a view that is no bundle": '({ [Symbol.for("Jupyter.display")]: () => 5 })',
    "a view with a BigInt": '({ [Symbol.for("Jupyter.display")]: () => ({ "application/json": { n: 1n } }) })',
    "a view that is a circle": '({ [Symbol.for("Jupyter.display")]() { const a: any = {}; a.a = a; return { "application/json": a } } })',
    "a view with wrong types": '({ [Symbol.for("Jupyter.display")]: () => ({ "text/html": 5, "text/plain": {} }) })',
    "an inspect that throws": '({ [Symbol.for("nodejs.util.inspect.custom")]() { throw new Error("no") } })',
    "toHTML that throws": "({ toHTML() { throw new Error('no') } })",
    "a huge array": "new Array(5_000_000).fill(1)",
    "a huge text": "'x'.repeat(50_000_000)",
    "deep": "(() => { let a: any = {}; for (let i = 0; i < 50_000; i++) a = { a }; return a })()",
    "a class that lies": "({ get constructor() { throw 1 }, data: [], layout: 3 })",
    "lone surrogates": "'\\ud800'",
    "a then that throws": "({ get then() { throw new Error('no') } })",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_values(kernel, name):
    data, _ = view(kernel, HOSTILE[name])
    assert 0 < len(data["text/plain"]) < 200_000
    assert all(isinstance(value, str) for mime, value in data.items() if "json" not in mime)
    shown = kernel.run(f"display({HOSTILE[name]}); 0")
    assert shown.reply["status"] == "ok" and shown.all("display_data")[0]["data"]["text/plain"]
    assert kernel.run("1").result == "1"


def test_a_view_that_takes_its_time(kernel):
    data, _ = view(kernel, '({ [Symbol.for("Jupyter.display")]: () => new Promise((r) => setTimeout(() => r({ "text/html": "<i>late</i>" }), 100)) })')
    assert data["text/html"] == "<i>late</i>"


def test_promises_and_thenables_are_shown_as_they_are(kernel):
    assert view(kernel, "Promise.resolve(1)")[0]["text/plain"] == "Promise { 1 }"
    assert view(kernel, "new Promise(() => {})")[0]["text/plain"] == "Promise { <pending> }"
    assert view(kernel, "await Promise.resolve(1)")[0]["text/plain"] == "1"
    data, _ = view(kernel, "let called = false; ({ then() { called = true } })")
    assert data["text/plain"] == "{ then: [Function: then] }" and kernel.run("called").result == "false"


def test_markup_in_values_stays_text(kernel):
    data, _ = view(kernel, "({ html: '<script>alert(1)</script>' })")
    assert list(data) == ["text/plain"]
