"""Notebooks that were written for the kernel tslab: its module, and cells that it gets wrong."""

import base64
import os
from pathlib import Path

import pytest
from client import Kernel

root = Path(__file__).parents[2]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="


@pytest.fixture(scope="module", params=["not installed", "installed"])
def kernel(request, kernels_folder, tmp_path_factory):
    """Also where the package itself is there, which knows only its own kernel."""
    folder = tmp_path_factory.mktemp("tslab")
    if request.param == "installed":
        os.symlink(root / "node_modules", folder / "node_modules")
        assert (folder / "node_modules/tslab/package.json").exists()
    with Kernel(kernels_folder, folder) as kernel:
        yield kernel


def shown(cell):
    assert cell.reply["status"] == "ok", cell.traceback
    return [c["data"] for c in cell.all("display_data")]


def test_display(kernel):
    kernel.run('import * as tslab from "tslab"; import { display as d } from "tslab"')
    texts = {"html": "text/html", "markdown": "text/markdown", "latex": "text/latex", "svg": "image/svg+xml", "javascript": "text/javascript", "text": "text/plain"}
    for name, mime in texts.items():
        [data] = shown(kernel.run(f"tslab.display.{name}('<b>x</b>')"))
        assert data[mime] == "<b>x</b>" and "text/plain" in data
    images = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "pdf": "application/pdf"}
    for name, mime in images.items():
        [data] = shown(kernel.run(f"tslab.display.{name}(Buffer.from('{PNG}', 'base64'))"))
        assert data[mime] == PNG
    assert base64.b64decode(shown(kernel.run("d.raw('image/png', new Uint8Array([1, 2]))"))[0]["image/png"]) == b"\x01\x02"
    assert shown(kernel.run("tslab.display.raw('text/csv', 'a,b')"))[0]["text/csv"] == "a,b"
    assert [c["text/html"] for c in shown(kernel.run("d.html('1'); d.html('2')"))] == ["1", "2"]


def test_one_display_that_is_replaced(kernel):
    cell = kernel.run(
        """import { newDisplay } from "tslab";
        const bar = newDisplay(); for (let i = 1; i <= 100; i++) { bar.text(`progress: ${i}%`); await new Promise((r) => setTimeout(r, 5)) }"""
    )
    [first], updates = cell.all("display_data"), cell.all("update_display_data")
    assert first["data"] == {"text/plain": "progress: 1%"}
    assert updates[-1]["data"] == {"text/plain": "progress: 100%"} and {u["transient"]["display_id"] for u in updates} == {first["transient"]["display_id"]}


def test_versions_types_and_require(kernel):
    assert kernel.run('import * as tslab from "tslab"; tslab.versions').result.startswith("{ tslab: '1.0.22', typescript: '6.0.3', node: 'v24")
    assert kernel.run("tslab.display.html(5)").error["ename"] == "TS2345"
    assert kernel.run("%%js\nconst t = require('tslab'); t.display.html('js')").all("display_data")[0]["data"]["text/html"] == "js"
    assert kernel.run('const { display: later } = await import("tslab"); later === tslab.display').result == "true"


def test_local_files_may_use_it(kernel):
    (kernel.cwd / "shows.ts").write_text('import * as tslab from "tslab";\nexport const show = (text: string) => tslab.display.html(text);\n')
    assert shown(kernel.run('import { show } from "./shows"; show("from a file")'))[0]["text/html"] == "from a file"


# As tslab 1.0.22 gets them, measured: wrong values, lost variables, syntax errors.
RIGHT = [
    (["let lr = 0.1; const step = () => lr * 2", "lr = 0.5; step()"], "1"),
    (["let kept = 1; if (kept) throw new Error('x')", "kept"], "1"),
    (["let sum = 0; for await (const x of [1, 2]) sum += x; sum"], "3"),
    (["{ using held = { [Symbol.dispose]() { (globalThis as any).freed = true } } }\n(globalThis as any).freed"], "true"),
    (["[3, 1].toSorted()"], "[ 1, 3 ]"),
    (["export const exported = 4; exported"], "4"),
    (["null"], "null"),
]


@pytest.mark.parametrize("cells, value", RIGHT)
def test_cells_that_tslab_gets_wrong(kernel, cells, value):
    for code in cells:
        cell = kernel.run(code)
    assert cell.result == value, cell.messages


def test_the_alias_reads_typescript_as_tslab_did(kernels_folder, tmp_path):
    with Kernel(kernels_folder, tmp_path, kernel_name="tslab") as kernel:
        assert kernel.request("kernel_info_request")["language_info"]["name"] == "typescript"
        cell = kernel.run("let obj = { x: null }; let s: string = null; function id(x) { return x }; [obj?.x?.z, s, id(2)]")
        assert cell.result == "[ undefined, null, 2 ]" and cell.stderr == ""
        assert kernel.run("let n: number = 'tslab'").error["ename"] == "TS2322"


def test_the_alias_for_javascript(kernels_folder, tmp_path):
    with Kernel(kernels_folder, tmp_path, kernel_name="jslab") as kernel:
        assert kernel.request("kernel_info_request")["language_info"]["name"] == "javascript"
        cell = kernel.run("const tslab = require('tslab'); class Hello { constructor(name) { this.name = name } }\nlet x = 1; x += ' a'; tslab.display.html(x); new Hello('b').name")
        assert cell.result == "'b'" and shown(cell)[0]["text/html"] == "1 a" and cell.stderr == ""
        assert kernel.run("x.length + tslab.versions.tslab.length").result == "9"
